"""A pruned model as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.pruning.pruned import Pruned


def render(pruned: Pruned, layout: Layout) -> str:
    """One object: times, removals with their gains, and what gains nothing."""
    return to_json(pruned.to_dict())
