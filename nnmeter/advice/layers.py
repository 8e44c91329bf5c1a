"""Which layers take the time, and what they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.transforms import TransformError
from nnmeter.transforms.channels.resizing import DependencyGraph

if TYPE_CHECKING:
    from nnmeter.advice.trial import Workbench
    from nnmeter.prediction.prediction import Prediction

_SHOWN = 10


@dataclass(frozen=True)
class Layer:
    """A layer with channels of its own, and what its kernel takes.

    Attributes:
        name: of its operator.
        kernel: type of the kernel that it is in.
        channels: how many it writes.
        latency_ms: of the kernel.
        share: of the model's time.
    """

    name: str
    kernel: str
    channels: int
    latency_ms: float
    share: float

    def to_dict(self) -> dict[str, Any]:
        """The layer as JSON has it."""
        return {
            "name": self.name,
            "kernel": self.kernel,
            "channels": self.channels,
            "latency_ms": self.latency_ms,
            "share": self.share,
        }


@dataclass(frozen=True)
class AddedWork:
    """What the runtime adds to bring data from one layout to another.

    Attributes:
        latency_ms: of all of it.
        share: of the model's time.
        kernels: how many kernels it is.
        before: types of the kernels that it is done for, the most frequent first, with how often.
    """

    latency_ms: float
    share: float
    kernels: int
    before: tuple[tuple[str, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """The work as JSON has it."""
        return {
            "latency_ms": self.latency_ms,
            "share": self.share,
            "kernels": self.kernels,
            "before": dict(self.before),
        }


def added_work(prediction: Prediction) -> AddedWork:
    """The kernels that no operator of the model asked for: they stand where the blocked layout breaks off."""
    latency_ms, count = 0.0, 0
    before: Counter[str] = Counter()
    for kernel, following in zip(prediction.kernels, (*prediction.kernels[1:], None), strict=True):
        if not kernel.nodes and kernel.latency_ms > 0:
            latency_ms, count = latency_ms + kernel.latency_ms, count + 1
            if following is not None and following.nodes:
                before[following.type] += 1
    share = latency_ms / prediction.latency_ms if prediction.latency_ms else 0.0
    return AddedWork(latency_ms, share, count, tuple(before.most_common()))


def dominant_layers(bench: Workbench, count: int = _SHOWN) -> list[Layer]:
    """The layers that take longest, longest first."""
    prediction = bench.before
    graph = DependencyGraph(bench.model, bench.sizes)
    names = set(graph.layers())
    found = []
    for kernel in prediction.kernels:
        name = next((node for node in kernel.nodes if node in names), None)
        if name is not None:
            try:
                width = graph.width(name)
            except TransformError:
                continue
            share = kernel.latency_ms / prediction.latency_ms if prediction.latency_ms else 0.0
            found.append(Layer(name, kernel.type, width, kernel.latency_ms, share))
    return sorted(found, key=lambda layer: -layer.latency_ms)[:count]
