"""Predictions of memory as CSV: a row a prediction, or for one prediction a row a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.documents import write_csv
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.memory.memory import MemoryPrediction

_SIZES = (
    "peak_bytes", "weights_bytes", "activations_bytes", "session_bytes", "reserved_bytes", "planned_bytes",
    "live_bytes", "inputs_bytes",
)  # fmt: skip


def render(predictions: Sequence[MemoryPrediction], layout: Layout) -> str:
    """Sizes in bytes."""
    if not layout.several:
        steps = predictions[0].steps
        rows = ((step.kernel, step.operator, step.live_bytes, step.workspace_bytes) for step in steps)
        return write_csv(("kernel", "operator", "live_bytes", "workspace_bytes"), rows)
    dims = list(dict.fromkeys(name for p in predictions for name in p.dims))
    return write_csv(
        ("model", "device", *dims, *_SIZES),
        (
            (p.model, p.device, *(p.dims.get(name) for name in dims), *(getattr(p, size) for size in _SIZES))
            for p in predictions
        ),
    )
