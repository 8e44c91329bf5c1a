"""Which layers take the time, and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.transforms import TransformError
from nnmeter.transforms.channels.resizing import DependencyGraph

if TYPE_CHECKING:
    from nnmeter.advice.trial import Workbench

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
