"""Predictions as tables for a person at a terminal; the same layout without colour in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.columns import columns_of, format_dims, heading_of, label_of
from nnmeter.report.machine import say_machines, warn_of_another_machine
from nnmeter.report.numbers import format_share, memory_line, time_unit
from nnmeter.report.outside import outside_lines
from nnmeter.report.registry import Layout
from nnmeter.report.sorting import sorted_kernels, sorted_predictions
from nnmeter.report.text import Text

if TYPE_CHECKING:
    from nnmeter.graph.notes import Note
    from nnmeter.prediction.prediction import Prediction

_OF_SHAPES = ("bounded", "assumed", "estimated", "empty")
_BOUNDS_SHOWN = 10  # warnings about shapes that depend on data; a detector can have hundreds


def render(predictions: Sequence[Prediction], layout: Layout) -> str:
    """A summary with the most expensive kernels for one prediction, a row each for several."""
    text = Text(layout.width, layout.colour)
    warning = warn_of_another_machine(predictions)
    if warning:
        text.add_wrapped(warning)
    if layout.several:
        _add_several(text, sorted_predictions(predictions, layout), layout.explain)
    else:
        _add_single(text, predictions[0], layout)
    return str(text)


def _add_single(text: Text, prediction: Prediction, layout: Layout) -> None:
    total = prediction.latency_ms
    unit = time_unit([total])
    sizes = f" ({format_dims(prediction.dims)})" if prediction.dims else ""
    text.add(f"{text.bold(prediction.model)}{sizes} on {prediction.device}")
    text.add(
        f"{text.bold(f'{unit.format(total)} {unit.name}')}, "
        f"{round(100 * prediction.confidence)} % interval {unit.format_interval(prediction.interval_ms)} {unit.name}"
    )
    trained, fallback = prediction.coverage["trained"], prediction.coverage["fallback"]
    text.add(
        f"coverage: {format_share(trained)} of the time by trained predictors, {format_share(fallback)} by the fallback"
    )
    if prediction.memory is not None:
        text.add(memory_line(prediction.memory))
    machine = say_machines([prediction])
    if machine:
        text.add_wrapped(machine)
    shown, rest = sorted_kernels(prediction.kernels, layout)
    rows = [
        (
            k.name,
            k.type,
            unit.format(k.latency_ms),
            format_share(k.latency_ms / total),
            "" if k.source == "trained" else k.source,
        )
        for k in shown
    ]
    remainder = {f"{len(rest)} more": sum(k.latency_ms for k in rest), "overhead": prediction.overhead_ms}
    others = [(name, "", unit.format(ms), format_share(ms / total), "") for name, ms in remainder.items() if ms > 0]
    text.add_table(("kernel", "type", unit.name, "share", ""), "nnrrl", [rows, others] if others else [rows])
    for line in outside_lines(prediction, layout.explain):
        text.add(line)
    text.add_warnings(_unsaid(prediction.warnings))


def _add_several(text: Text, predictions: Sequence[Prediction], explain: bool) -> None:
    heading = heading_of(predictions)
    if heading:
        text.add(text.bold(heading))
    columns = columns_of(predictions)
    rows = [tuple(column.cell(prediction) for column in columns) for prediction in predictions]
    kinds = "".join(column.kind for column in columns)
    text.add_table([column.heading for column in columns], kinds, [rows])
    machines = say_machines(predictions)
    if machines:
        text.add_wrapped(machines)
    labels = {id(prediction): label_of(prediction, predictions) for prediction in predictions}
    if explain:
        for prediction in predictions:
            if prediction.outside:
                text.add(text.bold(labels[id(prediction)]))
                for line in outside_lines(prediction, True):
                    text.add(line)
                text.add()
    said: dict[str, list[str]] = {}
    for prediction in predictions:
        for warning in _unsaid(prediction.warnings):
            said.setdefault(warning, []).append(labels[id(prediction)])
    text.add_warnings(
        [
            f"{warning} ({names[0]}{f' and {len(names) - 1} more' if names[1:] else ''})"
            for warning, names in said.items()
        ]
    )


def _unsaid(warnings: Sequence[Note]) -> Sequence[str]:
    """The warnings but those that the tables say in more detail, which kernels are outside of the trained range.

    Of shapes that depend on data, only the first are told one by one.
    """
    rest: list[Note] = [w for w in warnings if w.code not in ("fallback", "outside")]
    bounds = [w for w in rest if w.code in _OF_SHAPES]
    if len(bounds) <= _BOUNDS_SHOWN:
        return rest
    hidden = len(bounds) - _BOUNDS_SHOWN
    more = f"{hidden} more tensors whose shapes depend on data are bounded or assumed (--format json names them)"
    return [*map(str, bounds[:_BOUNDS_SHOWN]), more, *(w for w in rest if w.code not in _OF_SHAPES)]
