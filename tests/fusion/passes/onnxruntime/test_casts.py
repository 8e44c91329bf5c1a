"""Operators without kernels of half precision run in single precision, between casts."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from tests.fusion.models import make_graph

RULES = load_rules("onnxruntime_cpu")
HALF = "agraph (float16[4,16] x) => (float16[4,16] y) "


def kernels(text: str, **weights: Any) -> list[str]:
    found = detect_kernels(make_graph(text, **weights), RULES)
    return [f"{kernel.type}:{kernel.signature.outputs[0].dtype}" for kernel in found]


def test_casts_surround_an_operator_without_a_kernel() -> None:
    assert kernels(HALF + "{ y=Exp(x) }") == ["Cast:float32", "Exp:float32", "Cast:float16"]


def test_no_casts_between_operators_without_kernels() -> None:
    text = HALF + "{ a=Exp(x) b=Neg(a) y=Abs(b) }"
    assert kernels(text) == ["Cast:float32", "Exp:float32", "Neg:float32", "Abs:float32", "Cast:float16"]


def test_supported_operator_between_them_is_widened_and_at_the_edge_it_is_not() -> None:
    text = HALF + "{ a=Exp(x) b=Reshape(a,s) y=Neg(b) }"
    assert kernels(text, s=np.array([4, 16]))[1:4] == ["Exp:float32", "Reshape:float32", "Neg:float32"]
    text = HALF + "{ a=Reshape(x,s) y=Neg(a) }"
    assert kernels(text, s=np.array([4, 16]))[0] == "Reshape:float16"


def test_weight_of_one_reader_is_cast_before_the_run_and_a_shared_one_in_it() -> None:
    weight = np.ones(16, np.float16)
    assert kernels(HALF + "{ y=Sub(x,w) }", w=weight).count("Cast:float32") == 1
    assert kernels(HALF + "{ a=Sub(x,w) y=Div(a,w) }", w=weight).count("Cast:float32") == 2


def test_graph_of_single_precision_is_left_alone() -> None:
    assert kernels("agraph (float[4] x) => (float[4] y) { y=Exp(x) }") == ["Exp:float32"]


def test_variadic_operator_is_judged_by_its_first_input() -> None:
    text = "agraph (float16[4,16] x) => (float16[8,16] y) { a=Exp(x) r=Reshape(x,s) b=Concat<axis=0>(a,r) y=Neg(b) }"
    assert "Concat:float32" in kernels(text, s=np.array([4, 16]))
    text = "agraph (float16[4,16] x) => (float16[8,16] y) { a=Exp(x) r=Reshape(x,s) b=Concat<axis=0>(r,a) y=Neg(b) }"
    assert "Concat:float16" in kernels(text, s=np.array([4, 16]))


def test_cast_of_the_model_goes_with_the_one_that_undoes_it() -> None:
    text = "agraph (float[4,16] x) => (float[4,16] y) { h=Cast<to=10>(x) a=Exp(h) y=Cast<to=1>(a) }"
    assert kernels(text) == ["Exp:float32", "Cast:float32"]


def test_casts_of_the_model_that_lose_precision_stay() -> None:
    text = "agraph (float[4,16] x) => (float[4,16] y) { a=Exp(x) h=Cast<to=10>(a) w=Cast<to=1>(h) y=Neg(w) }"
    assert kernels(text) == ["Exp:float32", "Cast:float16", "Cast:float32", "Neg:float32"]


def test_first_of_two_casts_that_loses_nothing_goes() -> None:
    text = "agraph (int32[4] x) => (float[4] y) { a=Neg(x) b=Cast<to=7>(a) c=Cast<to=1>(b) y=Exp(c) }"
    assert kernels(text) == ["Neg:int32", "Cast:float32", "Exp:float32"]


def test_relu_of_half_precision_is_a_maximum_in_the_opsets_that_define_it_so() -> None:
    text = HALF + "{ a=Exp(x) b=Relu(a) y=Neg(b) }"
    assert kernels(text, opset=18)[1:4] == ["Exp:float32", "Max:float32", "Neg:float32"]
    assert kernels(text, opset=20)[1:4] == ["Exp:float32", "Relu:float32", "Neg:float32"]


def test_equal_small_constants_are_cast_once() -> None:
    text = HALF + "{ a=Sub(x,v) y=Div(a,w) }"
    small = {"v": np.full(1, 2, np.float16), "w": np.full(1, 2, np.float16)}
    assert kernels(text, **small).count("Cast:float32") == 2
    large = {"v": np.full(16, 2, np.float16), "w": np.full(16, 2, np.float16)}
    assert kernels(text, **large).count("Cast:float32") == 1
