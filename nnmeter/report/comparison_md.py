"""Comparisons as Markdown, to paste into a pull request."""

from __future__ import annotations

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
from nnmeter.report.markdown import escape, markdown_table
from nnmeter.report.numbers import format_ms
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.comparison.comparison import Comparison


def render(report: ComparisonReport, layout: Layout) -> str:
    """A section for one comparison; for several a table with a row each, and what made each folded below it."""
    predictions = [p for c in report.comparisons for p in (c.before, c.after)]
    warning = warn_of_another_machine(predictions)
    lines = [f"> {escape(warning)}", ""] if warning else []
    if len(report.comparisons) > 1:
        lines += _overview(report)
        for comparison in report.comparisons:
            lines += ["", *_folded(report, comparison)]
    else:
        first, second, where = heading_of(report.comparisons[0])
        lines += [f"## {escape(f'{first} -> {second}{where}')}", "", *_single(report, report.comparisons[0])]
    machines = say_machines(predictions)
    if machines:
        lines += ["", escape(machines[0].upper() + machines[1:] + ".")]
    said = list(dict.fromkeys(str(w) for p in predictions for w in p.warnings))
    if said:
        lines += ["", "Warnings:", "", *(f"- {escape(warning)}" for warning in said)]
    return "\n".join(lines) + "\n"


def _single(report: ComparisonReport, comparison: Comparison) -> list[str]:
    before = comparison.before
    lines = [f"**{escape(verdict_of(comparison))}.** {escape(difference_of(comparison))}.", ""]
    rows = times_of(comparison)
    confidence = round(100 * before.confidence)
    lines += markdown_table(("", "ms", f"{confidence} % interval", "kernels"), "lrrr", rows)
    if comparison.verdict == "equal":
        return lines
    kinds = [
        (g.name, str(g.kernels_before), str(g.kernels_after), format_ms(g.before_ms), format_ms(g.after_ms),
         format_change(g.difference_ms))
        for g in comparison.by_kind()
    ]  # fmt: skip
    heading = ("kernels before", "kernels after", "before ms", "after ms", "difference")
    lines += ["", *markdown_table(("what became of kernels", *heading), "lrrrrr", kinds)]
    groups = report.groups(comparison)
    if groups:
        grouped = [
            (report.label(g), str(g.kernels_before), str(g.kernels_after), format_ms(g.before_ms),
             format_ms(g.after_ms), format_change(g.difference_ms))
            for g in groups
        ]  # fmt: skip
        lines += ["", *markdown_table((str(report.by), *heading), "lrrrrr", grouped)]
    changes = [
        (f"`{c.kernel.name}`", c.kernel.type, c.kind, format_ms(c.before_ms), format_ms(c.after_ms),
         format_change(c.difference_ms), c.detail)
        for c in report.greatest(comparison)
    ]  # fmt: skip
    if changes:
        columns = ("kernel", "type", "what", "before ms", "after ms", "difference", "")
        lines += ["", *markdown_table(columns, "lllrrrl", changes)]
    return lines


def _folded(report: ComparisonReport, comparison: Comparison) -> list[str]:
    """One comparison of several, to be unfolded in a pull request; the empty lines let it be read as Markdown."""
    first, second, where = heading_of(comparison)
    heading = escape(f"{first} -> {second}{where}")
    opened = "<details open>" if report.in_detail else "<details>"
    return [opened, f"<summary>{heading}</summary>", "", *_single(report, comparison), "", "</details>"]


def _overview(report: ComparisonReport) -> list[str]:
    overview = overview_of(report)
    rows = [(*row, verdict_of(c)) for row, c in zip(overview.rows, report.comparisons, strict=True)]
    headings = (*overview.headings, "verdict")
    alignment = "l" * (len(headings) - 6) + "rrrrrl"
    heading = f"Compared with {escape(overview.subject + overview.where)}:"
    return [heading, "", *markdown_table(headings, alignment, rows)]
