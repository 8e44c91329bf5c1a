"""Who reads a tensor, for tensors that very many nodes read.

A list is right for the few readers that nearly every tensor has. Of a tensor that 50,000 nodes read, each would be
searched for in a list as long as that when it goes away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Generic, TypeVar, overload

LONG = 64  # from here on a list becomes `ManyReaders`

Reader = TypeVar("Reader")


class ManyReaders(Sequence[Reader], Generic[Reader]):
    """A sequence that finds and removes a member at once; one that is there twice stands behind itself."""

    __slots__ = ("_counts", "_length")

    def __init__(self, readers: Iterable[Reader]) -> None:
        self._counts: dict[Reader, int] = {}
        self._length = 0
        self.extend(readers)

    def append(self, reader: Reader) -> None:
        """Add one more reading."""
        self._counts[reader] = self._counts.get(reader, 0) + 1
        self._length += 1

    def extend(self, readers: Iterable[Reader]) -> None:
        """Add readings in order."""
        for reader in readers:
            self.append(reader)

    def remove(self, reader: Reader) -> None:
        """Take one reading away; ValueError if there is none."""
        count = self._counts.get(reader, 0)
        if not count:
            raise ValueError(f"{reader!r} does not read this tensor")
        if count == 1:
            del self._counts[reader]
        else:
            self._counts[reader] = count - 1
        self._length -= 1

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Reader]:
        if self._length == len(self._counts):
            return iter(list(self._counts))
        return iter([reader for reader, count in self._counts.items() for _ in repeat(None, count)])

    @overload
    def __getitem__(self, index: int) -> Reader: ...
    @overload
    def __getitem__(self, index: slice) -> list[Reader]: ...
    def __getitem__(self, index: int | slice) -> Reader | list[Reader]:
        if index == 0:
            return next(iter(self._counts))
        return list(self)[index]
