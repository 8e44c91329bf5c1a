"""What kernels take by how long ago others of their kind ran.

Rules:

1. A kernel finds more of what it needs in the caches, its code first of all, the shorter ago one of its kind ran. That
   is its *distance*: the time of the network over the number of kernels of the kind in it. In the packs that have it
   (`reuse` in their predictor.json) a kernel of 2 us that is the only one of its kind in ten milliseconds takes half as
   much again as in the mean, or more, and one of a millisecond hardly more.
2. The price of a kernel as a profiler shows it is multiplied by a factor: a grid over the logarithms of that price and
   of the distance, linear between its knots and constant beyond. The time of the network is the sum of its prices
   without factors, and the factor is 1 in the mean of the kernels that were trained on. A kernel at the least price
   keeps it: what a profiler would show of it is not known.
3. The time of the network, in place of the distance or beside it, would not do: long random networks have many kinds of
   kernels once, and real ones repeat few kinds. Models that were developed on came out slower than measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.predictor.checks import member, numbers, sequence
from nnmeter.predictor.price_columns import PriceColumns

PRICE_KNOTS_MS = (0.002, 0.006, 0.018, 0.054, 0.16, 0.5, 1.5)
DISTANCE_KNOTS_MS = (0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
LOG_PRICES, LOG_DISTANCES = np.log2(np.array(PRICE_KNOTS_MS)), np.log2(np.array(DISTANCE_KNOTS_MS))
_LEAST_MS = 1e-9
_ABOUT = 1 + 1e-9
LARGEST_LOG = 2.0  # more than caches bring


@dataclass(frozen=True, slots=True)
class Reuse:
    """What kernels take by how long ago others of their kind ran (rule 1).

    Attributes:
        log_factors: logarithm of the factor, a row for each of `PRICE_KNOTS_MS`, a column for each of
            `DISTANCE_KNOTS_MS`.
        scale, per_kernel_ms: from kernels as a profiler shows them to unobserved ones, as the predictor has them.
        least_ms: what no kernel is priced below.
    """

    log_factors: tuple[tuple[float, ...], ...]
    scale: float = 1.0
    per_kernel_ms: float = 0.0
    least_ms: float = 0.0

    def log_factor(self, profiled_ms: np.ndarray, distance_ms: np.ndarray) -> np.ndarray:
        """Logarithm of the factor of kernels with these prices and distances [kernels]."""
        grid = np.array(self.log_factors)
        row, down = place_between(profiled_ms, LOG_PRICES)
        column, right = place_between(distance_ms, LOG_DISTANCES)
        near = grid[row, column] * (1 - right) + grid[row, column + 1] * right
        far = grid[row + 1, column] * (1 - right) + grid[row + 1, column + 1] * right
        return np.asarray(near * (1 - down) + far * down)

    def profiled_ms(self, prices: PriceColumns) -> np.ndarray:
        """What a profiler shows of kernels that have these prices [kernels]."""
        return np.asarray(np.maximum((prices.latency_ms - self.per_kernel_ms) / self.scale, _LEAST_MS))

    def unobserved_ms(self, profiled_ms: np.ndarray, prices: PriceColumns) -> np.ndarray:
        """What kernels take unobserved that a profiler shows these times of in their network [kernels]."""
        priced_ms = prices.latency_ms
        found = np.maximum(self.scale * profiled_ms + self.per_kernel_ms, np.minimum(priced_ms, self.least_ms))
        return np.where(priced_ms <= self.least_ms * _ABOUT, priced_ms, found)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, without what is the predictor's own."""
        return {"log_factors": [list(row) for row in self.log_factors]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Reuse:
        """What `to_dict` described; DeviceError if a number is none, or far from what caches do."""
        rows = sequence(member(data, "log_factors"), "reuse", len(PRICE_KNOTS_MS))
        return cls(tuple(numbers(row, "reuse", len(DISTANCE_KNOTS_MS), -LARGEST_LOG, LARGEST_LOG) for row in rows))


def place_between(values: np.ndarray, log_knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The knot below each value, and how far it is to the next in logarithms; within the knots."""
    logs = np.clip(np.log2(np.maximum(values, _LEAST_MS)), log_knots[0], log_knots[-1])
    below = np.clip(np.searchsorted(log_knots, logs, side="right") - 1, 0, len(log_knots) - 2)
    return below, (logs - log_knots[below]) / (log_knots[below + 1] - log_knots[below])
