"""Equations of Einsum that no runtime takes."""

import pytest

from nnmeter.operators.shape_rules.common import ShapeError
from nnmeter.operators.shape_rules.matrix import einsum_shape


@pytest.mark.parametrize(
    ("equation", "reason"),
    [
        ("ab,bc->a\ufffd", "which is no letter"),
        ("a1,bc->abc", "'1', which is no letter"),
        ("ab,bc->ad", "has 'd' in its result and in no input"),
        ("ab,bc->aa", "has a label twice in its result"),
    ],
)
def test_labels_that_mean_nothing_are_refused(equation: str, reason: str) -> None:
    with pytest.raises(ShapeError, match=reason):
        einsum_shape(equation, [(2, 3), (3, 4)])


def test_letters_of_both_cases_are_labels() -> None:
    assert einsum_shape("aB,Bc->ca", [(2, 3), (3, 4)]) == (4, 2)
    assert einsum_shape("a...,...c", [(2, 3), (3, 4)]) == (3, 2, 4)
