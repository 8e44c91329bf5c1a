"""The times that were checked as github-action-benchmark takes them with the tool `customSmallerIsBetter`.

It keeps them from commit to commit and draws them. A list of objects of `name`, `unit`, `value` and `range`.
"""

from __future__ import annotations

from nnmeter.checks.check import CheckResult
from nnmeter.report.documents import to_json
from nnmeter.report.numbers import format_interval
from nnmeter.report.registry import Layout


def render(result: CheckResult, layout: Layout) -> str:
    """An object a model, device and combination of sizes; milliseconds, with their interval."""
    return to_json(
        [
            {
                "name": str(key),
                "unit": "ms",
                "value": float(f"{prediction.latency_ms:.6g}"),
                "range": format_interval(prediction.interval_ms),
            }
            for key, prediction in result.predictions.items()
        ]
    )
