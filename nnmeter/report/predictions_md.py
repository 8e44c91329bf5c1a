"""Predictions as Markdown, to paste into an issue or a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from nnmeter.report.columns import columns_of, format_dims, heading_of, label_of
from nnmeter.report.machine import say_machines, warn_of_another_machine
from nnmeter.report.markdown import escape, markdown_table
from nnmeter.report.numbers import format_ms, format_share, memory_line, time_unit
from nnmeter.report.outside import TITLE, describe_gap, summarize_outside
from nnmeter.report.registry import Layout
from nnmeter.report.sorting import sorted_kernels, sorted_predictions

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction


def render(predictions: Sequence[Prediction], layout: Layout) -> str:
    """A section for one prediction, a table with a row each for several."""
    warning = warn_of_another_machine(predictions)
    before = f"> {escape(warning)}\n\n" if warning else ""
    several = sorted_predictions(predictions, layout)
    text = _several(several, layout.explain) if layout.several else _single(predictions[0], layout)
    return before + text


def _single(prediction: Prediction, layout: Layout) -> str:
    confidence = round(100 * prediction.confidence)
    unit = time_unit([prediction.latency_ms])
    sizes = escape(f" ({format_dims(prediction.dims)})") if prediction.dims else ""
    lines = [
        f"## {escape(prediction.model)}{sizes} on {escape(prediction.device)}",
        "",
        f"**{unit.format(prediction.latency_ms)} {unit.name}**, "
        f"{confidence} % interval {unit.format_interval(prediction.interval_ms)} {unit.name}. Coverage: "
        f"{format_share(prediction.coverage['trained'])} of the time priced by trained predictors, "
        f"{format_share(prediction.coverage['fallback'])} by the analytic fallback.",
        *([] if prediction.memory is None else ["", memory_line(prediction.memory)]),
        "",
        *_machines([prediction]),
    ]
    rows = [
        (
            f"`{kernel.name}`",
            kernel.type,
            unit.format(kernel.latency_ms),
            format_share(kernel.latency_ms / prediction.latency_ms if prediction.latency_ms else 0.0),
            kernel.source,
        )
        for kernel in sorted_kernels(prediction.kernels, layout)[0]
    ]
    lines += markdown_table(("kernel", "type", unit.name, "share", "priced by"), "llrrl", rows)
    lines += _outside(prediction, layout.explain)
    lines += _warnings(prediction.warnings)
    return "\n".join(lines) + "\n"


def _outside(prediction: Prediction, explain: bool) -> list[str]:
    """What is outside of the trained range: a line a type, or with `explain` one for all that each kernel lacks."""
    if not prediction.outside:
        return []
    lines = ["", f"{TITLE.capitalize()}, {format_share(prediction.outside_share)} of the time:", ""]
    if explain:
        rows = [
            (f"`{k.name}`", k.type, format_ms(k.latency_ms), "; ".join(map(describe_gap, k.gaps)))
            for k in prediction.outside
        ]
        lines += markdown_table(("kernel", "type", "ms", "what is missing"), "llrl", rows)
    else:
        lines += [
            f"- {escape(group.type)} ×{group.count} ({format_ms(group.latency_ms)} ms): {group.reason}"
            for group in summarize_outside(prediction.outside)
        ]
    return [*lines, "", "To train it:", "", *(f"    {command}" for command in prediction.advice)]


def _several(predictions: Sequence[Prediction], explain: bool) -> str:
    columns = columns_of(predictions)
    align = "".join("r" if column.kind == "r" else "l" for column in columns)
    rows = [tuple(column.cell(prediction) for column in columns) for prediction in predictions]
    heading = heading_of(predictions)
    lines = [f"Predicted {escape(heading)}:" if heading else "Predicted:", ""]
    lines += markdown_table([column.heading for column in columns], align, rows)
    lines += ["", *_machines(predictions)][:-1]
    for prediction in predictions if explain else ():
        if prediction.outside:
            lines += ["", f"### {escape(label_of(prediction, predictions))}", *_outside(prediction, True)]
    said: dict[str, list[str]] = {}
    for prediction in predictions:
        for warning in prediction.warnings:
            said.setdefault(warning, []).append(label_of(prediction, predictions))
    lines += _warnings(
        f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {warning}" for warning, names in said.items()
    )
    return "\n".join(lines) + "\n"


def _warnings(warnings: Iterable[str]) -> list[str]:
    items = [f"- {escape(warning)}" for warning in warnings]
    return ["", "Warnings:", "", *items] if items else []


def _machines(predictions: Sequence[Prediction]) -> list[str]:
    """What the devices are to this machine, and an empty line."""
    said = say_machines(predictions)
    return [escape(said[0].upper() + said[1:] + "."), ""] if said else []
