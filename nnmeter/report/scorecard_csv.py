"""The models of a scorecard as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.report.documents import write_csv
from nnmeter.report.registry import Layout

_COLUMNS = ("model", "family", "measured_ms", "predicted_ms", "low_ms", "high_ms", "fallback")


def render(scorecard: Mapping[str, Any], layout: Layout) -> str:
    """A row a model: measured, predicted, the halves of the measuring, and what each baseline says."""
    baselines = sorted(scorecard.get("baselines", {}))
    verdict = (scorecard.get("machine") or {}).get("verdict", "")
    rows = []
    for model in scorecard.get("models", ()):
        priced = model.get("baselines_ms", {})
        halves = model.get("halves_ms") or ("", "")
        rows.append(
            [
                *(model.get(column, "") for column in _COLUMNS),
                *halves,
                *(priced.get(name, "") for name in baselines),
                model.get("state_ms") or "",
                verdict,
            ]
        )
    behind = ["half_a_ms", "half_b_ms", *(f"{name}_ms" for name in baselines), "state_ms", "machine"]
    return write_csv([*_COLUMNS, *behind], rows)
