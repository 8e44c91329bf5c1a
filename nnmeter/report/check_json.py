"""What became of budgets as JSON: the schema is `docs/schema/check.schema.json`."""

from __future__ import annotations

from typing import Any

from nnmeter.checks.check import CheckResult, Finding
from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout

SCHEMA_VERSION = 1


def render(result: CheckResult, layout: Layout) -> str:
    """One object with a list of findings."""
    return to_json(
        {
            "schema_version": SCHEMA_VERSION,
            "holds": not result.failed,
            "summary": result.summary,
            "findings": [_finding(finding) for finding in result.findings],
        }
    )


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "budget": finding.budget,
        "model": finding.key.model,
        "device": finding.key.device,
        "sizes": finding.key.sizes,
        "limit": finding.limit,
        "value": finding.value,
        "bound": finding.bound,
        "holds": finding.holds,
        "words": finding.words,
        "why": list(finding.why),
    }
