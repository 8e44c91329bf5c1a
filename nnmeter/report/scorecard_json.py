"""A scorecard as JSON: the object that `Scorecard.to_dict` made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout


def render(scorecard: Mapping[str, Any], layout: Layout) -> str:
    """The scorecard as it is."""
    return to_json(scorecard)
