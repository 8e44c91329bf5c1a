"""The kernels of a model as a table."""

from __future__ import annotations

from typing import Any

from nnmeter.report.kernels import render_table
from nnmeter.report.registry import Layout


def render(document: dict[str, Any], layout: Layout) -> str:
    """The document that `kernels_to_dict` made: a row a kernel."""
    return render_table(document, layout)
