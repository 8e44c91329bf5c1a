"""The time of predictions by group as CSV: a row a group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nnmeter.report.columns import format_dims
from nnmeter.report.documents import write_csv
from nnmeter.report.groups import GroupReport
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction

COLUMNS = ("model", "device", "dims", "name", "kernels", "latency_ms", "share", "flops", "bytes", "parameters")


def render(report: GroupReport, layout: Layout) -> str:
    """A header and a row for each group of each prediction; the group without a module has no name."""
    return write_csv(COLUMNS, (row for prediction in report.predictions for row in _rows(report, prediction)))


def _rows(report: GroupReport, prediction: Prediction) -> Iterator[tuple[Any, ...]]:
    about = (prediction.model, prediction.device, format_dims(prediction.dims))
    for g in report.groups(prediction):
        yield (*about, g.name, g.kernels, f"{g.latency_ms:.6g}", f"{g.share:.6g}", g.flops, g.bytes, g.parameters)
