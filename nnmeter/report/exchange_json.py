"""What became of packs that were added, updated, removed or exported, as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.devices.registry.exchange import Exchange
from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout


def render(done: Sequence[Exchange], layout: Layout) -> str:
    """`schema_version`, and `packs`: the object of `Exchange.to_dict` for each."""
    return to_json({"schema_version": 1, "packs": [item.to_dict() for item in done]})
