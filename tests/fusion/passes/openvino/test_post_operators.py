"""Operators that run inside of the kernel before them."""

from __future__ import annotations

from typing import Any

from nnmeter.fusion.engine.rewriting import WorkingGraph
from tests.fusion.models import CONV, f32
from tests.fusion.passes.applying import apply_pass, kinds, only

FIELDS: dict[str, Any] = {
    "anchors": {"Conv": {"axis": 1, "sums": True}, "MatMul": {"axis": -1, "scales": "scalars"}},
    "activations": ["Relu"], "scales": ["Mul", "Add"], "sum": "Add", "pools": ["MaxPool"], "apart": "apart",
    "shared": "shared",
}  # fmt: skip
HEAD = "agraph (float[1,8,4,4] x) => (float[1,8,4,4] y) "
W = (8, 8, 3, 3)


def fused(text: str, **weights: Any) -> WorkingGraph:
    return apply_pass("post_operators", FIELDS, text, **weights)


def test_activations_and_scales_by_channel_join_in_order() -> None:
    graph = fused(HEAD + f"{{ a={CONV}(x,w) b=Mul(a,s) y=Relu(b) }}", w=W, s=(8, 1, 1))
    assert kinds(graph) == ["Conv"]
    assert only(graph, "Conv").attributes["fused"] == "Mul+Relu"


def test_a_residual_becomes_the_last_input() -> None:
    graph = fused(HEAD + f"{{ r=Exp(x) a={CONV}(x,w) y=Add(a,r) }}", w=W)
    conv = only(graph, "Conv")
    assert conv.attributes["fused"] == "Add"
    assert conv.inputs[3:] == ["r"]


def test_a_residual_that_is_needed_later_is_kept_apart() -> None:
    text = "agraph (float[1,8,4,4] x) => (float[1,8,4,4] y, float[1,8,4,4] r) "
    graph = fused(text + f"{{ r=Exp(x) a={CONV}(x,w) y=Add(a,r) }}", w=W)
    assert only(graph, "Add").attributes == {"apart": 1}


def test_an_anchor_of_scalars_takes_no_scale_by_channel() -> None:
    text = "agraph (float[2,8] x) => (float[2,4] y) { a=MatMul(x,w) y=Mul(a,s) }"
    assert kinds(fused(text, w=(8, 4), s=(4,))) == ["MatMul", "Mul"]
    assert kinds(fused(text, w=(8, 4), s=f32(0.5))) == ["MatMul"]


def test_an_activation_behind_a_pool_moves_into_the_anchor() -> None:
    text = "agraph (float[1,8,4,4] x) => (float[1,8,2,2] y) "
    graph = fused(text + f"{{ a={CONV}(x,w) b=MaxPool<kernel_shape=[2,2],strides=[2,2]>(a) y=Relu(b) }}", w=W)
    assert kinds(graph) == ["Conv", "MaxPool"]
    assert only(graph, "Conv").attributes["fused"] == "Relu"
