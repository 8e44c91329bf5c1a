"""What zeros bring, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.sparsity.sparsity import SparsityPrediction


def render(found: Sequence[SparsityPrediction], layout: Layout) -> str:
    """One object for one prediction, a list in order for several."""
    documents = [prediction.to_dict() for prediction in found]
    return to_json(documents if layout.several else documents[0])
