"""The kernels of a model as JSON."""

from __future__ import annotations

from typing import Any

from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout


def render(document: dict[str, Any], layout: Layout) -> str:
    """The document that `kernels_to_dict` made."""
    return to_json(document)
