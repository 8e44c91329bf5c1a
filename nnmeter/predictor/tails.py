"""The probability that an interval model gives to one side of a value.

Intervals are known at a few confidences. Between them, and beyond, the distribution is taken to be that of a normal
one whose scale changes with the distance: rules:

1. Half the interval of confidence `c` is where the normal distribution has its quantile `z_c`; between two of them,
   quantiles are linear in the distance, from 0 on.
2. Beyond the last one they go on with the slope of the last piece, or of the line from 0, whichever is the flatter:
   tails are not taken for thinner than what was seen.
3. The two sides are alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import erf, sqrt

from nnmeter.predictor.intervals import normal_quantile


def probability_below(distance: float, halves: Mapping[float, float]) -> float:
    """The probability of an error below `distance`.

    Args:
        distance: of the value from the middle, in the unit of `halves`; negative on the lower side.
        halves: half of the interval by confidence.
    """
    if distance == 0:
        return 0.5
    return 0.5 * (1 + erf(_quantile(abs(distance), halves) / sqrt(2)) * (1 if distance > 0 else -1))


def _quantile(distance: float, halves: Mapping[float, float]) -> float:
    """The quantile of the normal distribution at a distance (rules 1 and 2)."""
    x = z = slope = 0.0
    for confidence in sorted(halves):
        end, quantile = halves[confidence], normal_quantile(confidence)
        if end <= x:
            z = max(z, quantile)  # one interval for two confidences: the higher one says more
            continue
        slope = (quantile - z) / (end - x)
        if distance <= end:
            return z + slope * (distance - x)
        x, z = end, quantile
    if x == 0:
        return float("inf")  # the intervals have no width: nothing is uncertain
    return z + min(slope, z / x) * (distance - x)
