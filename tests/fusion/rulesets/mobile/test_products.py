"""Products with constant matrices."""

from nnmeter.fusion.rulesets.mobile.products import PRODUCTS
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[4,8] x", "float[4,6] y"


def test_a_product_becomes_a_layer_with_a_bias() -> None:
    graph = rewritten(PRODUCTS, f"agraph ({X}) => ({Y}) {{ a=MatMul(x,w) y=Add(a,b) }}", w=(8, 6), b=(6,))
    (gemm,) = graph.ordered()
    assert [graph.types[name].shape for name in gemm.inputs] == [(4, 8), (6, 8), (6,)]


def test_weights_of_gemm_are_turned_and_a_bias_is_added() -> None:
    graph = rewritten(PRODUCTS, f"agraph ({X}) => ({Y}) {{ y=Gemm(x,w) }}", w=(8, 6))
    (gemm,) = graph.ordered()
    assert (gemm.attributes["transB"], len(gemm.inputs)) == (1, 3)


def test_a_product_of_computed_tensors_stays() -> None:
    assert applied(PRODUCTS, "float[4,8] x, float[8,6] w", Y, "y=MatMul(x,w)") == "MatMul"
