"""Latency as a function of a layer's channels: the staircase, and where to stand on it.

1. Looked at are the layers that take longest; layers whose channels go together are looked at once.
2. Tried are the widths around a layer's own that are multiples of what runtimes block by (`_BLOCKS`), a little narrower
   and a little wider, each as a whole model with all that depends on the layer. Where channels go as blocks (heads,
   groups), one block less and one more.
3. A narrower width is advised where it saves clearly more than the operations that it saves are of the changed kernels'
   time: 65 -> 64. A wider one where it costs less than the width that there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.errors import ModelError
from nnmeter.transforms import Channels, TransformError
from nnmeter.transforms.channels.resizing import DependencyGraph, LayerGroup, set_channels

if TYPE_CHECKING:
    from nnmeter.advice.layers import Layer
    from nnmeter.advice.trial import Trial, Workbench
    from nnmeter.prediction.prediction import Prediction

_GROUPS = 6  # groups of layers that are looked at
_BLOCKS = (8, 16, 32, 64)
_NARROWER, _WIDER = 0.8, 1.15  # the range of widths, relative to the layer's own
_MOST_WIDTHS = 6
_MORE_THAN_IN_PROPORTION = 1.25
_LEAST_SHARE = 0.002  # of the model's time, that a width has to save


@dataclass(frozen=True)
class Width:
    """A width of a layer, and what the model takes with it."""

    channels: int
    latency_ms: float

    def to_dict(self) -> dict[str, Any]:
        """The width as JSON has it."""
        return {"channels": self.channels, "latency_ms": self.latency_ms}


@dataclass(frozen=True)
class Stair:
    """A layer's widths.

    Attributes:
        layer: its name.
        group: the layers whose channels go with it, itself included.
        channels: its own width.
        widths: what the whole model takes at each width, from the narrowest on, its own among them.
    """

    layer: str
    group: tuple[str, ...]
    channels: int
    widths: tuple[Width, ...]

    def to_dict(self) -> dict[str, Any]:
        """The stair as JSON has it."""
        return {
            "layer": self.layer,
            "group": list(self.group),
            "channels": self.channels,
            "widths": [width.to_dict() for width in self.widths],
        }


def try_widths(bench: Workbench, layers: Sequence[Layer], stairs: list[Stair]) -> Iterator[Trial]:
    """Trials of the widths that are advised; all widths that were looked at go to `stairs`."""
    graph = DependencyGraph(bench.model, bench.sizes)
    seen: set[str] = set()
    for layer in layers:
        if layer.name in seen or len(stairs) >= _GROUPS:
            continue
        try:
            group = graph.group(layer.name)
        except TransformError:
            continue
        seen.update(group.layers)
        trials = list(_trials(bench, graph, layer, group))
        own = Width(layer.channels, bench.before.latency_ms)
        widths = [own, *(Width(t.transform.width, t.comparison.after.latency_ms) for t in trials)]  # type: ignore[attr-defined]
        stairs.append(Stair(layer.name, group.layers, layer.channels, tuple(sorted(widths, key=lambda w: w.channels))))
        yield from (trial for trial in trials if _pays(bench.before, trial, layer.channels))


def _trials(bench: Workbench, graph: DependencyGraph, layer: Layer, group: LayerGroup) -> Iterator[Trial]:
    others = f" and {len(group.layers) - 1} more that go with it" if len(group.layers) > 1 else ""
    for width in widths_around(layer.channels, group.block):
        transform = Channels(layer.name, width)
        try:
            changed = set_channels(bench.model, layer.name, width, bench.sizes, graph)
        except (TransformError, ModelError):
            continue
        words = "fewer" if width < layer.channels else "more"
        why = f"{abs(width - layer.channels)} channels {words} in {layer.name}{others} fit the device's blocks better"
        what = f"{layer.name}: {layer.channels} -> {width} channels"
        yield bench.judge("width", what, why, "function", transform, changed)


def widths_around(channels: int, step: int = 1) -> list[int]:
    """The widths that are tried around one (rule 2), the nearest first; they differ from it by multiples of `step`."""
    found: dict[int, None] = {}
    for block in _BLOCKS:
        below, above = (channels - 1) // block * block, (channels // block + 1) * block
        for width in (below, above) if step == 1 else (channels - step, channels + step):
            near = _NARROWER * channels <= width <= _WIDER * channels
            if width > 0 and near and (width - channels) % step == 0:
                found[width] = None
    return sorted(found, key=lambda width: abs(width - channels))[:_MOST_WIDTHS]


def _pays(before: Prediction, trial: Trial, channels: int) -> bool:
    """Rule 3."""
    gain = trial.gain_ms
    if gain < _LEAST_SHARE * before.latency_ms:
        return False
    after = trial.comparison.after
    kept = {kernel.signature for kernel in after.kernels}
    known = {kernel.signature for kernel in before.kernels}
    changed = [kernel for kernel in before.kernels if kernel.signature not in kept]
    new = [kernel for kernel in after.kernels if kernel.signature not in known]
    flops = sum(kernel.flops for kernel in changed)
    saved = 1 - sum(kernel.flops for kernel in new) / flops if flops else 0.0
    in_proportion = max(saved, 0.0) * sum(kernel.latency_ms for kernel in changed)
    return gain > _MORE_THAN_IN_PROPORTION * in_proportion
