"""Of each group one width, so that enough time is gained and as little is lost as can be: a knapsack.

The gain that is needed is cut into units. `least[u]` is the smallest loss with which the groups that were looked at
gain at least `u` units; another group makes a new one of it, in `widths x units` steps. Gains are rounded down, so that
what is chosen never gains less than is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_UNITS = 2000


def choose_widths(
    gains: Sequence[Sequence[float]], losses: Sequence[Sequence[float]], needed: float
) -> list[int] | None:
    """The choice of least loss that gains what is needed.

    Args:
        gains: of each group, what each of its widths gains, in milliseconds, not below 0.
        losses: of each group, what is lost at each of its widths.
        needed: what all gain together at least, in milliseconds.

    Returns:
        Of each group the place of a width; None where all together cannot gain as much.
    """
    if needed <= 0:
        return [int(np.argmin(loss)) for loss in losses]
    unit = needed / _UNITS
    ask = np.arange(_UNITS + 1)
    least = np.where(ask == 0, 0.0, np.inf)
    chosen: list[np.ndarray[Any, Any]] = []
    for gain, loss in zip(gains, losses, strict=True):
        # With a width that gains `won`, the groups before have to gain the rest.
        totals = np.array([least[np.maximum(ask - _whole(won, unit), 0)] + lost
                           for won, lost in zip(gain, loss, strict=True)])  # fmt: skip
        chosen.append(totals.argmin(0))
        least = totals.min(0)
    if not np.isfinite(least[_UNITS]):
        return None
    places, units = [], _UNITS
    for gain, place in zip(reversed(gains), reversed(chosen), strict=True):
        number = int(place[units])
        places.append(number)
        units = max(units - _whole(gain[number], unit), 0)
    return places[::-1]


def _whole(gain: float, unit: float) -> int:
    """A gain in whole units, rounded down."""
    return min(int(max(gain, 0.0) / unit), _UNITS)
