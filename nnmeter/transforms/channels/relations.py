"""How axes of tensors hang together: what becomes of one when indices of another are removed, or added.

An axis is a tensor's name and the number of the axis. What becomes of it is a count for each of its indices: 0 where
the index is removed, 1 where it stays, 2 where another one is put beside it. A relation holds for these counts,
whatever they are, so that a dependency group is what the relations make of one change, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

Axis = tuple[str, int]
Counts = np.ndarray  # a whole number an index


@dataclass(frozen=True)
class Tie:
    """Two axes with the same indices: an Add, a normalization, the two sides of a product's sum."""

    first: Axis
    second: Axis

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All axes that it is about."""
        return self.first, self.second


@dataclass(frozen=True)
class Part:
    """An axis that is a piece of another: Concat, Split, Slice."""

    whole: Axis
    part: Axis
    offset: int
    length: int

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All axes that it is about."""
        return self.whole, self.part


@dataclass(frozen=True)
class Blocks:
    """An axis that a Reshape cuts into several, or makes of several; the last changes fastest.

    Attributes:
        whole: the one axis.
        factors: the several, in order.
        sizes: their sizes, whose product is that of the one.
    """

    whole: Axis
    factors: tuple[Axis, ...]
    sizes: tuple[int, ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All axes that it is about."""
        return self.whole, *self.factors

    def steps(self) -> list[int]:
        """How many indices of the whole go with one of each factor."""
        return [prod(self.sizes) // size for size in self.sizes]


@dataclass(frozen=True)
class Grouped:
    """A grouped convolution: channels go in as many as in every other group, or as a whole group, in and out.

    Attributes:
        data: the channels that it reads.
        weight: the axis of its weight along the channels of one group.
        result: the channels that it writes.
        groups: how many groups there are.
        inner: channels of one group that it reads.
        outer: channels of one group that it writes.
    """

    data: Axis
    weight: Axis
    result: Axis
    groups: int
    inner: int
    outer: int

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All axes that it is about."""
        return self.data, self.weight, self.result


Relation = Tie | Part | Blocks | Grouped


class Unfit(Exception):
    """Counts of an axis that do not fit a relation: not whole blocks, or not as many of each group."""

    def __init__(self, relation: Blocks | Grouped) -> None:
        super().__init__(relation)
        self.relation = relation


class Resizing:
    """What becomes of the indices of each axis, from what is asked of one and the relations.

    Args:
        relations: of each axis, those that it is in.
        shapes: of each tensor.
        grows: whether indices are added; they are removed otherwise.
    """

    def __init__(
        self, relations: dict[Axis, list[Relation]], shapes: dict[str, tuple[int, ...]], grows: bool = False
    ) -> None:
        self._relations = relations
        self._shapes = shapes
        self._pending: list[Axis] = []
        self.grows = grows
        self.known: dict[Axis, Counts] = {}

    def counts(self, axis: Axis) -> Counts:
        """What becomes of the indices of an axis."""
        found = self.known.get(axis)
        return np.ones(self._shapes[axis[0]][axis[1]], np.int64) if found is None else found

    def size(self, axis: Axis) -> int:
        """How many indices an axis has in the end."""
        return int(self.counts(axis).sum())

    def changed(self) -> list[Axis]:
        """The axes of which something is removed or added."""
        return [axis for axis, counts in self.known.items() if (counts != 1).any()]

    def cuts(self) -> list[Blocks | Grouped]:
        """The relations that were met and that cut an axis into blocks."""
        met = dict.fromkeys(r for axis in self.known for r in self._relations.get(axis, ()))
        return [relation for relation in met if isinstance(relation, Blocks | Grouped)]

    def demand(self, axis: Axis, counts: Counts) -> None:
        """Ask for no more than these counts of an axis, or for no less where it grows."""
        before = self.counts(axis)
        after = np.maximum(before, counts) if self.grows else np.minimum(before, counts)
        if not np.array_equal(before, after):
            self.known[axis] = after
            self._pending.append(axis)

    def spread(self) -> None:
        """Apply all relations until nothing more follows.

        Raises:
            Unfit: what is left does not fit a relation.
        """
        while self._pending:
            while self._pending:
                for relation in self._relations.get(self._pending.pop(), ()):
                    _APPLY[type(relation)](self, relation)  # type: ignore[operator]
            for relation in self.cuts():
                if not _FITS[type(relation)](self, relation):  # type: ignore[operator]
                    raise Unfit(relation)


def _tie(change: Resizing, relation: Tie) -> None:
    change.demand(relation.second, change.counts(relation.first))
    change.demand(relation.first, change.counts(relation.second))


def _part(change: Resizing, relation: Part) -> None:
    here = slice(relation.offset, relation.offset + relation.length)
    change.demand(relation.part, change.counts(relation.whole)[here])
    whole = np.ones(len(change.counts(relation.whole)), np.int64)
    whole[here] = change.counts(relation.part)
    change.demand(relation.whole, whole)


def _blocks(change: Resizing, relation: Blocks) -> None:
    change.demand(relation.whole, _product(change, relation))
    counts = change.counts(relation.whole).reshape(relation.sizes)
    for number, axis in enumerate(relation.factors):
        others = tuple(other for other in range(counts.ndim) if other != number)
        # In a product with a factor that is not changed, an index has its own count there; where it grows, all have.
        change.demand(axis, counts.min(axis=others) if change.grows else counts.max(axis=others))


def _blocks_fit(change: Resizing, relation: Blocks) -> bool:
    return np.array_equal(_product(change, relation), change.counts(relation.whole))


def _product(change: Resizing, relation: Blocks) -> Counts:
    product = np.ones((), np.int64)
    for axis in relation.factors:
        product = product[..., None] * change.counts(axis)
    return product.ravel()


def _grouped(change: Resizing, relation: Grouped) -> None:
    data = change.counts(relation.data).reshape(relation.groups, relation.inner)
    result = change.counts(relation.result).reshape(relation.groups, relation.outer)
    if change.grows:
        if relation.inner == relation.outer == 1:  # depthwise; the groups of others do not grow in number
            change.demand(relation.data, result.ravel())
            change.demand(relation.result, data.ravel())
        else:
            change.demand(
                relation.weight, np.where(np.arange(relation.inner) < data.sum(1).max() - relation.inner, 2, 1)
            )
        return
    groups = np.minimum(data.max(1), result.max(1))
    change.demand(relation.data, np.repeat(groups, relation.inner))
    change.demand(relation.result, np.repeat(groups, relation.outer))
    if groups.any():
        most = int(data[groups > 0].sum(1).max())
        change.demand(relation.weight, (np.arange(relation.inner) < most).astype(np.int64))


def _grouped_fit(change: Resizing, relation: Grouped) -> bool:
    data = change.counts(relation.data).reshape(relation.groups, relation.inner).sum(1)
    result = change.counts(relation.result).reshape(relation.groups, relation.outer).sum(1)
    if change.grows and relation.inner == relation.outer == 1:
        return True
    return len(set(data[data > 0])) <= 1 and len(set(result[result > 0])) <= 1


_APPLY = {Tie: _tie, Part: _part, Blocks: _blocks, Grouped: _grouped}
_FITS = {Blocks: _blocks_fit, Grouped: _grouped_fit}
