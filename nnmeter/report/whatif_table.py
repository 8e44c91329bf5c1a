"""What-if as a table for a person at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.comparison import format_change, format_percent
from nnmeter.report.machine import warn_of_another_machine
from nnmeter.report.numbers import format_interval, format_ms
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text
from nnmeter.wording import format_probability

if TYPE_CHECKING:
    from nnmeter.advice.what_if import Step, WhatIf


def render(found: Sequence[WhatIf], layout: Layout) -> str:
    """A table a device: a row for the model as it is, and one for each change, with all before it."""
    text = Text(layout.width, layout.colour)
    warning = warn_of_another_machine([w.before.prediction for w in found])
    if warning:
        text.add_wrapped(warning)
    for one in found:
        text.add(f"{text.bold(one.model)} on {one.device}")
        text.add(text.bold(sentence_of(one)))
        headings, kinds, rows = table_of(one)
        text.add_table(headings, kinds, [rows[:1], rows[1:]])
    said = dict.fromkeys(str(w) for one in found for step in one.steps for w in step.prediction.warnings)
    text.add_warnings(list(said))
    return str(text)


def table_of(one: WhatIf) -> tuple[tuple[str, ...], str, list[tuple[str, ...]]]:
    """Headings, kinds and rows of the table of one device; throughput only where the batch changes."""
    confidence = round(100 * one.confidence)
    interval = f"{confidence} % interval"
    headings: tuple[str, ...] = ("", "ms", interval, "difference", interval, "", "kernels")
    kinds = "trrrrrr"
    batches = len({step.items for step in one.steps}) > 1
    if batches:
        headings, kinds = (*headings, "items", "items/s"), f"{kinds}rr"
    rows: list[tuple[str, ...]] = []
    for number, step in enumerate(one.steps):
        row = (
            step.label if number < 2 else f"+ {step.label}",
            format_ms(step.prediction.latency_ms),
            format_interval(step.prediction.interval_ms),
            *_difference(step),
            str(len(step.prediction.kernels)),
        )
        rows.append((*row, str(step.items), format_ms(step.items_per_second)) if batches else row)
    return headings, kinds, rows


def _difference(step: Step) -> tuple[str, str, str]:
    if step.comparison is None:
        return "", "", ""
    low, high = step.comparison.difference_interval_ms
    return (
        format_change(step.comparison.difference_ms),
        f"{format_change(low)} to {format_change(high)}",
        format_percent(step.comparison.ratio),
    )


def sentence_of(one: WhatIf) -> str:
    """What all changes together bring, in a sentence without its full stop."""
    last = one.after
    comparison = last.comparison
    if comparison is None or comparison.verdict == "equal":
        return "it would take the same time: the device executes the same kernels"
    if last.items != one.before.items:
        factor = last.items_per_second / one.before.items_per_second
        return (
            f"{format_ms(last.items_per_second)} items a second in place of "
            f"{format_ms(one.before.items_per_second)}: {factor:.2f} times as many"
        )
    slower = comparison.probability_slower
    if comparison.verdict == "cannot tell":
        leaning, sure = ("slower", slower) if slower >= 0.5 else ("faster", 1 - slower)
        return f"cannot tell: it would be {leaning} with a probability of {format_probability(sure)} only"
    times = (
        f"{1 / comparison.ratio:.2f} times as fast" if comparison.ratio < 1 else f"{comparison.ratio:.2f} times as long"
    )
    known = format_probability(max(slower, 1 - slower))
    return f"it would be {comparison.verdict} with a probability of {known}: {times}"
