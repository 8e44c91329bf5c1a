"""What became of packs that were added, updated, removed or exported, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnmeter.devices.registry.changes import PackChange
from nnmeter.devices.registry.exchange import FAILED, Exchange
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

_NAMES = {"models": "models", "within_5": "±5 %", "within_10": "±10 %", "mape": "MAPE, %"}


def render(done: Sequence[Exchange], layout: Layout) -> str:
    """A paragraph a pack: what was done, from where to where, its hash, and what differs."""
    text = Text(layout.width, layout.colour)
    if not done:
        text.add("no pack was added from anywhere, so that there is nothing to update")
    for item in done:
        text.add()
        text.add(text.bold(f"{item.id}: {item.action}{_versions(item)}"))
        if item.reason:
            text.add_wrapped(item.reason)
        if item.source and item.action != FAILED:
            text.add(f"from {item.source}")
        if item.place and item.action != FAILED:
            text.add(f"{'was in' if item.action == 'removed' else 'in'} {item.place}")
        if item.hash:
            text.add(f"hash {item.hash}")
        if item.change is not None:
            _add_change(text, item.change)
    return str(text)


def _versions(item: Exchange) -> str:
    if item.version is None:
        return ""
    if item.before is not None and item.before != item.version:
        return f", version {item.before} -> {item.version}"
    return f", version {item.version}"


def _add_change(text: Text, change: PackChange) -> None:
    for name, (before, after) in change.card.items():
        text.add(f"  {name}: {_value(before)} -> {_value(after)}")
    for name, (before, after) in change.scorecard.items():
        text.add(f"  scorecard, {_NAMES[name]}: {_value(before)} -> {_value(after)}")
    if change.rules:
        text.add("  fusion rules are others: kernels may be others")
    if change.predictor:
        text.add("  the predictor is another: predictions change")
    text.add(f"  files that differ: {', '.join(change.files)}")


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
