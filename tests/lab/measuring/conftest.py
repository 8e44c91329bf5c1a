"""What tests of measuring share."""

from __future__ import annotations

from typing import Any

from nnmeter.devices.card import Card


def card_of(**fields: Any) -> Card:
    """The card of some device."""
    return Card("device", "a CPU", "onnxruntime", "1.32", 1, "float32", "2026-11-30", "networks", **fields)
