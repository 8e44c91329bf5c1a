"""How axes of tensors hang together: what is lost of one when indices of another are removed.

An axis is a tensor's name and the number of the axis. A relation holds for the indices that are kept, whatever they
are, so that a dependency group is what the relations make of one removal, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

Axis = tuple[str, int]
Keep = np.ndarray  # one truth value an index


@dataclass(frozen=True)
class Tie:
    """Two axes with the same indices: an Add, a normalization, the two sides of a product's sum."""

    first: Axis
    second: Axis

    @property
    def axes(self) -> tuple[Axis, ...]:
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
        return self.data, self.weight, self.result


Relation = Tie | Part | Blocks | Grouped


class Unfit(Exception):
    """Indices of an axis that do not fit a relation: not whole blocks, or not as many of each group."""

    def __init__(self, relation: Blocks | Grouped) -> None:
        super().__init__(relation)
        self.relation = relation


class Removal:
    """The indices that are kept of each axis, and what follows from them.

    Args:
        relations: of each axis, those that it is in.
        sizes: how many indices an axis has.
    """

    def __init__(self, relations: dict[Axis, list[Relation]], shapes: dict[str, tuple[int, ...]]) -> None:
        self._relations = relations
        self._shapes = shapes
        self._pending: list[Axis] = []
        self.keep: dict[Axis, Keep] = {}

    def kept(self, axis: Axis) -> Keep:
        """Which indices of an axis are kept."""
        found = self.keep.get(axis)
        return np.ones(self._shapes[axis[0]][axis[1]], bool) if found is None else found

    def cuts(self) -> list[Blocks | Grouped]:
        """The relations that were met and that cut an axis into blocks."""
        met = dict.fromkeys(r for axis in self.keep for r in self._relations.get(axis, ()))
        return [relation for relation in met if isinstance(relation, Blocks | Grouped)]

    def restrict(self, axis: Axis, keep: Keep) -> None:
        """Keep no more than these indices of an axis."""
        before = self.kept(axis)
        after = before & keep
        if not np.array_equal(before, after):
            self.keep[axis] = after
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
            for relation in {r for axis in self.keep for r in self._relations.get(axis, ())}:
                if isinstance(relation, Blocks | Grouped) and not _FITS[type(relation)](self, relation):  # type: ignore[operator]
                    raise Unfit(relation)


def _tie(removal: Removal, relation: Tie) -> None:
    removal.restrict(relation.second, removal.kept(relation.first))
    removal.restrict(relation.first, removal.kept(relation.second))


def _part(removal: Removal, relation: Part) -> None:
    here = slice(relation.offset, relation.offset + relation.length)
    removal.restrict(relation.part, removal.kept(relation.whole)[here])
    whole = np.ones(len(removal.kept(relation.whole)), bool)
    whole[here] = removal.kept(relation.part)
    removal.restrict(relation.whole, whole)


def _blocks(removal: Removal, relation: Blocks) -> None:
    product = _product([removal.kept(axis) for axis in relation.factors])
    removal.restrict(relation.whole, product.ravel())
    kept = removal.kept(relation.whole).reshape(relation.sizes)
    margins = [
        kept.any(axis=tuple(other for other in range(kept.ndim) if other != number)) for number in range(kept.ndim)
    ]
    for axis, margin in zip(relation.factors, margins, strict=True):
        removal.restrict(axis, margin)


def _blocks_fit(removal: Removal, relation: Blocks) -> bool:
    product = _product([removal.kept(axis) for axis in relation.factors])
    return np.array_equal(product.ravel(), removal.kept(relation.whole))


def _product(keeps: list[Keep]) -> Keep:
    product = np.ones((), bool)
    for keep in keeps:
        product = product[..., None] & keep
    return product


def _grouped(removal: Removal, relation: Grouped) -> None:
    data = removal.kept(relation.data).reshape(relation.groups, relation.inner)
    result = removal.kept(relation.result).reshape(relation.groups, relation.outer)
    groups = data.any(1) & result.any(1)
    removal.restrict(relation.data, np.repeat(groups, relation.inner))
    removal.restrict(relation.result, np.repeat(groups, relation.outer))
    if groups.any():
        most = int(data[groups].sum(1).max())
        removal.restrict(relation.weight, np.arange(relation.inner) < most)


def _grouped_fit(removal: Removal, relation: Grouped) -> bool:
    data = removal.kept(relation.data).reshape(relation.groups, relation.inner).sum(1)
    result = removal.kept(relation.result).reshape(relation.groups, relation.outer).sum(1)
    return len(set(data[data > 0])) <= 1 and len(set(result[result > 0])) <= 1


_APPLY = {Tie: _tie, Part: _part, Blocks: _blocks, Grouped: _grouped}
_FITS = {Blocks: _blocks_fit, Grouped: _grouped_fit}
