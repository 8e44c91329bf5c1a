"""Device packs: a list of them, and one card with its scorecard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from nnmeter.devices.card import Card
from nnmeter.devices.catalog import DeviceInfo, in_groups
from nnmeter.devices.identity import SETUP, MachineMatch, Verdict, match_this_machine
from nnmeter.devices.pack import DevicePack
from nnmeter.errors import DeviceError, NnmeterError
from nnmeter.report.render import Layout
from nnmeter.report.scorecard import METRICS, render_scorecard
from nnmeter.report.text import Text

SCHEMA_VERSION = 1
_FIGURES = ("models", "±5 %", "±10 %", "MAPE", "tau", "intervals", "noise")
_DETAILS = ("families", "kernels", "models")  # of a scorecard; `nnmeter devices show` has them
_METRIC_LABELS = {key: name for name, key in METRICS.items()}


def render_list(
    devices: Sequence[DeviceInfo],
    report_format: str,
    layout: Layout,
    nearest: str | None,
    machines: Mapping[str, MachineMatch] | None = None,
) -> str:
    """All packs, a row each, in groups of what they are of.

    Args:
        devices: the packs.
        report_format: `table` or `json`.
        layout: how to lay it out.
        nearest: id of the one nearest to this machine.
        machines: what each is to this machine, by id.
    """
    known = machines or {}
    if report_format == "json":
        listed = [
            {
                "id": d.id,
                "path": str(d.path),
                "place": d.card.place,
                "kind": d.card.kind,
                "nearest": d.id == nearest,
                "machine": known[d.id].to_dict() if d.id in known else None,
                "card": d.card.to_dict(),
                "scorecard": _without_details(d.scorecard),
            }
            for d in devices
        ]
        return _to_json({"schema_version": SCHEMA_VERSION, "devices": listed})
    text = Text(layout.width, layout.colour)
    if not devices:
        text.add("no device pack was found")
        return str(text)
    groups = [list(members) for _, members in groupby(in_groups(devices), key=lambda d: _group(d.card))]
    facts: list[list[tuple[str, ...]]] = []
    scores: list[list[tuple[str, ...]]] = []
    for members in groups:
        facts.append([(_group(members[0].card), *[""] * 5), *(_facts(device, nearest) for device in members)])
        scores.append([])
        for device in members:
            if device.scorecard is not None:
                with _checked_scorecard(device.id):
                    scores[-1].append((device.id, *_figures(device.scorecard)))
    text.add_table(("device", "hardware", "runtime", "threads", "types", "measured"), "ltlrll", facts)
    if nearest:
        text.add_wrapped(_about_nearest(known.get(nearest)))
    else:
        text.add("none is of a machine like this one: name a device to predict")
    if any(scores):
        text.add_table(("device", *_FIGURES), "l" + "r" * len(_FIGURES), [rows for rows in scores if rows])
        text.add("noise: MAPE between two halves of the measuring of the same models")
    return str(text)


def _about_nearest(match: MachineMatch | None) -> str:
    """What the pack nearest to this machine is to it."""
    if match is None:
        return "* nearest to this machine"
    if match.verdict is not Verdict.ANOTHER_MACHINE:
        return f"* {match.words}"
    return (
        f"* nearest to this machine, {match.here}, but another machine ({match.difference}); `{SETUP}` makes a pack of "
        "this one"
    )


def _group(card: Card) -> str:
    """What packs of one group are of: `phone GPU`, `server CPU`."""
    return f"{card.place} {card.kind.upper()}"


def _facts(device: DeviceInfo, nearest: str | None) -> tuple[str, ...]:
    card = device.card
    return (
        f"{device.id}{' *' if device.id == nearest else ''}",
        card.hardware,
        card.runtime if card.version == "unknown" else f"{card.runtime} {card.version}",
        str(card.threads),
        card.precision,
        card.date,
    )


@contextmanager
def _checked_scorecard(device: str) -> Iterator[None]:
    """What is no scorecard in `scorecard.json` is a fault of the pack; only here it is looked at in depth."""
    try:
        yield
    except NnmeterError:
        raise
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as fault:
        raise DeviceError(
            f"{device}/scorecard.json: is no scorecard ({fault!r:.100}); evaluate the pack anew, or restore it"
        ) from fault


def _figures(scorecard: Mapping[str, Any]) -> tuple[str, ...]:
    """What a scorecard says in a line, in the order of `_FIGURES`."""
    overall, noise = scorecard.get("overall") or {}, scorecard.get("noise_floor") or {}
    shares = [overall.get("within_5"), overall.get("within_10"), overall.get("mape")]
    tau = overall.get("kendall_tau")
    return (
        str(overall.get("models", "-")),
        *map(_percent, shares),
        "-" if tau is None else f"{tau:.3f}",
        _percent(scorecard.get("interval_coverage")),
        _percent(noise.get("mape")),
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} %"


def _without_details(scorecard: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if scorecard is None else {k: v for k, v in scorecard.items() if k not in _DETAILS}


def render_pack(pack: DevicePack, report_format: str, layout: Layout) -> str:
    """One pack's card and scorecard."""
    card = pack.card.to_dict()
    machine = match_this_machine(pack.card, named=True)
    if report_format == "json":
        document = {"schema_version": SCHEMA_VERSION, "id": pack.id, "path": str(pack.path), "card": card}
        document["machine"] = machine.to_dict()
        return _to_json({**document, "scorecard": pack.scorecard})
    lines = [(key.replace("_", " "), text) for key, value in card.items() for text in _describe(value)]
    parts = [render_facts(pack.id, [("machine", machine.words), *lines], layout)]
    if pack.scorecard is None:
        parts.append("no scorecard: make one with `nnmeter evaluate`\n")
    else:
        with _checked_scorecard(pack.id):
            parts.append(render_scorecard(pack.scorecard, "table", layout))
    return "\n".join(parts)


def render_facts(title: str, facts: Sequence[tuple[str, str]], layout: Layout) -> str:
    """A title and lines of name and value; a name that repeats is written once."""
    import textwrap

    text = Text(layout.width, layout.colour)
    text.add(text.bold(title))
    column = max(len(name) for name, _ in facts) + 2
    last = ""
    for name, value in facts:
        for line in textwrap.wrap(value, max(layout.width - column, 30)) or [""]:
            text.add(text.dim((name if name != last else "").ljust(column)) + line)
            last = name
    return str(text)


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
