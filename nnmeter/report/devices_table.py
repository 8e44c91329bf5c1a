"""The list of device packs as tables, in groups of what they are of."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from nnmeter.devices.card import Card
from nnmeter.devices.catalog import DeviceInfo, in_groups
from nnmeter.devices.identity import SETUP, MachineMatch, Verdict
from nnmeter.report.devices import DeviceList, checked_scorecard
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

FIGURES = ("models", "±5 %", "±10 %", "MAPE", "tau", "intervals", "noise")


def render(listed: DeviceList, layout: Layout) -> str:
    """A row each: what the pack is of, and below how good it is."""
    devices, nearest = listed.devices, listed.nearest
    text = Text(layout.width, layout.colour)
    if not devices:
        text.add("no device pack was found")
        return str(text)
    groups = [list(members) for _, members in groupby(in_groups(devices), key=lambda d: group_of(d.card))]
    facts: list[list[tuple[str, ...]]] = []
    scores: list[list[tuple[str, ...]]] = []
    for members in groups:
        facts.append([(group_of(members[0].card), *[""] * 5), *(_facts(device, nearest) for device in members)])
        scores.append([])
        for device in members:
            if device.scorecard is not None:
                with checked_scorecard(device.id):
                    scores[-1].append((device.id, *figures(device.scorecard)))
    text.add_table(("device", "hardware", "runtime", "threads", "types", "measured"), "ltlrll", facts)
    if nearest:
        text.add_wrapped(_about_nearest(listed.machines.get(nearest)))
    else:
        text.add("none is of a machine like this one: name a device to predict")
    if any(scores):
        text.add_table(("device", *FIGURES), "l" + "r" * len(FIGURES), [rows for rows in scores if rows])
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


def group_of(card: Card) -> str:
    """What packs of one group are of: `phone GPU`, `server CPU`."""
    return f"{card.place} {card.kind.upper()}"


def _facts(device: DeviceInfo, nearest: str | None) -> tuple[str, ...]:
    card = device.card
    return (
        f"{device.id}{' *' if device.id == nearest else ''}",
        card.hardware,
        card.runtime if card.version == "unknown" else f"{card.runtime} {card.version}",
        str(card.threads),
        " ".join(device.precisions),
        card.date,
    )


def figures(scorecard: Mapping[str, Any]) -> tuple[str, ...]:
    """What a scorecard says in a line, in the order of `FIGURES`."""
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
