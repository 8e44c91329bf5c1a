"""What moves data, and element-wise operators that move before it."""

import pytest

from nnmeter.fusion.rulesets.openvino import movement
from tests.fusion.models import f32, i64
from tests.fusion.rulesets.applying import applied

X, Y = "float[4,8] x", "float[8,4] y"


def test_an_expanded_operand_is_broadcast() -> None:
    inputs = "float[1,8] x, float[4,8] b"
    body = "e=Expand(x,s) y=Add({})"
    for order in ("e,b", "b,e"):
        assert applied(movement.EXPANDED_OPERANDS, inputs, "float[4,8] y", body.format(order), s=i64(4, 8)) == "Add"
    kinds = applied(
        movement.EXPANDED_OPERANDS, "float[1,8] x, float[8] b", "float[4,8] y", body.format("e,b"), s=i64(4, 8)
    )
    assert kinds == "Expand Add"


def test_a_slice_of_a_slice_is_one() -> None:
    body = "a=Slice(x,z,e,ax) y=Slice(a,z,f,ax)"
    weights = {"z": i64(0), "e": i64(6), "f": i64(4), "ax": i64(1)}
    assert applied(movement.SLICES, X, "float[4,4] y", body, **weights) == "Slice"
    assert applied(movement.SLICES, X, "float[4,4] y, float[4,6] a", body, **weights) == "Slice Slice"


def test_a_reduction_runs_before_a_transpose() -> None:
    body = "t=Transpose<perm=[1,0]>(x) y=ReduceMean{}(t,ax)"
    passes = movement.REDUCTIONS_BEFORE_TRANSPOSES
    assert applied(passes, X, "float[8,1] y", body.format(""), ax=i64(1)) == "ReduceMean Transpose"
    assert applied(passes, X, "float[8] y", body.format("<keepdims=0>"), ax=i64(1)) == "Transpose ReduceMean"


def test_shuffled_channels() -> None:
    body = "a=Reshape(x,s) b=Transpose<perm=[{}]>(a) y=Reshape(b,t)"
    image, out = "float[1,8,4,4] x", "float[1,8,4,4] y"
    weights = {"s": i64(1, 2, 4, 4, 4), "t": i64(1, 8, 4, 4)}
    assert applied(movement.SHUFFLED_CHANNELS, image, out, body.format("0,2,1,3,4"), **weights) == "ShuffleChannels"
    assert "Shuffle" not in applied(movement.SHUFFLED_CHANNELS, image, out, body.format("0,2,1,4,3"), **weights)


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        ("Mul(t,c)", "Mul Transpose"),
        ("Sub(t,c)", "Add Transpose"),
        ("Add(c,t)", "Add Transpose"),
        ("Relu(t)", "Relu Transpose"),
        ("Neg(t)", "Mul Transpose"),
    ],
)
def test_element_wise_operators_run_before_what_moves(behind: str, expected: str) -> None:
    weights = {"c": f32(2)} if "c" in behind.lower().partition("(")[2] else {}
    assert applied(movement.ELEMENT_WISE_FIRST, X, Y, f"t=Transpose(x) y={behind}", **weights) == expected


def test_a_sum_with_a_vector_stays_behind() -> None:
    assert applied(movement.ELEMENT_WISE_FIRST, X, Y, "t=Transpose(x) y=Add(t,c)", c=(4,)) == "Transpose Add"
