"""A sweep as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.advice.sweep import Sweep


def render(found: Sweep, layout: Layout) -> str:
    """One object."""
    return to_json(found.to_dict())
