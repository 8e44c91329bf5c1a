"""A scorecard as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.report.machine import warn_of_measured_machine
from nnmeter.report.markdown import escape, markdown_table
from nnmeter.report.registry import Layout
from nnmeter.report.scorecard import scorecard_facts, scorecard_tables


def render(scorecard: Mapping[str, Any], layout: Layout) -> str:
    """A section: facts, then the tables."""
    warning = warn_of_measured_machine(scorecard.get("machine"))
    lines = [
        *([f"> {escape(warning)}", ""] if warning else []),
        f"## Scorecard of {escape(str(scorecard.get('device', '')))}",
        "",
    ]
    lines += [f"- **{name}**: {escape(text)}" for name, text in scorecard_facts(scorecard)]
    for heading, columns, rows in scorecard_tables(scorecard):
        lines += ["", *markdown_table((heading, *columns), "l" + "r" * len(columns), rows)]
    return "\n".join(lines) + "\n"
