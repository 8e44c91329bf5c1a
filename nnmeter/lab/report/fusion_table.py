"""What was found out about a device's fusion rules, for a person at a terminal."""

from __future__ import annotations

from nnmeter.lab.discovery.findings import Discovery
from nnmeter.lab.report.findings import HEADINGS, cells, device_name, differing, summary
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text


def render(discovery: Discovery, layout: Layout) -> str:
    """A row a test, what each source says, and where they differ."""
    text = Text(layout.width, layout.colour)
    text.add(f"fusion rules of {text.bold(device_name(discovery))}")
    text.add_table(HEADINGS, "llrllt", [[cells(finding) for finding in discovery.findings]])
    for sentence in summary(discovery):
        text.add_wrapped(sentence)
    differences = differing(discovery)
    if differences:
        text.add("where the sources differ:")
        for line in differences:
            text.add(f"  {line}")
    text.add_warnings([f"{finding.test.name}: {finding.fault}" for finding in discovery.findings if finding.fault])
    return str(text)
