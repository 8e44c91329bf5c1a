"""Products of floats by quantized weights."""

import numpy as np
import pytest

from nnmeter.fusion.rulesets.onnxruntime.quantized_weights import QUANTIZED_WEIGHTS
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[4,64] x", "float[4,8] y"
WEIGHTS = {"v": np.zeros((64, 8), np.int8), "s": f32(0.1), "z": np.int8(0)}


def test_the_weights_are_repacked_in_blocks() -> None:
    text = f"agraph ({X}) => ({Y}) {{ w=DequantizeLinear(v,s,z) y=MatMul(x,w) }}"
    graph = rewritten(QUANTIZED_WEIGHTS, text, **WEIGHTS)
    (product,) = graph.ordered()
    assert product.kind == "com.microsoft.MatMulNBits"
    assert graph.types[product.inputs[1]].shape == (8, 2, 32)
    assert [product.attributes[name] for name in ("K", "N", "bits", "block_size")] == [64, 8, 8, 32]


def test_gemm_takes_its_bias_along() -> None:
    body = "w=DequantizeLinear(v,s,z) y=Gemm(x,w,b)"
    assert applied(QUANTIZED_WEIGHTS, X, Y, body, b=(8,), **WEIGHTS) == "com.microsoft.MatMulNBits"


@pytest.mark.parametrize("attribute", ["transB=1", "alpha=2.0"])
def test_a_gemm_that_does_more_stays(attribute: str) -> None:
    weights = {**WEIGHTS, "v": np.zeros((8, 64) if attribute == "transB=1" else (64, 8), np.int8)}
    body = f"w=DequantizeLinear(v,s,z) y=Gemm<{attribute}>(x,w,b)"
    assert applied(QUANTIZED_WEIGHTS, X, Y, body, b=(8,), **weights) == "DequantizeLinear Gemm"


def test_quantized_data_is_for_an_operator_of_integers() -> None:
    body = "d=DequantizeLinear(x,s,u) w=DequantizeLinear(v,s,z) y=MatMul(d,w)"
    kinds = applied(QUANTIZED_WEIGHTS, "uint8[4,64] x", Y, body, u=np.uint8(0), **WEIGHTS)
    assert kinds == "DequantizeLinear DequantizeLinear MatMul"
