"""What `nnmeter devices refresh` changed, as JSON."""

from __future__ import annotations

from nnmeter.prediction.refresh import Refresh
from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout


def render(refresh: Refresh, layout: Layout) -> str:
    """The object of `Refresh.to_dict`."""
    return to_json(refresh.to_dict())
