"""Pruning: channels that go, what that gains on a device, and which should go to fit a budget.

1. What is pruned are channels of whole groups of layers, with all that depends on them (`nnmeter.transforms.channels`).
   Weights are not read: how many channels go decides the time, not which.
2. What a removal gains is that of the whole model: it is transformed, its kernels are detected and priced anew.
3. Removals come from masks, from shares, or from a search to a budget (`search.py`).
"""

from nnmeter.pruning.pruned import Pruned, Removal
from nnmeter.pruning.removals import kept_by_masks, kept_by_shares
from nnmeter.pruning.search import prune_to_budget, remove_channels
from nnmeter.pruning.sensitivity import Sensitivity, read_sensitivity

__all__ = [
    "Pruned",
    "Removal",
    "Sensitivity",
    "kept_by_masks",
    "kept_by_shares",
    "prune_to_budget",
    "read_sensitivity",
    "remove_channels",
]
