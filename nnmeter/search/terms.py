"""What a table is made of: its terms, how far it is off, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """What some choices cost together.

    Attributes:
        choices: their positions in the space, ascending.
        latency_ms: an entry for each combination of their options [options of the first, options of the second, ...].
    """

    choices: tuple[int, ...]
    latency_ms: np.ndarray


@dataclass(frozen=True, slots=True)
class Verified:
    """How far a table is from full predictions, on candidates that it was not made from.

    Attributes:
        candidates: how many.
        largest_error: largest relative error, |table - prediction| / prediction.
        mean_error: the mean of it.
        tolerance: the largest that was asked for.
    """

    candidates: int
    largest_error: float
    mean_error: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the largest error is within the tolerance."""
        return self.largest_error <= self.tolerance


@dataclass(frozen=True, slots=True)
class Step:
    """One state of a table while it was made: what it knew, and how far it was off.

    Attributes:
        order: most choices of one term.
        terms: number of terms.
        entries: number of entries in all of them.
        predictions: full predictions that were made so far.
        largest_error: largest relative error on the candidates that steer the making.
    """

    order: int
    terms: int
    entries: int
    predictions: int
    largest_error: float
