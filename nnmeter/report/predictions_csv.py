"""Predictions as CSV: always a row a prediction, so that a script reads one model and a hundred alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nnmeter.report.columns import format_dims
from nnmeter.report.documents import write_csv
from nnmeter.report.machine import machine_value
from nnmeter.report.outside import summarize_outside
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction

COLUMNS = (
    "model",
    "device",
    "latency_ms",
    "interval_low_ms",
    "interval_high_ms",
    "confidence",
    "coverage_trained",
    "coverage_fallback",
    "kernels",
    "warnings",
    "dims",
    "outside_share",
    "outside",
    "machine",
    "peak_bytes",
)


def render(predictions: Sequence[Prediction], layout: Layout) -> str:
    """A header and a row a prediction; warnings, and types outside of the trained range, are joined with `; `."""
    return write_csv(COLUMNS, map(_row, predictions))


def _row(prediction: Prediction) -> tuple[Any, ...]:
    low, high = prediction.interval_ms
    return (
        prediction.model,
        prediction.device,
        f"{prediction.latency_ms:.6g}",
        f"{low:.6g}",
        f"{high:.6g}",
        prediction.confidence,
        f"{prediction.coverage['trained']:.6g}",
        f"{prediction.coverage['fallback']:.6g}",
        len(prediction.kernels),
        "; ".join(prediction.warnings),
        format_dims(prediction.dims),
        f"{prediction.outside_share:.6g}",
        "; ".join(f"{g.type} x{g.count}: {g.reason}" for g in summarize_outside(prediction.kernels)),
        machine_value(prediction.machine),
        "" if prediction.memory is None else prediction.memory.peak_bytes,
    )
