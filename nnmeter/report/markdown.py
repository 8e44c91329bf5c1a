"""Predictions as Markdown, to paste into an issue or a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from nnmeter.report.numbers import fallback_types, format_interval, format_ms, format_share, most_expensive
from nnmeter.report.render import Layout
from nnmeter.report.text import printable

if TYPE_CHECKING:
    from nnmeter.predictor.latency import Prediction


def render(predictions: Sequence[Prediction], layout: Layout) -> str:
    """A section for one model, a table with a row a model for several."""
    return _several(predictions) if layout.several else _single(predictions[0])


def _single(prediction: Prediction) -> str:
    confidence = round(100 * prediction.confidence)
    lines = [
        f"## {_escape(prediction.model)} on {_escape(prediction.device)}",
        "",
        f"**{format_ms(prediction.latency_ms)} ms**, "
        f"{confidence} % interval {format_interval(prediction.interval_ms)} ms. Coverage: "
        f"{format_share(prediction.coverage['trained'])} of the time priced by trained predictors, "
        f"{format_share(prediction.coverage['fallback'])} by the analytic fallback.",
        "",
    ]
    rows = [
        (
            f"`{kernel.name}`",
            kernel.type,
            format_ms(kernel.latency_ms),
            format_share(kernel.latency_ms / prediction.latency_ms if prediction.latency_ms else 0.0),
            kernel.source,
        )
        for kernel in most_expensive(prediction.kernels)
    ]
    lines += markdown_table(("kernel", "type", "ms", "share", "priced by"), "llrrl", rows)
    groups = fallback_types(prediction.kernels)
    if groups:
        parts = (f"{_escape(kind)} ×{count} ({format_ms(total)} ms)" for kind, count, total in groups)
        lines += ["", "Priced by the analytic fallback: " + ", ".join(parts) + "."]
    lines += _warnings(prediction.warnings)
    return "\n".join(lines) + "\n"


def _several(predictions: Sequence[Prediction]) -> str:
    rows = [
        (
            prediction.model,
            format_ms(prediction.latency_ms),
            format_interval(prediction.interval_ms),
            format_share(prediction.coverage["trained"]),
            str(len(prediction.kernels)),
        )
        for prediction in predictions
    ]
    lines = [f"Predicted on {_escape(', '.join(dict.fromkeys(p.device for p in predictions)))}:", ""]
    lines += markdown_table(("model", "ms", "interval", "trained", "kernels"), "lrrrr", rows)
    lines += _warnings(f"{p.model}: {warning}" for p in predictions for warning in p.warnings)
    return "\n".join(lines) + "\n"


def markdown_table(header: Sequence[str], align: str, rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; `align` has an `l` or `r` a column."""
    marks = ["---:" if side == "r" else "---" for side in align]
    return [_row(header), _row(marks), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escape, cells)) + " |"


def _warnings(warnings: Iterable[str]) -> list[str]:
    items = [f"- {_escape(warning)}" for warning in warnings]
    return ["", "Warnings:", "", *items] if items else []


def _escape(text: str) -> str:
    """Text that is one cell and no markup: names come from files, and pages that show Markdown may take HTML in it."""
    return printable(text.replace("\n", " ")).replace("|", "\\|").replace("<", "&lt;")
