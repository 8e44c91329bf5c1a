"""The trace of detection as JSON, beside the kernels."""

from __future__ import annotations

from typing import Any

from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout


def render(document: dict[str, Any], layout: Layout) -> str:
    """The document of `kernels_to_dict` with its `trace`."""
    return to_json(document)
