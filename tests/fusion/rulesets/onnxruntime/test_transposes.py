"""Transposes are pushed through operators until they cancel."""

import numpy as np

from nnmeter.fusion.rulesets.onnxruntime import integer_convolutions, transposes
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

X, Y = "float[2,4,6,8] x", "float[2,4,6,8] y"
LAST, FIRST = "Transpose<perm=[0,2,3,1]>", "Transpose<perm=[0,3,1,2]>"


def test_transposes_around_an_activation_cancel() -> None:
    assert applied(transposes.TRANSPOSES, X, Y, f"a={LAST}(x) b=Relu(a) y={FIRST}(b)") == "Relu"


def test_transposes_around_a_pool_stay() -> None:
    body = f"a={LAST}(x) b=MaxPool<kernel_shape=[1,1]>(a) y={FIRST}(b)"
    assert applied(transposes.TRANSPOSES, X, Y, body) == "Transpose MaxPool Transpose"


def test_resize_is_passed_once_operators_are_assigned() -> None:
    body = f"a={LAST}(x) b=Resize(a,,sc) y={FIRST}(b)"
    scales = f32([1, 2, 2, 1])
    outputs = "float[2,4,12,16] y"
    assert applied(transposes.TRANSPOSES, X, outputs, body, sc=scales) == "Transpose Resize Transpose"
    assert applied(transposes.TRANSPOSES_PAST_RESIZE, X, outputs, body, sc=scales) == "Resize"


def test_pools_of_integers_work_with_channels_last() -> None:
    scales = {"s": f32(0.1), "z": np.uint8(0), "w": np.zeros((8, 8, 1, 1), np.uint8)}
    body = "a=QLinearConv(x,s,z,w,s,z,s,z) b=MaxPool<kernel_shape=[1,1]>(a) y=QLinearConv(b,s,z,w,s,z,s,z)"
    passes = [integer_convolutions.CHANNELS_LAST, transposes.TRANSPOSES_OF_INTEGER_OPERATORS]
    kinds = applied(passes, "uint8[1,8,4,4] x", "uint8[1,8,4,4] y", body, **scales)
    conv = "com.microsoft.QLinearConv"
    assert kinds == f"Transpose {conv} com.microsoft.NhwcMaxPool {conv} Transpose"
