"""Comparisons as JSON: the schema is `docs/schema/comparison.schema.json`."""

from __future__ import annotations

from nnmeter.report.comparison import ComparisonReport
from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout


def render(report: ComparisonReport, layout: Layout) -> str:
    """One object for one comparison, a list in order for several."""
    documents = [comparison.to_dict() for comparison in report.comparisons]
    return to_json(documents if len(documents) != 1 else documents[0])
