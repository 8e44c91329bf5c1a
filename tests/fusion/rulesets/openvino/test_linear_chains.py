"""Products and sums with constants, one behind the other."""

import pytest

from nnmeter.fusion.rulesets.openvino import linear_chains
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[4,8] x", "float[4,8] y"


@pytest.mark.parametrize("kind", ["Mul", "Add"])
@pytest.mark.parametrize("body", ["a={0}(x,c) y={0}(a,d)", "a={0}(c,x) y={0}(a,d)", "a={0}(x,c) y={0}(d,a)"])
def test_two_of_a_kind_are_one(kind: str, body: str) -> None:
    assert applied(linear_chains.CHAINS, X, Y, body.format(kind), c=(8,), d=(4, 1)) == kind


def test_a_product_and_a_sum_stay() -> None:
    assert applied(linear_chains.CHAINS, X, Y, "a=Mul(x,c) y=Add(a,d)", c=(8,), d=(8,)) == "Mul Add"


@pytest.mark.parametrize("body", ["a=Sub(c,x) y=Mul(a,d)", "a=Add(x,c) y=Mul(d,a)", "a=Add(c,x) y=Mul(a,d)"])
def test_a_scaled_sum_is_scaled_first(body: str) -> None:
    graph = rewritten(linear_chains.SCALED_SUMS, f"agraph ({X}) => ({Y}) {{ {body} }}", c=(8,), d=(8,))
    scale, shift = graph.ordered()
    assert (scale.kind, shift.kind, shift.attributes["offset"]) == ("Mul", "Mul", 1)


def test_a_sum_that_is_broadcast_stays() -> None:
    assert applied(linear_chains.SCALED_SUMS, "float[8] x", Y, "a=Add(x,c) y=Mul(a,d)", c=(4, 8), d=(8,)) == "Add Mul"


def test_differences_and_quotients_of_computed_tensors() -> None:
    inputs = "float[4] a, float[4] b"
    assert applied(linear_chains.DIFFERENCES, inputs, "float[4] y", "y=Sub(a,b)") == "Mul Sub"
    assert applied(linear_chains.DIFFERENCES, inputs, "float[4] y", "y=Div(a,b)") == "Pow Div"
    assert applied(linear_chains.DIFFERENCES, "float[4] a", "float[4] y", "y=Sub(a,b)", b=(4,)) == "Sub"
