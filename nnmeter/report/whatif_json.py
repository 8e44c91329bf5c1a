"""What-if as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.advice.what_if import WhatIf


def render(found: Sequence[WhatIf], layout: Layout) -> str:
    """One object for one device, a list in order for several."""
    documents = [one.to_dict() for one in found]
    return to_json(documents if layout.several else documents[0])
