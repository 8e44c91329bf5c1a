"""Arithmetic of permutations against numpy, which permutes real arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmeter.fusion.passes.onnxruntime.permutations import (
    as_transpose,
    compose,
    inverse,
    is_identity,
    permuted,
    split_axes,
    with_axes,
    without_axes,
)

PERMS = st.integers(1, 5).flatmap(lambda rank: st.permutations(range(rank)))
PAIRS = st.integers(1, 5).flatmap(lambda rank: st.tuples(st.permutations(range(rank)), st.permutations(range(rank))))


def sample(rank: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.arange(int(np.prod(range(2, rank + 2)))).reshape(range(2, rank + 2))


@given(PERMS)
def test_inverse_undoes(perm: list[int]) -> None:
    array = sample(len(perm))
    assert (array.transpose(perm).transpose(inverse(perm)) == array).all()
    assert is_identity(compose(perm, inverse(perm)))


@given(PAIRS)
def test_composition_is_one_after_the_other(pair: tuple[list[int], list[int]]) -> None:
    first, second = pair
    array = sample(len(first))
    assert (array.transpose(first).transpose(second) == array.transpose(compose(first, second))).all()
    assert permuted(array.shape, first) == array.transpose(first).shape


@given(PERMS, st.data())
def test_axes_of_size_one_are_added_and_removed(perm: list[int], data: st.DataObject) -> None:
    array = sample(len(perm))
    added = sorted(data.draw(st.sets(st.integers(0, len(perm)), max_size=2)))
    wide = np.expand_dims(array, tuple(added))
    added = [axis for axis, size in enumerate(wide.shape) if size == 1]
    moved = with_axes(perm, added)
    assert (wide.transpose(moved) == np.expand_dims(array.transpose(perm), tuple(added))).all()
    assert without_axes(moved, added) == tuple(perm)


@pytest.mark.parametrize(
    ("before", "after", "groups"),
    [
        ((12, 32), (1, 12, 32), [[0, 1], [2]]),
        ((12, 64, 32), (12, 8, 8, 32), [[0], [1, 2], [3]]),
        ((64, 32), (64, 32, 1), None),
        ((1, 320, 1), (1, 320), None),
        ((2, 6), (3, 4), None),
        ((2, 6), (12,), None),
    ],
)
def test_split_axes(before: tuple[int, ...], after: tuple[int, ...], groups: list[list[int]] | None) -> None:
    assert split_axes(before, after) == groups


@pytest.mark.parametrize(
    ("before", "after", "perm"),
    [
        ((1, 512, 4, 1), (1, 1, 512, 4), (0, 3, 1, 2)),
        ((2, 3), (2, 3), (0, 1)),
        ((2, 3), (3, 2), None),
        ((1, 6), (2, 3), None),
        ((2, 3), (1, 2, 3), None),
    ],
)
def test_reshape_that_is_a_transpose(
    before: tuple[int, ...], after: tuple[int, ...], perm: tuple[int, ...] | None
) -> None:
    assert as_transpose(before, after) == perm
