"""Measurements of whole models as Markdown."""

from __future__ import annotations

from nnmeter.lab.report.measurements import HEADINGS, Sitting, cells, facts
from nnmeter.report.markdown import escape, markdown_table
from nnmeter.report.registry import Layout


def render(sitting: Sitting, layout: Layout) -> str:
    """A row a model, then how far they can be trusted."""
    lines = [f"## Measured with {escape(sitting.device)}", ""]
    lines += markdown_table(HEADINGS, "l" + "r" * (len(HEADINGS) - 1), [cells(m) for m in sitting.measurements])
    lines += ["", *(f"- **{name}**: {escape(text)}" for name, text in facts(sitting))]
    return "\n".join(lines) + "\n"
