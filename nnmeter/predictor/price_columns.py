"""The prices of a network's kernels as arrays: what intervals and the distance to training networks are computed from.

A network that is put together from known parts has its arrays from theirs, without looking at each kernel again. As
sums of floating-point numbers depend on their order, all networks are summed up from such arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.predictor.price import KernelPrice

PROCESS = object()  # numbers of kinds are those of one process: what another one sent has another object

_numbers: dict[Kind, int] = {}
_counter = count()


class PriceColumns(NamedTuple):
    """Prices of kernels, a row each [kernels].

    Attributes:
        latency_ms: milliseconds.
        sampled: standard deviation of the log of each price, without the part of what was not sampled.
        unsampled: that part.
        flops, bytes: cost.
        worst_ms: what each may take at the worst; 0 where that is not told.
        cold_call_ms, cold_weights_ms: what each takes longer where the caches hold nothing of it.
        kind: numbers of their kinds (`number_of`).
    """

    latency_ms: np.ndarray
    sampled: np.ndarray
    unsampled: np.ndarray
    flops: np.ndarray
    bytes: np.ndarray
    worst_ms: np.ndarray
    cold_call_ms: np.ndarray
    cold_weights_ms: np.ndarray
    kind: np.ndarray

    @property
    def total_ms(self) -> float:
        """The sum of the prices; 1 where there are none to divide by."""
        return float(self.latency_ms.sum()) or 1.0


Prices = Sequence[KernelPrice] | PriceColumns


def number_of(kind: Kind) -> int:
    """The number of a kind, the same as long as the process lives."""
    known = _numbers.get(kind)
    return _numbers.setdefault(kind, next(_counter)) if known is None else known


def numbered() -> list[Kind | None]:
    """The kinds in the order of their numbers; None for a number that none has."""
    known = dict(_numbers)
    found: list[Kind | None] = [None] * (max(known.values(), default=-1) + 1)
    for kind, number in known.items():
        found[number] = kind
    return found


def table_of(prices: Sequence[KernelPrice]) -> np.ndarray:
    """The columns of prices as rows of one array, which several can be joined from [9, kernels]."""
    rows = []
    for price in prices:
        unsampled = price.unsampled_sigma
        rows.append(
            (
                price.latency_ms, price.sigma - unsampled, unsampled, price.flops, price.bytes, price.worst_ms,
                price.cold_call_ms, price.cold_weights_ms, number_of(price.kind),
            )
        )  # fmt: skip
    return np.ascontiguousarray(np.array(rows, dtype=float).reshape(len(rows), 9).T)


def joined(tables: Sequence[np.ndarray]) -> PriceColumns:
    """The columns of networks made of parts with these tables, in this order."""
    table = np.concatenate(tables, axis=1)
    *numbers, kind = table
    latency_ms, sampled, unsampled, flops, moved, worst_ms, cold_call_ms, cold_weights_ms = numbers
    return PriceColumns(
        latency_ms, sampled, unsampled, flops, moved, worst_ms, cold_call_ms, cold_weights_ms, kind.astype(np.intp)
    )


def columns_of(prices: Prices) -> PriceColumns:
    """The columns of prices; of columns, themselves."""
    return prices if isinstance(prices, PriceColumns) else joined([table_of(prices)])
