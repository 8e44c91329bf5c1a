"""What was found out about a device's fusion rules, as Markdown."""

from __future__ import annotations

from nnmeter.lab.discovery.findings import Discovery
from nnmeter.lab.report.findings import HEADINGS, cells, device_name, differing, summary
from nnmeter.report.markdown import escape, markdown_table
from nnmeter.report.registry import Layout


def render(discovery: Discovery, layout: Layout) -> str:
    """A row a test, and where the sources differ."""
    lines = [f"## Fusion rules of {device_name(discovery)}", "", " ".join(summary(discovery)), ""]
    lines += markdown_table(HEADINGS, "llrlll", [cells(finding) for finding in discovery.findings])
    differences = differing(discovery)
    if differences:
        lines += ["", "Where the sources differ:", "", *(f"- {escape(line)}" for line in differences)]
    return "\n".join(lines) + "\n"
