"""The orders in which tables list kernels, groups of them, or models: `--sort` and `--top`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nnmeter.prediction.groups import Rank, by_time
from nnmeter.report.numbers import TOP_KERNELS

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.prediction.priced_kernel import PricedKernel
    from nnmeter.report.registry import Layout

# Name of an order -> the key of a kernel, and that of a prediction, which stands for its model.
_KERNELS: dict[str, Callable[[PricedKernel], Any]] = {
    "time": lambda kernel: -kernel.latency_ms,
    "order": lambda kernel: 0,
    "name": lambda kernel: kernel.name,
    "type": lambda kernel: (kernel.type, -kernel.latency_ms),
    "flops": lambda kernel: -kernel.flops,
    "bytes": lambda kernel: -kernel.bytes,
}
_PREDICTIONS: dict[str, Callable[[Prediction], Any]] = {
    "time": lambda prediction: -prediction.latency_ms,
    "order": lambda prediction: 0,
    "name": lambda prediction: prediction.model,
    "flops": lambda prediction: -sum(kernel.flops for kernel in prediction.kernels),
    "bytes": lambda prediction: -sum(kernel.bytes for kernel in prediction.kernels),
}
_GROUPS: dict[str, Rank] = {
    "time": by_time,
    "order": lambda group: 0,
    "name": lambda group: group.name,
    "type": lambda group: group.name,
    "flops": lambda group: -group.flops,
    "bytes": lambda group: -group.bytes,
}
ORDERS = tuple(_KERNELS)


def sorted_kernels(kernels: Sequence[PricedKernel], layout: Layout) -> tuple[list[PricedKernel], list[PricedKernel]]:
    """The kernels that a table shows, and those that it sums up; most expensive first unless asked otherwise."""
    ranked = sorted(kernels, key=_KERNELS[layout.sort or "time"])
    count = layout.top or TOP_KERNELS
    return ranked[:count], ranked[count:]


def rank_of_groups(layout: Layout) -> Rank:
    """What groups of kernels are sorted by; most expensive first unless asked otherwise."""
    return _GROUPS[layout.sort or "time"]


def sorted_predictions(predictions: Sequence[Prediction], layout: Layout) -> list[Prediction]:
    """The predictions that a table shows; all in the order of the arguments unless asked otherwise."""
    return sorted(predictions, key=_PREDICTIONS.get(layout.sort or "order", _PREDICTIONS["order"]))[: layout.top]
