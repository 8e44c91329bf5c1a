"""The state that a machine was in, so that times are what the clock showed.

Rules:

1. The reference kernel takes longer around a long network than around a short one: its operands come back from further
   away. On a Zen 5 server with 1 MB of second-level cache it is 0.476 ms around networks of 0.1 ms and 0.525 around
   those of 10 (`data/epyc-turin-onnxruntime1.32-1t`). Corrected to one nominal time of it, short networks come out
   longer than long ones against the clock.
2. So a state is the reference's time *by the length of the network* around which it runs: that in which corrected and
   uncorrected times are the same in the median of the networks of about that length. Networks are put into groups of
   neighbours, `LEAST_OF_A_GROUP` or more; between their medians the logarithms are linear, and constant beyond.
3. One time for all lengths is the state of what is trained over a predictor that does not know how cold caches are in
   long networks: two errors that cancel.
4. A pack's card keeps the state that its prices are of (`reference_by_length`); one without has one time for all.
5. Networks of other sessions are brought to a state by what they were corrected to (`Measurement.at_reference`), on the
   same machine alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nnmeter.lab.measuring.correction import SENSITIVITY

if TYPE_CHECKING:
    from nnmeter.devices.card import Card
    from nnmeter.lab.measuring.measurement import Measurement

LEAST_OF_A_GROUP, MOST_GROUPS = 25, 12


@dataclass(frozen=True, slots=True)
class ClockState:
    """What the reference takes around networks (rule 2).

    Attributes:
        network_ms: lengths of networks, rising.
        reference_ms: the reference around those of each length.
    """

    network_ms: tuple[float, ...]
    reference_ms: tuple[float, ...]

    def around(self, latency_ms: float) -> float:
        """Milliseconds of the reference around a network that takes so long."""
        logs = np.interp(math.log(latency_ms), np.log(self.network_ms), np.log(self.reference_ms))
        return float(np.exp(logs))

    def bring(self, measurements: Iterable[Measurement]) -> list[Measurement]:
        """The measurements in this state (rule 5)."""
        return [m.at_reference(self.around(m.latency_ms)) if m.latency_ms > 0 else m for m in measurements]

    def words(self) -> str:
        """The reference's times in milliseconds: one, or the least and the most."""
        least, most = f"{min(self.reference_ms):.4g}", f"{max(self.reference_ms):.4g}"
        return least if least == most else f"{least} to {most}"

    def to_dict(self) -> dict[str, list[float]]:
        """As a card keeps it (rule 4)."""
        return {
            "network_ms": [float(f"{ms:.4g}") for ms in self.network_ms],
            "reference_ms": [float(f"{ms:.5g}") for ms in self.reference_ms],
        }


def state_of_clock(measurements: Sequence[Measurement], by_length: bool = True) -> ClockState | None:
    """The state in which networks were measured (rule 2), or one time for all (rule 3); None where no network was."""
    timed = [m for m in measurements if m.granularity != "kernel" and m.median_ms > 0 and m.latency_ms > 0]
    if not timed:
        return None
    timed.sort(key=lambda m: m.latency_ms)
    groups = np.array_split(
        np.arange(len(timed)), max(1, min(MOST_GROUPS if by_length else 1, len(timed) // LEAST_OF_A_GROUP))
    )
    knots: dict[float, float] = {}  # of networks that all take the same, one
    for group in groups:
        mine = [timed[i] for i in group]
        said = [m.reference_ms * (m.median_ms / m.latency_ms) ** (1 / SENSITIVITY) for m in mine]
        knots[float(np.median([m.latency_ms for m in mine]))] = float(np.median(said))
    return ClockState(tuple(knots), tuple(knots.values()))


def state_of_card(card: Card) -> ClockState | None:
    """The state that a pack's prices are of (rule 4); None where its card does not say."""
    stored = card.reference_by_length
    if stored:
        return ClockState(tuple(stored["network_ms"]), tuple(stored["reference_ms"]))
    return None if card.reference_ms is None else ClockState((1.0,), (card.reference_ms,))


def as_the_clock_said(measurements: Sequence[Measurement]) -> list[Measurement]:
    """The measurements in the state of their own clock."""
    state = state_of_clock(measurements)
    return list(measurements) if state is None else state.bring(measurements)
