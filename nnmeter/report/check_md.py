"""What became of budgets as Markdown: for the summary of a workflow's step, or a pull request."""

from __future__ import annotations

from nnmeter.checks.check import CheckResult
from nnmeter.report.markdown import escape, markdown_table
from nnmeter.report.registry import Layout


def render(result: CheckResult, layout: Layout) -> str:
    """A table with a row a limit; below, what makes those fail that do."""
    rows = [
        (
            "ok" if finding.holds else "**over**",
            f"`{finding.key.model}`",
            finding.key.sizes,
            finding.key.device,
            finding.budget,
            finding.value_words,
            finding.bound_words,
        )
        for finding in result.findings
    ]
    lines = ["## Latency budgets", "", f"{result.summary}.", ""]
    lines += markdown_table(("", "model", "sizes", "device", "budget", "is", "may be"), "lllllll", rows)
    for finding in result.failed:
        if finding.why:
            lines += ["", f"{escape(str(finding.key))}: {escape(finding.words)}", ""]
            lines += [f"- {escape(line)}" for line in finding.why]
    return "\n".join(lines) + "\n"
