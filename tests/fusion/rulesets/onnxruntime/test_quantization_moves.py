"""Quantization moves past operators that only move data."""

import numpy as np

from nnmeter.fusion.rulesets.onnxruntime import quantization_moves
from tests.fusion.models import f32, i64
from tests.fusion.rulesets.applying import applied

Q, DQ = "QuantizeLinear", "DequantizeLinear"
X, Y = "float[4,8] x", "float[8,4] y"
SCALE = {"s": f32(0.1), "z": np.uint8(128)}


def test_quantize_moves_back_past_a_transpose() -> None:
    body = f"e=Exp(x) a=Transpose(e) q={Q}(a,s,z) y={DQ}(q,s,z)"
    kinds = applied(quantization_moves.QUANTIZE_MOVES_BACK, X, Y, body, **SCALE)
    assert kinds == f"Exp {Q} {DQ} Transpose {Q} {DQ}"


def test_quantize_does_not_move_back_past_an_activation() -> None:
    body = f"e=Exp(x) a=Relu(e) q={Q}(a,s,z) y={DQ}(q,s,z)"
    kinds = applied(quantization_moves.QUANTIZE_MOVES_BACK, X, "float[4,8] y", body, **SCALE)
    assert kinds == f"Exp Relu {Q} {DQ}"


def test_dequantize_moves_on_past_a_transpose() -> None:
    body = f"q={Q}(x,s,z) d={DQ}(q,s,z) a=Transpose(d) y=Exp(a)"
    kinds = applied(quantization_moves.DEQUANTIZE_MOVES_ON, X, Y, body, **SCALE)
    assert kinds == f"{Q} {DQ} Transpose {Q} {DQ} Exp"


def test_dequantize_stays_where_a_quantize_follows() -> None:
    body = f"q={Q}(x,s,z) d={DQ}(q,s,z) a=Transpose(d) r={Q}(a,s,z) y={DQ}(r,s,z)"
    kinds = applied(quantization_moves.DEQUANTIZE_MOVES_ON, X, Y, body, **SCALE)
    assert kinds == f"{Q} {DQ} Transpose {Q} {DQ}"


CHOICE = f"q={Q}(x,s,z) d={DQ}(q,s,z) w=Where(c,k,d) r={Q}(w,s,z) y={DQ}(r,s,z)"


def test_a_constant_that_where_chooses_is_quantized() -> None:
    kinds = applied(quantization_moves.CHOICES, "float[4,8] x, bool[4,8] c", "float[4,8] y", CHOICE, k=f32(0), **SCALE)
    assert kinds.split().count(DQ) == 3


def test_a_constant_of_many_elements_stays() -> None:
    kinds = applied(quantization_moves.CHOICES, "float[4,8] x, bool[4,8] c", "float[4,8] y", CHOICE, k=(8,), **SCALE)
    assert kinds.split().count(DQ) == 2


def test_quantized_weights_are_transposed_before_the_run() -> None:
    body = f"w={DQ}(v,s,t) u=Transpose<perm=[1,0]>(w) y=MatMul(x,u)"
    weights = {"v": np.zeros((6, 8), np.int8), "s": f32(0.1), "t": np.int8(0)}
    kinds = applied(quantization_moves.AROUND_TRANSPOSES, X, "float[4,6] y", body, **weights)
    assert kinds == f"{DQ} MatMul"


def test_a_dequantized_transpose_of_an_output_stays() -> None:
    body = f"q={Q}(x,s,z) d={DQ}(q,s,z) y=Reshape(d,shape)"
    kinds = applied(quantization_moves.AROUND_TRANSPOSES, X, Y, body, shape=i64(8, 4), **SCALE)
    assert kinds == f"{Q} {DQ} Reshape"
