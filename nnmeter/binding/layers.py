"""What is known in a nested graph: its own tensors, and below them those of the graph around it.

A copy of the outer tables for every nested graph would make a model of many small branches quadratic in their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

Known = TypeVar("Known")


class Layer(dict[str, Known]):
    """A table that looks in the one around it for what it does not hold itself; only its own part is changed.

    An entry that is None hides one of the table around it. Iteration, length and equality are of its own part.
    """

    def __init__(self, own: Mapping[str, Any], outer: Mapping[str, Known]) -> None:
        super().__init__(own)
        self._outer = outer

    def __missing__(self, name: str) -> Known:
        return self._outer[name]

    def __contains__(self, name: object) -> bool:
        return self.get(name) is not None

    def get(self, name: Any, default: Any = None) -> Any:
        """The entry of this table, else of the one around it, else `default`."""
        if super().__contains__(name):
            found = super().__getitem__(name)
            return default if found is None else found
        return self._outer.get(name, default)
