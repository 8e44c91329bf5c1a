"""Products with constant matrices, and biases."""

from nnmeter.fusion.rulesets.mnn.products import BIASES, PRODUCTS
from tests.fusion.models import CONV
from tests.fusion.rulesets.applying import applied, rewritten

ROWS, MAP = "float[2,3,8]", "float[1,8,4,4]"


def test_a_product_with_a_bias_is_one_gemm() -> None:
    text = f"agraph ({ROWS} x) => (float[2,3,5] y) {{ a=MatMul(x,w) y=Add(b,a) }}"
    (gemm,) = rewritten(PRODUCTS, text, w=(8, 5), b=(5,)).ordered()
    assert gemm.kind == "Gemm"
    assert gemm.attributes == {"transB": 1}


def test_a_product_of_computed_matrices_stays() -> None:
    assert applied(PRODUCTS, f"{ROWS} x, float[2,8,5] z", "float[2,3,5] y", "y=MatMul(x,z)") == "MatMul"


def test_weights_of_gemm_are_turned() -> None:
    text = "agraph (float[2,8] x) => (float[2,5] y) { y=Gemm(x,w,b) }"
    graph = rewritten(PRODUCTS, text, w=(8, 5), b=(5,))
    (gemm,) = graph.ordered()
    assert [graph.types[tensor].shape for tensor in gemm.inputs] == [(2, 8), (5, 8), (5,)]


def test_a_constant_by_channel_becomes_a_bias_and_another_does_not() -> None:
    body = f"a={CONV}(x,w) y=Add(a,c)"
    assert applied(PRODUCTS, f"{MAP} x", f"{MAP} y", body, w=(8, 8, 3, 3), c=(8, 1, 1)) == "Conv"
    assert applied(PRODUCTS, f"{MAP} x", f"{MAP} y", body, w=(8, 8, 3, 3), c=(4,)) == "Conv Add"


def test_every_convolution_has_a_bias() -> None:
    text = f"agraph ({MAP} x) => ({MAP} y) {{ y={CONV}(x,w) }}"
    graph = rewritten(BIASES, text, w=(8, 8, 3, 3))
    (conv,) = graph.ordered()
    assert [graph.types[tensor].shape for tensor in conv.inputs] == [(1, 8, 4, 4), (8, 8, 3, 3), (8,)]
