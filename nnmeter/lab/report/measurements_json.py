"""Measurements of whole models as JSON."""

from __future__ import annotations

from nnmeter.lab.report.measurements import Sitting
from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout


def render(sitting: Sitting, layout: Layout) -> str:
    """Every model with its times, and how far they can be trusted."""
    return to_json(sitting.to_dict())
