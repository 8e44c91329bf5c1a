"""What kernels take longer in long networks, because the caches no longer hold what they need.

Rules:

1. A kernel needs things that no other does: its node, its buffers, its weights. In a network of less than a millisecond
   they are still in the caches from the inference before; in one of many milliseconds other kernels, and whoever shares
   the caches, have used them since. Small kernels take less in the former than in the latter.
2. A kernel that finds nothing takes longer by the *call*, which is the same for all of its family, and by its
   *weights*, so much for each of their bytes up to `MOST_BYTES`, beyond which they come from memory in every network.
   Constants of less than `LEAST_BYTES` are axes and shapes, and count as none.
3. How much of each a kernel of a network takes is a *share* of the network's time: linear in its logarithm between
   `KNOTS_MS`, constant beyond, 0 in the shortest, 1 in the longest, never falling.
4. Prices are those at the shares that the kernels of training had in the mean, `means`: in a network a kernel takes the
   difference more, or less, but never less than `LEAST_SHARE` of its price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnmeter.kernels.features import FEATURE_NAMES
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.predictor.checks import damaged, mapping, member, numbers
from nnmeter.predictor.price_columns import PriceColumns

KNOTS_MS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
LOG_KNOTS = np.log2(np.array(KNOTS_MS))
LEAST_SHARE = 0.25
LEAST_BYTES, MOST_BYTES = 1 << 10, 1 << 24
_MIB = float(1 << 20)
_LARGEST_MS = 1e3  # of a call, or of a mebibyte, that a damaged pack may have
_LEAST_MS = 1e-9


@dataclass(frozen=True, slots=True)
class Coldness:
    """What kernels take longer in long networks (rule 2).

    Attributes:
        call_shares, weights_shares: share of each in networks of `KNOTS_MS` (rule 3).
        means: both at the mean of the kernels of training (rule 4).
        costs: of each kernel family milliseconds of a call, and of a mebibyte of weights; 0 for others.
    """

    call_shares: tuple[float, ...]
    weights_shares: tuple[float, ...]
    means: tuple[float, float]
    costs: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def cost_ms(self, family: str, signature: KernelSignature) -> tuple[float, float]:
        """Milliseconds of the call and of the weights of a kernel that finds nothing in the caches (rule 2)."""
        call_ms, mebibyte_ms = self.costs.get(family, (0.0, 0.0))
        return call_ms, mebibyte_ms * weights_mib(signature)

    def above_means(self, network_ms: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """Both shares in networks that take so long, less those of the mean kernel, of the same shape."""
        logs = np.log2(np.maximum(network_ms, _LEAST_MS))
        call = np.interp(logs, LOG_KNOTS, self.call_shares) - self.means[0]
        return np.asarray(call), np.asarray(np.interp(logs, LOG_KNOTS, self.weights_shares) - self.means[1])

    def in_network_ms(self, profiled_ms: np.ndarray, prices: PriceColumns, network_ms: float) -> np.ndarray:
        """What kernels take in a network that take `profiled_ms` in the mean of the networks [kernels]."""
        call, weights = self.above_means(network_ms)
        return raised(profiled_ms, call * prices.cold_call_ms + weights * prices.cold_weights_ms)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "call_shares": list(self.call_shares),
            "weights_shares": list(self.weights_shares),
            "means": list(self.means),
            "costs": {family: list(cost) for family, cost in sorted(self.costs.items())},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Coldness:
        """What `to_dict` described; DeviceError if a number is none, or no share or time."""
        call, weights = (
            numbers(member(data, name), name, len(KNOTS_MS), 0.0, 1.0) for name in ("call_shares", "weights_shares")
        )
        first, second = numbers(member(data, "means"), "means", 2, 0.0, 1.0)
        costs = {}
        for family, cost in mapping(member(data, "costs"), "costs").items():
            if family not in FEATURE_NAMES:
                raise damaged(f"there is no kernel family '{family}'")
            call_ms, mebibyte_ms = numbers(cost, f"costs of '{family}'", 2, 0.0, _LARGEST_MS)
            costs[family] = call_ms, mebibyte_ms
        return cls(call, weights, (first, second), costs)


def weights_mib(signature: KernelSignature) -> float:
    """Mebibytes of the weights of a kernel that count (rule 2)."""
    pairs = zip(signature.inputs, signature.constants, strict=True)
    size = sum(kind.bytes for kind, constant in pairs if constant and kind is not None)
    return min(size, MOST_BYTES) / _MIB if size >= LEAST_BYTES else 0.0


def raised(latency_ms: np.ndarray, added_ms: np.ndarray) -> np.ndarray:
    """Times with what is added to them, which may be below 0 (rule 4)."""
    return np.asarray(np.maximum(latency_ms + added_ms, LEAST_SHARE * latency_ms))
