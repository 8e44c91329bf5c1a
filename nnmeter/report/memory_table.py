"""Predictions of memory as a table for a person at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.numbers import TOP_KERNELS, format_bytes, format_share
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

if TYPE_CHECKING:
    from nnmeter.memory.memory import MemoryPrediction


def render(predictions: Sequence[MemoryPrediction], layout: Layout) -> str:
    """What makes up the peak and what is held at it; a row a prediction for several."""
    text = Text(layout.width, layout.colour)
    if layout.several:
        rows = [
            (p.model, p.device, _sizes(p), *map(format_bytes, (p.peak_bytes, p.weights_bytes, p.activations_bytes)))
            for p in predictions
        ]
        text.add_table(("model", "device", "sizes", "peak", "weights", "activations"), "nllrrr", [rows])
    else:
        _add_one(text, predictions[0], layout.top or TOP_KERNELS)
    text.add_warnings(list(dict.fromkeys(warning for p in predictions for warning in p.warnings)))
    return str(text)


def _add_one(text: Text, prediction: MemoryPrediction, top: int) -> None:
    sizes = _sizes(prediction)
    text.add(f"{text.bold(prediction.model)}{f' ({sizes})' if sizes else ''} on {prediction.device}")
    text.add(text.bold(f"{format_bytes(prediction.peak_bytes)} while it runs"))
    parts = (
        ("weights", prediction.weights_bytes),
        ("activations", prediction.activations_bytes),
        ("the runtime itself", prediction.session_bytes),
    )
    peak = max(prediction.peak_bytes, 1)
    text.add_table(
        ("what", "memory", "share"),
        "lrr",
        [[(name, format_bytes(size), format_share(size / peak)) for name, size in parts]],
    )
    step = prediction.peak_step
    if step is None:
        return
    text.add(
        f"most is live, {format_bytes(prediction.live_bytes)}, while {step.kernel} ({step.operator}) runs; "
        f"planned into {format_bytes(prediction.planned_bytes)}:"
    )
    rows = [(h.tensor, h.kernel, format_bytes(h.bytes)) for h in prediction.at_peak[:top]]
    rest = prediction.at_peak[top:]
    more = [(f"{len(rest)} more", "", format_bytes(sum(h.bytes for h in rest)))] if rest else []
    text.add_table(("tensor", "written by", "memory"), "nnr", [rows, more] if more else [rows])


def _sizes(prediction: MemoryPrediction) -> str:
    return " ".join(f"{name}={size}" for name, size in prediction.dims.items())
