"""A space of choices, and its candidates as rows of numbers.

Rules:

1. A choice has a name and one option or more; no two options of a choice are equal. Lists count as tuples.
2. A candidate names one option for every choice, and no other choice. As a row it is the positions of these options,
   in the order in which the space has its choices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from nnmeter.errors import NnmeterError

Candidate = Mapping[str, Any]

_SHOWN = 8  # options that a message names


class Space:
    """Choices by name, each with its options.

    Attributes:
        options: the options of each choice, by name.
        names: the choices, in order.
        sizes: how many options each has.
    """

    def __init__(self, options: Mapping[str, Sequence[Any]]) -> None:
        """Take the choices of a space.

        Args:
            options: for every choice, what it may be.

        Raises:
            NnmeterError: there is no choice, or one that breaks rule 1.
        """
        if isinstance(options, Space):
            options = options.options
        if not isinstance(options, Mapping) or not options:
            raise NnmeterError("the space has no choices; give a dict of the options of each, by name")
        self.options: dict[str, tuple[Any, ...]] = {}
        self._positions: list[dict[Any, int]] = []
        for name, given in options.items():
            if not isinstance(name, str) or isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
                raise NnmeterError(f"choice {name!r:.80}: {given!r:.80} is no list of options; give one or more")
            listed = tuple(given)
            if not listed:
                raise NnmeterError(f"choice {name!r:.80} has no options; give one or more")
            positions: dict[Any, int] = {}
            for position, option in enumerate(listed):
                if positions.setdefault(_hashable(name, option), position) != position:
                    raise NnmeterError(f"choice {name!r:.80} has the option {option!r:.80} twice; leave one out")
            self.options[name] = listed
            self._positions.append(positions)
        self.names = tuple(self.options)
        self.sizes = tuple(len(listed) for listed in self.options.values())

    @property
    def count(self) -> int:
        """How many candidates there are."""
        return prod(self.sizes)

    def __repr__(self) -> str:
        return f"<Space of {len(self.names)} choices, {self.count:.3g} candidates>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.options == other.options and self.names == other.names

    __hash__ = None  # type: ignore[assignment]

    def rows(self, candidates: Candidate | Sequence[Candidate] | np.ndarray) -> np.ndarray:
        """Candidates as rows of option positions, int64 [candidates, choices].

        Args:
            candidates: one candidate, several, or rows already.

        Raises:
            NnmeterError: a candidate is none of this space (rule 2).
        """
        if isinstance(candidates, np.ndarray):
            return self._checked(candidates)
        if isinstance(candidates, Mapping):
            candidates = [candidates]
        width = len(self.names)
        rows = np.empty((len(candidates), width), np.int64)
        for candidate in candidates:
            if not isinstance(candidate, Mapping) or len(candidate) != width:
                raise self._strange(candidate)
        try:
            for column, (name, positions) in enumerate(zip(self.names, self._positions, strict=True)):
                rows[:, column] = [positions[candidate[name]] for candidate in candidates]
        except (KeyError, TypeError):
            return self._rows_of_lists(candidates)
        return rows

    def candidate(self, row: Sequence[int] | np.ndarray) -> dict[str, Any]:
        """The candidate of a row."""
        return {name: listed[int(at)] for (name, listed), at in zip(self.options.items(), row, strict=True)}

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Rows of candidates, each option of a choice as likely as the others [count, choices]."""
        return generator.integers(0, self.sizes, (count, len(self.sizes)))

    def _rows_of_lists(self, candidates: Sequence[Candidate]) -> np.ndarray:
        """As `rows`, where an option is a list, or is none."""
        rows = np.empty((len(candidates), len(self.names)), np.int64)
        for at, candidate in enumerate(candidates):
            for column, (name, positions) in enumerate(zip(self.names, self._positions, strict=True)):
                if name not in candidate:
                    raise self._strange(candidate)
                position = positions.get(_hashable(name, candidate[name]))
                if position is None:
                    known = ", ".join(repr(option) for option in self.options[name][:_SHOWN])
                    more = ", ..." if len(positions) > _SHOWN else ""
                    raise NnmeterError(f"choice '{name}' has no option {candidate[name]!r:.80}; it has {known}{more}")
                rows[at, column] = position
        return rows

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        if rows.ndim != 2 or rows.shape[1] != len(self.names) or rows.dtype.kind not in "iu":
            raise NnmeterError(
                f"rows are {rows.dtype}{list(rows.shape)}; give whole numbers [candidates, {len(self.names)}]"
            )
        if len(rows) and not (rows.min() >= 0 and (rows.max(axis=0) < self.sizes).all()):
            column = int(np.flatnonzero((rows.min(axis=0) < 0) | (rows.max(axis=0) >= self.sizes))[0])
            raise NnmeterError(
                f"choice '{self.names[column]}' has options 0 to {self.sizes[column] - 1}; rows have others"
            )
        return rows.astype(np.int64, copy=False)

    def _strange(self, candidate: Any) -> NnmeterError:
        if not isinstance(candidate, Mapping):
            return NnmeterError(f"{candidate!r:.80} is no candidate; give a dict of an option for every choice")
        missing = next((name for name in self.names if name not in candidate), None)
        if missing is not None:
            return NnmeterError(f"a candidate has no option for '{missing}'; give one for every choice")
        other = next(name for name in candidate if name not in self.options)
        return NnmeterError(f"the space has no choice {other!r:.80}; it has {', '.join(self.names[:_SHOWN])}")


def _hashable(name: str, option: Any) -> Any:
    """An option as a key; lists as tuples, at any depth."""
    if isinstance(option, list | tuple):
        return tuple([_hashable(name, part) for part in option])
    try:
        hash(option)
    except TypeError:
        raise NnmeterError(
            f"choice '{name}': the option {option!r:.80} is a {type(option).__name__}; give numbers, words or lists"
        ) from None
    return option
