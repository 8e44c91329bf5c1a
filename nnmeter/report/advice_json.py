"""Advice as JSON."""

from __future__ import annotations

from nnmeter.report.advice import AdviceReport
from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout


def render(report: AdviceReport, layout: Layout) -> str:
    """One object with all changes, whatever `--top` says."""
    return to_json(report.advised.to_dict())
