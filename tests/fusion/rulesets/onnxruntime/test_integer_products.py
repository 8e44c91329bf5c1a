"""Products of integers that are scaled to floats."""

import numpy as np

from nnmeter.fusion.rulesets.onnxruntime.integer_products import DYNAMIC_QUANTIZE_MATMUL, INTEGER_PRODUCT_TO_FLOAT
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

X, Y = "float[4,8] x", "float[4,6] y"
WEIGHTS = {"w": np.zeros((8, 6), np.int8), "ws": f32(0.1), "wz": np.int8(0)}
BODY = "q,s,z=DynamicQuantizeLinear(x) i=MatMulInteger(q,w,z,wz) f=Cast<to=1>(i) t=Mul(s,ws) {}=Mul(f,t)"


def test_the_scaled_product_is_one_operator() -> None:
    kinds = applied(INTEGER_PRODUCT_TO_FLOAT, X, Y, BODY.format("y"), **WEIGHTS)
    assert kinds == "DynamicQuantizeLinear com.microsoft.MatMulIntegerToFloat"


def test_the_bias_joins() -> None:
    kinds = applied(INTEGER_PRODUCT_TO_FLOAT, X, Y, BODY.format("p") + " y=Add(p,b)", b=(6,), **WEIGHTS)
    assert kinds == "DynamicQuantizeLinear com.microsoft.MatMulIntegerToFloat"


def test_a_matrix_is_no_bias() -> None:
    kinds = applied(INTEGER_PRODUCT_TO_FLOAT, X, Y, BODY.format("p") + " y=Add(p,b)", b=(4, 6), **WEIGHTS)
    assert kinds == "DynamicQuantizeLinear com.microsoft.MatMulIntegerToFloat Add"


def test_the_product_quantizes_its_data_itself() -> None:
    passes = [INTEGER_PRODUCT_TO_FLOAT, DYNAMIC_QUANTIZE_MATMUL]
    assert applied(passes, X, Y, BODY.format("y"), **WEIGHTS) == "com.microsoft.DynamicQuantizeMatMul"


def test_data_that_two_products_read_is_quantized_once() -> None:
    second = "j=MatMulInteger(q,w,z,wz) g=Cast<to=1>(j) u=Mul(s,ws) v=Mul(g,u)"
    passes = [INTEGER_PRODUCT_TO_FLOAT, DYNAMIC_QUANTIZE_MATMUL]
    kinds = applied(passes, X, f"{Y}, float[4,6] v", f"{BODY.format('y')} {second}", **WEIGHTS)
    assert "DynamicQuantizeLinear" in kinds.split()
