"""Predictors of other machines that a predictor rests on beside its own ensembles.

Two machines of which each has its own campaign err in different places: the geometric mean of their prices, corrected,
is nearer to a third machine than either alone (`benchmarks/short_campaigns.py`). Rules:

1. A share is a whole predictor of another machine, and the weight of the logarithm of its price, over 0 and at most 1.
   The weights of all shares add up to at most 1; the rest is the predictor's own.
2. With shares, the learned ratio of a kernel to the roofline is `exp(trees) x (their price / roofline)^weight`, their
   price being that of a kernel as a profiler shows it. The predictor's own trees have been scaled by what the shares
   leave (`nnmeter.lab.training.continued`).
3. A share has none of its own, and no corrections: its prices are those of a machine that was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnmeter.predictor.kernel_predictor import KernelPredictor, Share

MOST_SHARES = 8


def mix_predictors(predictors: Sequence[KernelPredictor]) -> KernelPredictor:
    """A predictor whose prices are the geometric mean of those of several machines, with all else of the first one.

    Args:
        predictors: of different machines, one or more; only the first may rest on others, and none be calibrated.

    Raises:
        ValueError: another one than the first rests on others, or one is calibrated.
    """
    first, *others = predictors
    if any(other.shares for other in others) or any(one.corrections for one in predictors):
        raise ValueError("predictors that rest on others or are calibrated cannot be mixed in; give those of machines")
    weight = 1.0 / len(predictors)
    ensembles = {
        name: replace(ensemble, value=ensemble.value * np.float32(weight), bias=ensemble.bias * weight)
        for name, ensemble in first.ensembles.items()
    }
    shares = [replace(share, weight=share.weight * weight) for share in first.shares]
    found = (*shares, *(Share(other, weight) for other in others))
    return replace(first, ensembles=ensembles, shares=found)
