"""Products with constant matrices, pointwise convolutions, and what goes into weights and biases."""

from nnmeter.fusion.rulesets.tract.products import POINTWISE, POINTWISE_CONVOLUTIONS, PRODUCTS
from tests.fusion.models import CONV
from tests.fusion.rulesets.applying import applied, rewritten

ROWS, MAP = "float[2,3,8]", "float[1,8,4,4]"


def test_a_product_with_a_bias_is_one_gemm() -> None:
    text = f"agraph ({ROWS} x) => (float[2,3,5] y) {{ a=MatMul(x,w) y=Add(b,a) }}"
    graph = rewritten(PRODUCTS, text, w=(8, 5), b=(5,))
    (gemm,) = graph.ordered()
    assert (gemm.kind, gemm.attributes) == ("Gemm", {"transB": 1})
    assert [graph.types[tensor].shape for tensor in gemm.inputs] == [(2, 3, 8), (5, 8), (5,)]


def test_a_product_without_a_bias_has_none_and_one_of_computed_matrices_stays() -> None:
    graph = rewritten(PRODUCTS, f"agraph ({ROWS} x) => (float[2,3,5] y) {{ y=MatMul(x,w) }}", w=(8, 5))
    (gemm,) = graph.ordered()
    assert len(gemm.inputs) == 2
    assert applied(PRODUCTS, f"{ROWS} x, float[2,8,5] z", "float[2,3,5] y", "y=MatMul(x,z)") == "MatMul"


def test_a_normalization_and_a_sum_by_channel_go_into_a_convolution() -> None:
    body = f"a={CONV}(x,w) y=BatchNormalization(a,s,t,m,v)"
    assert applied(PRODUCTS, f"{MAP} x", f"{MAP} y", body, w=(8, 8, 3, 3), s=(8,), t=(8,), m=(8,), v=(8,)) == "Conv"
    body = f"a={CONV}(x,w) y=Add(a,c)"
    assert applied(PRODUCTS, f"{MAP} x", f"{MAP} y", body, w=(8, 8, 3, 3), c=(8, 1, 1)) == "Conv"
    assert applied(PRODUCTS, f"{MAP} x", f"{MAP} y", body, w=(8, 8, 3, 3), c=(4,)) == "Conv Add"


def test_pointwise_convolutions_are_told_from_others() -> None:
    one = "y=Conv<kernel_shape=[1,1]>(x,w)"
    assert applied(POINTWISE_CONVOLUTIONS, f"{MAP} x", f"{MAP} y", one, w=(8, 8, 1, 1)) == POINTWISE
    assert applied(POINTWISE_CONVOLUTIONS, f"{MAP} x", f"{MAP} y", f"y={CONV}(x,w)", w=(8, 8, 3, 3)) == "Conv"
    grouped = "y=Conv<kernel_shape=[1,1],group=2>(x,w)"
    assert applied(POINTWISE_CONVOLUTIONS, f"{MAP} x", f"{MAP} y", grouped, w=(8, 4, 1, 1)) == "Conv"
