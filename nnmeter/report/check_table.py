"""What became of budgets as a table for a person at a terminal."""

from __future__ import annotations

from nnmeter.checks.check import CheckResult
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text


def render(result: CheckResult, layout: Layout) -> str:
    """A row a limit, in the order of the budgets; below, what makes those fail that do."""
    text = Text(layout.width, layout.colour)
    devices = {finding.key.device for finding in result.findings}
    sized = any(finding.key.sizes for finding in result.findings)
    headings, kinds = ["", "model"], "ln"
    if sized:
        headings.append("sizes")
        kinds += "l"
    if len(devices) > 1:
        headings.append("device")
        kinds += "l"
    headings += ["budget", "is", "may be"]
    kinds += "lll"
    rows = []
    for finding in result.findings:
        row = ["ok" if finding.holds else "OVER", finding.key.model]
        if sized:
            row.append(finding.key.sizes)
        if len(devices) > 1:
            row.append(finding.key.device)
        rows.append([*row, finding.budget, finding.value_words, finding.bound_words])
    if len(devices) == 1:
        text.add(f"on {devices.pop()}")
    text.add_table(headings, kinds, [rows])
    for finding in result.failed:
        if finding.why:
            text.add(f"{text.bold(str(finding.key))}: {finding.words}")
            for line in finding.why:
                text.add(f"  {line}")
    text.add()
    text.add(result.summary)
    return str(text)
