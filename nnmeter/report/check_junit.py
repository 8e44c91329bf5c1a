"""What became of budgets as JUnit XML, which most systems that run tests can show.

A model on a device is a test suite's class, a limit is a test case, and one that is exceeded is a failure.
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from nnmeter.checks.check import CheckResult, Finding
from nnmeter.report.registry import Layout
from nnmeter.report.text import printable


def render(result: CheckResult, layout: Layout) -> str:
    """One suite with a case a limit."""
    count, failed = len(result.findings), len(result.failed)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="nnmeter check" tests="{count}" failures="{failed}">',
        f'  <testsuite name="nnmeter check" tests="{count}" failures="{failed}" errors="0" skipped="0">',
    ]
    for finding in result.findings:
        lines += _case(finding)
    return "\n".join([*lines, "  </testsuite>", "</testsuites>", ""])


def _case(finding: Finding) -> list[str]:
    name = f"{finding.budget}: {finding.limit} of {finding.key}"
    head = f"    <testcase classname={_attribute(finding.key.model)} name={_attribute(name)}"
    if finding.holds:
        return [f"{head}/>"]
    return [
        f"{head}>",
        f"      <failure type={_attribute(finding.limit)} message={_attribute(finding.words)}>"
        f"{escape(printable(' | '.join(finding.why)))}</failure>",
        "    </testcase>",
    ]


def _attribute(text: str) -> str:
    return quoteattr(printable(text))
