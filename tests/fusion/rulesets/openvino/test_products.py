"""Products, and the transposes, scales, biases and reshapes around them."""

import pytest

from nnmeter.fusion.rulesets.openvino import products
from tests.fusion.models import f32, i64
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[4,8] x", "float[4,6] y"
AB = "float[2,4,8] a, float[2,6,8] b"


def test_a_scale_goes_into_the_second_factor() -> None:
    body = "t=Transpose<perm=[0,2,1]>(b) m=MatMul(a,t) y=Mul(m,c)"
    assert applied(products.SCALES_OF_PRODUCTS, AB, "float[2,4,6] y", body, c=f32(2)) == "Mul Transpose MatMul"
    inputs = "float[2,4,8] a, float[2,8,6] b"
    assert applied(products.SCALES_OF_PRODUCTS, inputs, "float[2,4,6] y", "m=MatMul(a,b) y=Div(m,c)", c=f32(2)) == (
        "Div MatMul"
    )
    assert applied(products.SCALES_OF_PRODUCTS, inputs, "float[2,4,6] y", "m=MatMul(a,b) y=Mul(m,c)", c=(6,)) == (
        "MatMul Mul"
    )


def test_a_transposed_factor_is_read_as_it_is() -> None:
    text = f"agraph ({AB}) => (float[2,4,6] y) {{ t=Transpose<perm=[0,2,1]>(b) y=MatMul(a,t) }}"
    (product,) = rewritten(products.TRANSPOSES, text).ordered()
    assert product.attributes["transB"] == 1
    swapped = "t=Transpose<perm=[1,0,2]>(b) y=MatMul(a,t)"
    assert applied(products.TRANSPOSES, "float[2,4,8] a, float[8,2,6] b", "float[2,4,6] y", swapped) == (
        "Transpose MatMul"
    )


def test_constant_weights_make_a_fully_connected_layer() -> None:
    assert applied(products.PRODUCTS, "float[2,4,8] x", "float[2,4,6] y", "y=MatMul(x,w)", w=(8, 6)) == "Gemm"
    assert applied(products.PRODUCTS, "float[8] x", "float[6] y", "y=MatMul(x,w)", w=(8, 6)) == "MatMul"
    (gemm,) = rewritten(products.PRODUCTS, f"agraph ({X}) => ({Y}) {{ y=Gemm(x,w) }}", w=(8, 6)).ordered()
    assert gemm.attributes["transB"] == 1


@pytest.mark.parametrize("behind", ["Mul(a,c)", "Mul(c,a)", "Div(a,c)", "Add(a,c)", "Add(c,a)", "Sub(a,c)"])
def test_a_constant_behind_goes_into_weights_and_bias(behind: str) -> None:
    assert applied(products.SCALES_AND_BIASES, X, Y, f"a=Gemm(x,w) y={behind}", w=(8, 6), c=(6,)) == "Gemm"
    kinds = applied(products.SCALES_AND_BIASES, X, Y, f"a=Gemm(x,w,b) y={behind}", w=(8, 6), b=(6,), c=(6,))
    assert kinds == "Gemm"


def test_one_number_a_row_stays() -> None:
    assert applied(products.SCALES_AND_BIASES, X, Y, "a=Gemm(x,w) y=Mul(a,c)", w=(8, 6), c=(4, 1)) == "Gemm Mul"


def test_reshapes_to_a_matrix_and_back_go() -> None:
    body = "a=Reshape(x,s) b=Gemm(a,w) y=Reshape(b,t)"
    weights = {"s": i64(8, 8), "w": (8, 6)}
    inputs, outputs = "float[2,4,8] x", "float[2,4,6] y"
    assert applied(products.RESHAPES_AROUND_PRODUCTS, inputs, outputs, body, t=i64(2, 4, 6), **weights) == "Gemm"
    kinds = applied(products.RESHAPES_AROUND_PRODUCTS, inputs, "float[4,2,6] y", body, t=i64(4, 2, 6), **weights)
    assert kinds == "Reshape Gemm Reshape"


def test_views_around_a_sum_with_a_constant_go() -> None:
    body = "a=Unsqueeze(x,t) b=Add(a,c) y=Squeeze(b,t)"
    passes = products.RESHAPES_AROUND_SUMS
    assert applied(passes, X, "float[4,8] y", body, t=i64(0), c=(1, 1, 8)) == "Add"
    assert applied(passes, X, "float[4,8] y", body, t=i64(0), c=(8,)) == "Unsqueeze Add Squeeze"
