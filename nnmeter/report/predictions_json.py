"""Predictions as JSON: the schema is `docs/schema/prediction.schema.json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction


def render(predictions: Sequence[Prediction], layout: Layout) -> str:
    """One object for one prediction, a list in order for several."""
    documents = [prediction.to_dict() for prediction in predictions]
    content = documents if layout.several else documents[0]
    return to_json(content)
