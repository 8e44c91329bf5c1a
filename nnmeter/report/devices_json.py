"""The list of device packs as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.report.devices import SCHEMA_VERSION, DeviceList
from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout

_DETAILS = ("families", "kernels", "models")  # of a scorecard; `nnmeter devices show` has them


def render(listed: DeviceList, layout: Layout) -> str:
    """Each pack with its card, and its scorecard without details."""
    devices = [
        {
            "id": d.id,
            "path": str(d.path),
            "place": d.card.place,
            "kind": d.card.kind,
            "nearest": d.id == listed.nearest,
            "machine": listed.machines[d.id].to_dict() if d.id in listed.machines else None,
            "trained_types": list(d.precisions),
            "card": d.card.to_dict(),
            "scorecard": _without_details(d.scorecard),
        }
        for d in listed.devices
    ]
    return to_json({"schema_version": SCHEMA_VERSION, "devices": devices})


def _without_details(scorecard: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if scorecard is None else {k: v for k, v in scorecard.items() if k not in _DETAILS}
