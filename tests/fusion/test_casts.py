"""Operators without kernels of half precision run in single precision, between casts."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.rules import load_rules
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
