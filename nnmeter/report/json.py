"""Predictions as JSON: the schema is `docs/schema/prediction.schema.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.render import Layout

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction


def render(predictions: Sequence[Prediction], layout: Layout) -> str:
    """One object for one prediction, a list in order for several."""
    documents = [prediction.to_dict() for prediction in predictions]
    content = documents if layout.several else documents[0]
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
