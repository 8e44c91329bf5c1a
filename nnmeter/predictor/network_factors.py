"""What a kernel takes in a short network and in a long one: what the last inference left in the caches.

Rules:

1. A kernel finds weights, data and code in the caches as the last inference left them, and the longer an inference
   takes, the less is left: of other kernels' data, and of whoever shares the caches. On a server core with 2 MB of L2
   the product of one row with a matrix of 4 MB reads 20 to 25 GB/s in networks of a few milliseconds, and 13 in those
   of 20 and more. No signature tells, so that this comes behind all prices, where a network is summed up.
2. A price is multiplied by a factor that depends on the time of the whole network alone, the sum of its prices: linear
   in its logarithm between `KNOTS_MS`, and constant beyond.
3. The factors are those of a *group*: of the kernels bound by their weights, and of each kernel family. The former
   multiply, move `LEAST_BYTES` or more, and do `MOST_FLOPS_A_BYTE` or less with each: the product of one row, or of a
   few, with a matrix, as a classifier, a gate, or a step of a language model has it. They wait for their weights.
4. Factors are 1 in the mean of the networks that were trained on, so that prices mean what they do without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnmeter.kernels.features import FEATURE_NAMES
from nnmeter.predictor.checks import damaged, mapping, member, numbers
from nnmeter.predictor.price import KernelPrice
from nnmeter.predictor.price_columns import PriceColumns, columns_of, numbered

KNOTS_MS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
BOUND = "bound by weights"  # the group of rule 3 that is no family
MULTIPLYING = "matmul"  # the family that it is of
LEAST_BYTES = 1 << 17
MOST_FLOPS_A_BYTE = 4.0
LARGEST_LOG_FACTOR = 2.0  # beyond what memory is slower than the caches by
_LOG_KNOTS = np.log2(np.array(KNOTS_MS))


@dataclass(frozen=True, slots=True)
class NetworkFactors:
    """What kernels take by the time of their network.

    Attributes:
        log_factors: logarithm of the factor at each of `KNOTS_MS`, by group; a group that is not there has 1.
    """

    log_factors: Mapping[str, tuple[float, ...]]

    def log_factor(self, group: str, network_ms: np.ndarray | float) -> np.ndarray:
        """Logarithm of the factor of a group's kernels in networks that take so long, of the same shape."""
        logs = np.log2(np.maximum(network_ms, 1e-9))
        return np.asarray(np.interp(logs, _LOG_KNOTS, self.log_factors.get(group, (0.0,) * len(KNOTS_MS))))

    def factors(self, prices: PriceColumns) -> np.ndarray:
        """Factor of each kernel of a network [kernels]."""
        total_ms = prices.total_ms
        of_group = {group: float(np.exp(self.log_factor(group, total_ms))) for group in self.log_factors}
        of_kind = np.array([1.0 if kind is None else of_group.get(kind.family, 1.0) for kind in numbered()])
        found = of_kind[prices.kind]
        if BOUND in of_group:
            multiplying = np.array([kind is not None and kind.family == MULTIPLYING for kind in numbered()], bool)
            bound = are_bound(prices.flops, prices.bytes) & multiplying[prices.kind]
            found[bound] = of_group[BOUND]
        return found

    def of_network(self, prices: Sequence[KernelPrice]) -> list[KernelPrice]:
        """The prices of all kernels of one network, as they are in it."""
        if not prices:
            return []
        factors = self.factors(columns_of(prices)).tolist()
        return [scaled(price, factor) for price, factor in zip(prices, factors, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"log_factors": {group: list(values) for group, values in sorted(self.log_factors.items())}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NetworkFactors:
        """What `to_dict` described; DeviceError if a group is unknown, or a factor far from what caches do."""
        found = {}
        for group, values in mapping(member(data, "log_factors"), "log_factors").items():
            if group != BOUND and group not in FEATURE_NAMES:
                raise damaged(f"there is no group of kernels '{group}'")
            found[group] = numbers(values, f"factors of '{group}'", len(KNOTS_MS), -LARGEST_LOG_FACTOR, LARGEST_LOG_FACTOR)
        return cls(found)


def are_bound(flops: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Whether kernels of these FLOPs and bytes moved are bound by their weights, if they multiply (rule 3) [kernels]."""
    return np.asarray((moved >= LEAST_BYTES) & (flops > 0) & (flops <= MOST_FLOPS_A_BYTE * moved))


def scaled(price: KernelPrice, factor: float) -> KernelPrice:
    """A price times the factor of its network."""
    return price if factor == 1.0 else replace(price, latency_ms=price.latency_ms * factor)
