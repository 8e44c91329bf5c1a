"""What a search for a device found, as JSON."""

from __future__ import annotations

from typing import Any

from nnmeter.devices.search import FoundPack, SearchResult
from nnmeter.report.devices import SCHEMA_VERSION
from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout


def render(result: SearchResult, layout: Layout) -> str:
    """The query, what it names, the packs that match, and the relatives where none does."""
    chip = result.chip
    named = None if chip is None else {"name": chip.name, "core": chip.core, "gpu": chip.gpu, "year": chip.year}
    return to_json(
        {
            "schema_version": SCHEMA_VERSION,
            "query": result.query,
            "chip": named,
            "product": result.product or None,
            "matches": [_pack(found) for found in result.matches],
            "candidates": list(result.candidates),
            "meant": result.meant or None,
            "relatives": [_pack(found) for found in result.relatives],
            "without_pack": [
                {"id": device.id, "networks": device.networks, "reason": device.reason} for device in result.unshipped
            ],
        }
    )


def _pack(found: FoundPack) -> dict[str, Any]:
    card = found.device.card
    return {
        "id": found.device.id,
        "place": card.place,
        "kind": card.kind,
        "hardware": card.hardware,
        "because": found.because or None,
    }
