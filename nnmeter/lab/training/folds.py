"""Folds of cross-validation: which networks are held out together.

Rules:

1. A family of networks is in one fold: a network, and all others made by its recipe, are on one side.
2. Folds are about equally large. With fewer families than folds there is nothing to group by, and networks are dealt
   out singly.
3. For intervals, a network that was made at random is an architecture of its own and goes by its name, its family
   notwithstanding: its blocks occur in others, as those of a user's network will. A known model goes by its family,
   because its neighbours there are all but copies of it; but a family of `GENERATED` models came out of a generator.
   Kernels that were timed alone go with the whole networks of their family; where there are none, each on its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from nnmeter.lab.training.table import Network

FOLDS = 5
GENERATED = 100


def assign_folds(groups: Sequence[str], seed: int) -> np.ndarray:
    """A fold for each network such that a group is in one fold, and folds are about equally large (rules 1 and 2)."""
    names, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    generator = np.random.default_rng(seed)
    if len(names) < FOLDS:
        return generator.permutation(np.arange(len(groups)) % FOLDS)
    load = np.zeros(FOLDS)
    fold_of = np.zeros(len(names), dtype=np.intp)
    for i in np.lexsort((generator.random(len(names)), -counts)):
        fold_of[i] = int(np.argmin(load))
        load[fold_of[i]] += counts[i]
    return fold_of[inverse]


def family_folds(networks: Sequence[Network], seed: int) -> np.ndarray:
    """Folds for hyper-parameters and for errors of kernels (rule 1)."""
    return assign_folds([n.family or n.name for n in networks], seed)


def interval_folds(networks: Sequence[Network], seed: int) -> np.ndarray:
    """Folds for intervals (rule 3)."""
    members = Counter(n.family for n in networks if not n.alone)
    own = [n.random or not n.family or members[n.family] >= GENERATED or not members[n.family] for n in networks]
    return assign_folds([n.name if o else n.family for n, o in zip(networks, own, strict=True)], seed)
