"""The time of predictions by group as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from nnmeter.prediction.prediction import Prediction
from nnmeter.report.documents import to_json
from nnmeter.report.groups import GroupReport
from nnmeter.report.registry import Layout

SCHEMA_VERSION = 1


def render(report: GroupReport, layout: Layout) -> str:
    """One object for one prediction, a list in order for several; see `docs/cli.md`."""
    documents = [_document(report, prediction) for prediction in report.predictions]
    content: Any = documents if layout.several else documents[0]
    return to_json(content)


def _document(report: GroupReport, prediction: Prediction) -> dict[str, Any]:
    from nnmeter._version import __version__

    return {
        "schema_version": SCHEMA_VERSION,
        "nnmeter_version": __version__,
        "device": prediction.device,
        "model": prediction.model,
        "dims": dict(prediction.dims),
        "latency_ms": prediction.latency_ms,
        "overhead_ms": prediction.overhead_ms,
        "by": report.by,
        "groups": [asdict(group) for group in report.groups(prediction)],
    }
