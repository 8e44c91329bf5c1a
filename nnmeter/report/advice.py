"""Advice as `nnmeter advise` reports it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnmeter.report.comparison import format_change, format_percent
from nnmeter.report.numbers import TOP_KERNELS, format_ms, format_share

if TYPE_CHECKING:
    from nnmeter.advice.advice import Advised
    from nnmeter.advice.layers import AddedWork
    from nnmeter.advice.trial import Trial
    from nnmeter.advice.widths import Stair

# What becomes of the model.
EFFECTS = {"same": "computes the same", "weights": "other weights", "function": "train again"}


@dataclass(frozen=True)
class AdviceReport:
    """What is reported.

    Attributes:
        advised: the advice.
        top: how many changes are shown; None for the usual number.
    """

    advised: Advised
    top: int | None = None

    @property
    def shown(self) -> Sequence[Trial]:
        """The changes that gain most."""
        return self.advised.advice[: self.top or TOP_KERNELS]

    @property
    def hidden(self) -> int:
        """How many changes are not shown."""
        return len(self.advised.advice) - len(self.shown)


def advice_row(trial: Trial) -> tuple[str, ...]:
    """What, gain with its interval, how much less, and what becomes of the model."""
    low, high = trial.comparison.difference_interval_ms
    return (
        trial.what,
        format_ms(trial.gain_ms),
        f"{format_ms(-high) if high < 0 else '0'} - {format_ms(-low)}",
        format_percent(trial.comparison.ratio),
        EFFECTS[trial.effect],
    )


def stair_words(stair: Stair) -> str:
    """The widths of a layer, what the model takes with each, and the difference: `56: 70.1 (-3.1), 64: 73.2 (now)`."""
    own_ms = next(width.latency_ms for width in stair.widths if width.channels == stair.channels)
    return ", ".join(
        f"{width.channels}: {format_ms(width.latency_ms)} "
        f"({'now' if width.channels == stair.channels else format_change(width.latency_ms - own_ms)})"
        for width in stair.widths
    )


def not_judged_words(trials: Sequence[Trial]) -> str:
    """Which changes the pack cannot judge, and how much of what they bring it was not trained on."""
    return ", ".join(f"{trial.what} ({format_share(trial.outside)} of the new kernels' time)" for trial in trials)


def added_words(added: AddedWork) -> str:
    """What the runtime adds between layouts, and before which kernels."""
    most = ", ".join(f"{count} before {kind}" for kind, count in added.before[:3])
    return (
        f"{format_ms(added.latency_ms)} ms ({format_share(added.share)}) bring data between layouts, in "
        f"{added.kernels} kernels that no operator asked for ({most})"
    )
