"""Pruned models as `nnmeter prune` reports them: rows and sentences that its formats share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.report.comparison import format_percent
from nnmeter.report.numbers import format_interval, format_ms

if TYPE_CHECKING:
    from nnmeter.pruning.pruned import Pruned, Removal

HEADINGS = ("layer", "with", "channels", "stay", "gone", "gain ms", "gain nothing")
KINDS = "nrrrrrr"
_NAMED = 6


def removal_row(removal: Removal) -> tuple[str, ...]:
    """A removal in a table: how many channels there were and stay, what they gain, how many of them gain nothing."""
    more = len(removal.group.layers) - 1
    return (
        removal.group.name,
        f"+{more}" if more else "",
        str(removal.group.channels),
        str(removal.width),
        f"{100 * removal.removed / removal.group.channels:.0f} %",
        format_ms(removal.gain_ms) if removal.gain_ms > 0 else "0",
        str(removal.idle) if removal.idle else "",
    )


def sentence_of(pruned: Pruned) -> str:
    """What the removals bring."""
    after, before = pruned.after, pruned.before
    if not pruned.removals:
        reason = "nothing has to go" if pruned.budget_ms is not None else "nothing goes"
        return f"{reason}: {format_ms(before.latency_ms)} ms"
    budget = "" if pruned.budget_ms is None else f", the budget is {format_ms(pruned.budget_ms)} ms"
    return (
        f"{format_ms(before.latency_ms)} -> {format_ms(after.latency_ms)} ms "
        f"({format_percent(pruned.comparison.ratio)}), {round(100 * after.interval_ms.confidence)} % interval "
        f"{format_interval(after.interval_ms)} ms{budget}"
    )


def idle_sentences(pruned: Pruned) -> list[str]:
    """Which removals gain nothing, and which layers none of whose channels gain anything."""
    said = [
        f"{removal.idle} of the {removal.removed} channels that go from {removal.group.name} gain nothing: "
        f"{removal.enough} take as long as {removal.width}"
        for removal in pruned.removals
        if removal.idle
    ]
    if pruned.useless:
        names = [group.name for group in pruned.useless]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        said.append(f"removing channels gains nothing in {', '.join(names[:_NAMED])}{more}")
    return said
