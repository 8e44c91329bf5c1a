"""What kernels take by the network that they run in.

Rules:

1. A kernel is *bound by its weights* if it is a product of matrices, moves `LEAST_BYTES` or more, and does
   `MOST_FLOPS_A_BYTE` or less with each: the product of one row, or of a few, with a matrix, as a classifier, a gate,
   or a step of a language model has it. It takes as long as its weights take to come.
2. They come from where the last inference left them, and the longer an inference takes, the further away that is:
   other kernels have used the caches since, and whoever shares them. The packs that have factors (`network_factors` of
   their predictor.json) say that such a product takes half as long in a network of half a millisecond as in one of 32.
   No signature tells, so that this comes behind all prices, where a network is summed up.
3. The price is multiplied by a factor that depends on the time of the whole network, linear in its logarithm between
   `KNOTS_MS`, and constant beyond; and on the bytes, since the more they are the sooner no cache holds them: a product
   of 64 MiB waits for memory in every network, one of 1/4 MiB only in long ones. Between `FEW_BYTES` and `MANY_BYTES`
   the logarithm of the factor is linear in that of the bytes.
4. The factor is 1 in the mean of the networks that were trained on, so that prices mean what they do without it.
5. All kernels take less the shorter ago one of their kind ran (`nnmeter.predictor.reuse`), and less in short networks
   (`nnmeter.predictor.coldness`), before that.
6. The time of the network is the sum of its prices; where all kernels depend on it, that of the sum so found, `_ROUNDS`
   times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.predictor.checks import damaged, mapping, member, numbers
from nnmeter.predictor.coldness import Coldness
from nnmeter.predictor.price import KernelPrice
from nnmeter.predictor.price_columns import PriceColumns, columns_of, numbered
from nnmeter.predictor.reuse import Reuse

KNOTS_MS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
MULTIPLYING = "matmul"  # the family of such kernels
LEAST_BYTES = 1 << 17
FEW_BYTES, MANY_BYTES = 1 << 18, 1 << 24
MOST_FLOPS_A_BYTE = 4.0
LARGEST_LOG_FACTOR = 2.0  # beyond what memory is slower than the caches by
_LOG_KNOTS = np.log2(np.array(KNOTS_MS))
_LEAST_SCALE = 1e-9  # a damaged pack may say 0
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class NetworkFactors:
    """What kernels take by their network.

    Attributes:
        log_factors: of kernels bound by their weights, logarithm of the factor at each of `KNOTS_MS`.
        many_log_factors: the same for those of `MANY_BYTES` or more, `log_factors` being for `FEW_BYTES` or less; None
            where both are the same.
        reuse: of all kernels, by those of their kind; None where that is not known.
        coldness: of all kernels, by the time of the network; None where that or `reuse` is not known.
    """

    log_factors: tuple[float, ...]
    reuse: Reuse | None = None
    coldness: Coldness | None = None
    many_log_factors: tuple[float, ...] | None = None

    def unobserved(self, scale: float, per_kernel_ms: float, least_ms: float) -> NetworkFactors:
        """The same, knowing what leads from a profiled kernel to an unobserved one in their predictor."""
        if self.reuse is None:
            return self
        own = replace(self.reuse, scale=max(scale, _LEAST_SCALE), per_kernel_ms=per_kernel_ms, least_ms=least_ms)
        return replace(self, reuse=own)

    def log_factor(self, network_ms: np.ndarray | float, moved: np.ndarray) -> np.ndarray:
        """Logarithm of the factor of kernels that move so many bytes, in networks that take so long [kernels]."""
        logs = np.log2(np.maximum(network_ms, 1e-9))
        few = np.interp(logs, _LOG_KNOTS, self.log_factors)
        if self.many_log_factors is None:
            return np.asarray(few + np.zeros(np.shape(moved)))
        many = np.interp(logs, _LOG_KNOTS, self.many_log_factors)
        return np.asarray(few + (many - few) * share_of_many(moved))

    def factors(self, prices: PriceColumns) -> np.ndarray | None:
        """Factor of each kernel of a network [kernels]; None where all are 1."""
        bound = self._bound(prices)
        if self.reuse is None and not len(bound):
            return None
        if self.reuse is None:
            log_factors = np.zeros(len(prices.bytes))
            log_factors[bound] = self.log_factor(prices.total_ms, prices.bytes[bound])
            return np.asarray(np.exp(log_factors))
        _, inverse, counts = np.unique(prices.kind, return_inverse=True, return_counts=True)
        profiled_ms, alike = self.reuse.profiled_ms(prices), counts[inverse]
        network_ms, found = prices.total_ms, prices.latency_ms
        for _ in range(_ROUNDS):
            in_network_ms = profiled_ms * np.exp(self.reuse.log_factor(profiled_ms, network_ms / alike))
            if self.coldness is not None:
                in_network_ms = self.coldness.in_network_ms(in_network_ms, prices, network_ms)
            in_network_ms[bound] *= np.exp(self.log_factor(network_ms, prices.bytes[bound]))
            found = self.reuse.unobserved_ms(in_network_ms, prices)
            network_ms = float(found.sum()) or 1.0
        return np.divide(found, prices.latency_ms, out=np.ones_like(found), where=prices.latency_ms > 0)

    def _bound(self, prices: PriceColumns) -> np.ndarray:
        """Numbers of the kernels that are bound by their weights."""
        bound = np.flatnonzero(are_bound(prices.flops, prices.bytes))
        if not len(bound):
            return bound
        kinds = numbered()
        return np.asarray(bound[[_multiplies(kinds[number]) for number in prices.kind[bound].tolist()]])

    def of_network(self, prices: Sequence[KernelPrice]) -> list[KernelPrice]:
        """The prices of all kernels of one network, as they are in it."""
        factors = self.factors(columns_of(prices)) if prices else None
        if factors is None:
            return list(prices)
        return [scaled(price, factor) for price, factor in zip(prices, factors.tolist(), strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        found: dict[str, Any] = {"log_factors": list(self.log_factors)}
        if self.many_log_factors is not None:
            found["many_log_factors"] = list(self.many_log_factors)
        if self.reuse is not None:
            found["reuse"] = self.reuse.to_dict()
        if self.coldness is not None:
            found["coldness"] = self.coldness.to_dict()
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NetworkFactors:
        """What `to_dict` described; DeviceError if a factor is no number, or far from what caches do."""
        few = _knots(member(data, "log_factors"), "log_factors")
        many = data.get("many_log_factors")
        reuse, coldness = data.get("reuse"), data.get("coldness")
        if coldness is not None and reuse is None:
            raise damaged("network_factors have a coldness without reuse")
        return cls(
            few,
            None if reuse is None else Reuse.from_dict(mapping(reuse, "reuse")),
            None if coldness is None else Coldness.from_dict(mapping(coldness, "coldness")),
            None if many is None else _knots(many, "many_log_factors"),
        )


def _knots(stored: Any, name: str) -> tuple[float, ...]:
    return numbers(stored, name, len(KNOTS_MS), -LARGEST_LOG_FACTOR, LARGEST_LOG_FACTOR)


def _multiplies(kind: Kind | None) -> bool:
    return kind is not None and kind.family == MULTIPLYING


def are_bound(flops: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Whether kernels of these FLOPs and bytes moved are bound by their weights, if they multiply (rule 1)."""
    return np.asarray((moved >= LEAST_BYTES) & (flops > 0) & (flops <= MOST_FLOPS_A_BYTE * moved))


def share_of_many(moved: np.ndarray) -> np.ndarray:
    """How near kernels of so many bytes are to `MANY_BYTES`: 0 at `FEW_BYTES` and below, 1 at most (rule 3)."""
    edges = np.log2([FEW_BYTES, MANY_BYTES])
    return np.asarray(np.interp(np.log2(np.maximum(moved, 1.0)), edges, [0.0, 1.0]))


def scaled(price: KernelPrice, factor: float) -> KernelPrice:
    """A price times the factor of its network."""
    return price if factor == 1.0 else replace(price, latency_ms=price.latency_ms * factor)
