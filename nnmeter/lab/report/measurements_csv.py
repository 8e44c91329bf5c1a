"""Measurements of whole models as CSV."""

from __future__ import annotations

from nnmeter.lab.report.measurements import COLUMNS, Sitting, values
from nnmeter.report.documents import write_csv
from nnmeter.report.registry import Layout


def render(sitting: Sitting, layout: Layout) -> str:
    """A row a model; times with six significant digits."""
    rows = ([f"{v:.6g}" if isinstance(v, float) else v for v in values(m)] for m in sitting.measurements)
    return write_csv(COLUMNS, rows)
