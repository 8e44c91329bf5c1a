"""Arithmetic of permutations and of axes under them, as transposes need it.

A permutation `perm` of a tensor says which axis each output axis comes from: `output.shape[i] == input.shape[perm[i]]`.
"""

from __future__ import annotations

from collections.abc import Sequence

Perm = tuple[int, ...]


def inverse(perm: Sequence[int]) -> Perm:
    """The permutation that undoes another."""
    result = [0] * len(perm)
    for position, axis in enumerate(perm):
        result[axis] = position
    return tuple(result)


def compose(first: Sequence[int], second: Sequence[int]) -> Perm:
    """One permutation that does `first` and then `second`."""
    return tuple([first[axis] for axis in second])


def permuted(items: Sequence[int], perm: Sequence[int]) -> tuple[int, ...]:
    """Items (a shape) in the order of a permutation."""
    return tuple([items[axis] for axis in perm])


def is_identity(perm: Sequence[int]) -> bool:
    """Whether a permutation moves nothing."""
    return list(perm) == list(range(len(perm)))


def without_axes(perm: Sequence[int], removed: Sequence[int]) -> Perm:
    """The permutation of a tensor that lost some axes; `removed` are axes of the input of `perm`."""
    kept = [axis for axis in range(len(perm)) if axis not in removed]
    renumbered = {axis: position for position, axis in enumerate(kept)}
    return tuple(renumbered[axis] for axis in perm if axis in renumbered)


def with_axes(perm: Sequence[int], added: Sequence[int]) -> Perm:
    """The permutation of a tensor that got axes of size 1 at the places `added`, which stay where they are."""
    rank = len(perm) + len(added)
    places = [axis for axis in range(rank) if axis not in added]
    rest = iter(perm)
    return tuple(axis if axis in added else places[next(rest)] for axis in range(rank))


def split_axes(before: Sequence[int], after: Sequence[int]) -> list[list[int]] | None:
    """For each axis of a shape the axes of a finer shape that it was split into; None if the finer one is no split."""
    groups: list[list[int]] = []
    position = 0
    for size in before:
        group: list[int] = []
        product = 1
        while position < len(after) and (product < size or not group):
            product *= after[position]
            group.append(position)
            position += 1
        if product != size or not group:
            return None
        groups.append(group)
    return groups if position == len(after) else None


def as_transpose(before: Sequence[int], after: Sequence[int]) -> Perm | None:
    """The permutation that a reshape amounts to, where it only moves axes of size 1; None where it does more."""
    if len(before) != len(after):
        return None
    left = list(before)
    perm: list[int] = []
    for size in after:
        if size not in left:
            return None
        axis = left.index(size)
        if size != 1 and any(candidate not in (-1, 1) for candidate in left[:axis]):
            return None
        perm.append(axis)
        left[axis] = -1
    return tuple(perm)
