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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nnmeter.predictor.kernel_predictor import KernelPredictor, Located

MOST_SHARES = 8
_LEAST_MS = 1e-9  # what a damaged pack may say less than
_LEAST_LAUNCH = 0.1  # of a launch, below which no kernel is priced (`KernelPredictor`, rule 1)


@dataclass(frozen=True, slots=True)
class Share:
    """What another machine's predictor adds (rule 1).

    Attributes:
        predictor: of the other machine.
        weight: of the logarithm of its prices.
    """

    predictor: KernelPredictor
    weight: float

    def profiled_ms(self, kernels: Sequence[Located]) -> np.ndarray:
        """Its price of each kernel as a profiler shows it, in milliseconds [kernels]."""
        theirs = self.predictor
        known = [(signature, residency if theirs.resident else None) for signature, residency in kernels]
        prices = np.array([price.latency_ms for price in theirs.price_located(known)])
        least = max(_LEAST_LAUNCH * theirs.roofline.launch_ms, _LEAST_MS)
        return np.maximum((prices - theirs.per_kernel_ms) / max(theirs.scale, _LEAST_MS), least)


def log_ratio_of_shares(
    shares: Sequence[Share], kernels: Sequence[Located], roofline_ms: np.ndarray
) -> np.ndarray:
    """What shares add to the log ratio of kernels to a roofline (rule 2) [kernels].

    Args:
        shares: of a predictor.
        kernels: with their residency, where the predictor tells it; it must where that of a share does.
        roofline_ms: of the predictor, with the rates of each kernel's operator [kernels].
    """
    found = np.zeros(len(kernels))
    for share in shares:
        found += share.weight * np.log(share.profiled_ms(kernels) / np.maximum(roofline_ms, _LEAST_MS))
    return found


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
    resident = any(one.resident for one in predictors)
    found = (*shares, *(Share(other, weight) for other in others))
    return replace(first, ensembles=ensembles, shares=found, resident=resident)
