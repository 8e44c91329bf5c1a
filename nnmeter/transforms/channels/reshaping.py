"""Which axes of a Reshape's result are those of its data, cut or put together.

Both shapes are read from the left; wherever the products of what was read agree, a group ends. A group of one axis on
either side is the same axis; of one and several, blocks; of several on both sides, axes that cannot be told apart,
which no relation speaks of. Axes of size 1 are in no group: they have nothing to lose.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.transforms.channels.relations import Blocks, Relation, Tie


def reshape_relations(data: str, before: Sequence[int], result: str, after: Sequence[int]) -> list[Relation]:
    """The relations between the axes of two shapes of as many elements.

    Args:
        data: the tensor that is read.
        before: its shape.
        result: the tensor that is written.
        after: its shape.
    """
    relations: list[Relation] = []
    for left, right in aligned(before, after):
        if len(left) == 1 and len(right) == 1:
            relations.append(Tie((data, left[0]), (result, right[0])))
        elif len(left) == 1:
            factors = tuple([(result, axis) for axis in right])
            relations.append(Blocks((data, left[0]), factors, tuple([after[axis] for axis in right])))
        elif len(right) == 1:
            factors = tuple([(data, axis) for axis in left])
            relations.append(Blocks((result, right[0]), factors, tuple([before[axis] for axis in left])))
    return relations


def aligned(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Groups of axes, of either shape, that hold the same elements."""
    left = [axis for axis, size in enumerate(before) if size != 1]
    right = [axis for axis, size in enumerate(after) if size != 1]
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        ours, theirs = [left[i]], [right[j]]
        a, b = before[left[i]], after[right[j]]
        i, j = i + 1, j + 1
        while a != b:
            if a < b:
                if i == len(left):
                    return groups
                a *= before[left[i]]
                ours.append(left[i])
                i += 1
            else:
                if j == len(right):
                    return groups
                b *= after[right[j]]
                theirs.append(right[j])
                j += 1
        groups.append((ours, theirs))
    return groups
