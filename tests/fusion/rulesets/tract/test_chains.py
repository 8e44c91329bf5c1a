"""What joins products, what runs in one loop, and Swish."""

from nnmeter.fusion.rulesets.tract.chains import FACTORS, LOOPS, PRODUCTS, SWISH
from nnmeter.fusion.rulesets.tract.products import POINTWISE_CONVOLUTIONS
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

MAP = "float[1,8,4,4]"
POINT = "Conv<kernel_shape=[1,1]>"
JOINED = [POINTWISE_CONVOLUTIONS, PRODUCTS]


def test_swish_is_one_operator() -> None:
    assert applied(SWISH, "float[4] x", "float[4] y", "a=Sigmoid(x) y=Mul(x,a)") == "Swish"
    assert applied(SWISH, "float[4] x, float[4] z", "float[4] y", "a=Sigmoid(x) y=Mul(z,a)") == "Sigmoid Mul"


def test_only_products_of_rows_take_what_is_behind_them() -> None:
    body = f"a={POINT}(x,w) y=Relu(a)"
    assert applied(JOINED, f"{MAP} x", f"{MAP} y", body, w=(8, 8, 1, 1)) == "tract.Conv"
    body = "a=Conv<kernel_shape=[3,3],pads=[1,1,1,1]>(x,w) y=Relu(a)"
    assert applied(JOINED, f"{MAP} x", f"{MAP} y", body, w=(8, 8, 3, 3)) == "Conv Relu"


def test_a_residual_sum_joins_a_pointwise_convolution_only_where_both_are_rows() -> None:
    body = f"a={POINT}(x,w) b={POINT}(a,v) y=Add(a,b)"
    assert applied(JOINED, f"{MAP} x", f"{MAP} y", body, w=(8, 8, 1, 1), v=(8, 8, 1, 1)) == "tract.Conv tract.Conv"
    body = f"a=Exp(x) b={POINT}(a,v) y=Add(a,b)"
    assert applied(JOINED, f"{MAP} x", f"{MAP} y", body, v=(8, 8, 1, 1)) == "Exp tract.Conv Add"


def test_binary_operators_run_in_one_loop_from_their_first_operand() -> None:
    one = "float[4] x, float[4] z"
    assert applied(LOOPS, one, "float[4] y", "a=Add(x,z) b=Mul(a,k) y=Relu(b)", k=f32(2)) == "Add"
    assert applied(LOOPS, one, "float[4] y", "a=Add(x,z) y=Mul(z,a)") == "Add Mul"
    assert applied(LOOPS, one, "float[4] y", "a=Exp(x) y=Relu(a)") == "Exp Relu"


def test_a_factor_joins_a_product_past_views() -> None:
    body = "a=MatMul(x,z) b=Transpose(a) y=Mul(b,k)"
    inputs = "float[4,6] x, float[6,8] z"
    assert applied(FACTORS, inputs, "float[8,4] y", body, k=f32(2)) == "MatMul Transpose"
