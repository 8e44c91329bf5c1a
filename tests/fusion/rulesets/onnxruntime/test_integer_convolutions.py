"""Convolutions of integers with channels last."""

import numpy as np

from nnmeter.fusion.rulesets.onnxruntime import integer_convolutions
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "uint8[1,8,4,4] x", "uint8[1,8,4,4] y"
WEIGHTS = {"s": f32(0.1), "z": np.uint8(0), "w": np.zeros((8, 8, 1, 1), np.uint8)}


def test_it_works_between_two_transposes() -> None:
    text = f"agraph ({X}) => ({Y}) {{ y=QLinearConv(x,s,z,w,s,z,s,z) }}"
    graph = rewritten(integer_convolutions.CHANNELS_LAST, text, **WEIGHTS)
    there, conv, back = graph.ordered()
    assert (there.kind, conv.kind, back.kind) == ("Transpose", "com.microsoft.QLinearConv", "Transpose")
    assert graph.types[conv.outputs[0]].shape == (1, 4, 4, 8)


def test_two_that_read_one_tensor_share_a_transpose() -> None:
    body = "a=QLinearConv(x,s,z,w,s,z,s,z) y=QLinearConv(x,s,z,v,s,z,s,z)"
    passes = [integer_convolutions.CHANNELS_LAST, integer_convolutions.ONE_TRANSPOSE_A_TENSOR]
    weights = {**WEIGHTS, "v": np.ones((8, 8, 1, 1), np.uint8)}
    kinds = applied(passes, X, f"{Y}, uint8[1,8,4,4] a", body, **weights)
    assert kinds.split().count("Transpose") == 3


def test_a_convolution_of_floats_stays() -> None:
    kinds = applied(
        integer_convolutions.CHANNELS_LAST, "float[1,8,4,4] x", "float[1,8,4,4] y", "y=Conv(x,w)", w=(8, 8, 1, 1)
    )
    assert kinds == "Conv"
