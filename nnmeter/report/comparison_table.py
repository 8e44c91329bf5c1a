"""Comparisons as tables for a person at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.comparison import (
    ComparisonReport,
    difference_of,
    format_change,
    heading_of,
    overview_of,
    times_of,
    verdict_of,
)
from nnmeter.report.machine import say_machines, warn_of_another_machine
from nnmeter.report.numbers import format_ms
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

if TYPE_CHECKING:
    from nnmeter.comparison.changes import Change
    from nnmeter.comparison.comparison import Comparison


def render(report: ComparisonReport, layout: Layout) -> str:
    """Who is faster and what makes the difference for one comparison, a row each for several."""
    text = Text(layout.width, layout.colour)
    predictions = [p for c in report.comparisons for p in (c.before, c.after)]
    warning = warn_of_another_machine(predictions)
    if warning:
        text.add_wrapped(warning)
    if len(report.comparisons) > 1:
        _add_overview(text, report)
    else:
        _add_single(text, report, report.comparisons[0])
    machines = say_machines(predictions)
    if machines:
        text.add_wrapped(machines)
    said = dict.fromkeys(str(w) for p in predictions for w in p.warnings)
    text.add_warnings(list(said))
    return str(text)


def _add_single(text: Text, report: ComparisonReport, comparison: Comparison) -> None:
    before, after = comparison.before, comparison.after
    first, second, where = heading_of(comparison)
    text.add(f"{text.bold(first)} -> {text.bold(second)}{where}")
    text.add(f"{text.bold(verdict_of(comparison))}")
    text.add(difference_of(comparison))
    rows = times_of(comparison)
    confidence = round(100 * before.confidence)
    text.add_table(("", "ms", f"{confidence} % interval", "kernels"), "nrrr", [rows])
    if comparison.verdict == "equal":
        return
    kinds = [
        (g.name, _counts(g.kernels_before, g.kernels_after), format_ms(g.before_ms), format_ms(g.after_ms),
         format_change(g.difference_ms))
        for g in comparison.by_kind()
    ]  # fmt: skip
    overhead = before.overhead_ms, after.overhead_ms
    last = ("overhead", "", *map(format_ms, overhead), format_change(comparison.overhead_difference_ms))
    sections: list[Sequence[Sequence[str]]] = [kinds, [last]] if max(overhead) > 0 else [kinds]
    text.add_table(("what became of kernels", "kernels", "before ms", "after ms", "difference"), "trrrr", sections)
    groups = report.groups(comparison)
    if groups:
        grouped = [
            (report.label(g), _counts(g.kernels_before, g.kernels_after), format_ms(g.before_ms), format_ms(g.after_ms),
             format_change(g.difference_ms))
            for g in groups
        ]  # fmt: skip
        text.add_table((str(report.by), "kernels", "before ms", "after ms", "difference"), "nrrrr", [grouped])
    changes = [_row(change) for change in report.greatest(comparison)]
    if changes:
        text.add_table(("kernel", "type", "what", "before ms", "after ms", "difference", ""), "nntrrrt", [changes])


def _add_overview(text: Text, report: ComparisonReport) -> None:
    overview = overview_of(report)
    rows = [(*row, c.verdict) for row, c in zip(overview.rows, report.comparisons, strict=True)]
    text.add(f"compared with {text.bold(overview.subject)}{overview.where}")
    headings = (*overview.headings, "")
    text.add_table(headings, "n" * (len(headings) - 6) + "rrrrrt", [rows])
    several = len(report.devices) > 1
    for comparison in report.comparisons:
        on = f", on {comparison.after.device}" if several else ""
        text.add_wrapped(f"{verdict_of(comparison)}{on}")
    if report.in_detail:
        for comparison in report.comparisons:
            text.add()
            _add_single(text, report, comparison)


def _row(change: Change) -> tuple[str, ...]:
    kernel = change.kernel
    return (
        kernel.name,
        kernel.type,
        change.kind,
        format_ms(change.before_ms),
        format_ms(change.after_ms),
        format_change(change.difference_ms),
        change.detail,
    )


def _counts(before: int, after: int) -> str:
    return str(before) if before == after else f"{before} -> {after}"
