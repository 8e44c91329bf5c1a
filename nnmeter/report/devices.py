"""Device packs: a list of them, and one card with its scorecard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nnmeter.devices.catalog import DeviceInfo
from nnmeter.devices.pack import DevicePack
from nnmeter.report.render import Layout
from nnmeter.report.scorecard import METRICS, render_scorecard

SCHEMA_VERSION = 1
_METRIC_LABELS = {key: name for name, key in METRICS.items()}


def render_list(devices: Sequence[DeviceInfo], report_format: str, layout: Layout, nearest: str | None) -> str:
    """All packs, a row each; `nearest` is the id of the one nearest to this machine."""
    if report_format == "json":
        listed = [
            {"id": d.id, "path": str(d.path), "nearest": d.id == nearest, "card": d.card.to_dict()} for d in devices
        ]
        return _to_json({"schema_version": SCHEMA_VERSION, "devices": listed})
    from rich.markup import escape

    from nnmeter.report.table import make_console, make_table, rendered

    console = make_console(layout)
    table = make_table(
        ("device", "name"), ("hardware", "left"), ("runtime", "left"), ("threads", "right"), ("measured", "left")
    )  # fmt: skip
    for device in devices:
        card = device.card
        mark = " *" if device.id == nearest else ""
        cells = (device.id + mark, card.hardware, f"{card.runtime} {card.version}", str(card.threads), card.date)
        table.add_row(*map(escape, cells))
    console.print(table)
    if nearest:
        console.print("* nearest to this machine")
    return rendered(console)


def render_pack(pack: DevicePack, report_format: str, layout: Layout) -> str:
    """One pack's card and scorecard."""
    card = pack.card.to_dict()
    if report_format == "json":
        document = {"schema_version": SCHEMA_VERSION, "id": pack.id, "path": str(pack.path), "card": card}
        return _to_json({**document, "scorecard": pack.scorecard})
    lines = [(key.replace("_", " "), text) for key, value in card.items() for text in _describe(value)]
    parts = [render_facts(pack.id, lines, layout)]
    if pack.scorecard is None:
        parts.append("no scorecard: make one with `nnmeter evaluate`\n")
    else:
        parts.append(render_scorecard(pack.scorecard, "table", layout))
    return "\n".join(parts)


def render_facts(title: str, facts: Sequence[tuple[str, str]], layout: Layout) -> str:
    """A title and lines of name and value; a name that repeats is written once."""
    from rich.markup import escape
    from rich.table import Table

    from nnmeter.report.table import make_console, rendered

    console = make_console(layout)
    console.print(f"[bold]{escape(title)}[/]")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    last = ""
    for name, value in facts:
        table.add_row(name if name != last else "", escape(value))
        last = name
    console.print(table)
    return rendered(console)


def _describe(value: Any) -> list[str]:
    """A card's value as lines: one a member of a list or object."""
    if isinstance(value, Mapping):
        return [f"{_label(key)}: {_inline(item)}" for key, item in value.items() if item is not None]
    if isinstance(value, list | tuple):
        return [_inline(item) for item in value]
    return [] if value is None else [_inline(value)]


def _label(key: str) -> str:
    return _METRIC_LABELS.get(key) or key.replace("_", " ")


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_label(key)} {_inline(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return ", ".join(map(_inline, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _to_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
