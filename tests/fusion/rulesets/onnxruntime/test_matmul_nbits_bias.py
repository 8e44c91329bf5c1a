"""A bias behind MatMulNBits."""

import numpy as np

from nnmeter.fusion.rulesets.onnxruntime.matmul_nbits_bias import MATMUL_NBITS_AND_BIAS
from tests.fusion.rulesets.applying import applied

X, Y = "float[4,32] x", "float[4,8] y"
BODY = "p=com.microsoft.MatMulNBits<K=32,N=8,bits=4,block_size=32>(x,w,s) y=Add(p,b)"
WEIGHTS = {"w": np.zeros((8, 1, 16), np.uint8), "s": (8,)}


def test_a_vector_becomes_the_bias() -> None:
    assert applied(MATMUL_NBITS_AND_BIAS, X, Y, BODY, b=(8,), **WEIGHTS) == "com.microsoft.MatMulNBits"


def test_one_number_stays() -> None:
    assert applied(MATMUL_NBITS_AND_BIAS, X, Y, BODY, b=(1,), **WEIGHTS) == "com.microsoft.MatMulNBits Add"
