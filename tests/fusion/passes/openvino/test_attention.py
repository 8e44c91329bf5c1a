"""Two products with a softmax between them."""

from __future__ import annotations

from typing import Any

from tests.fusion.models import f32
from tests.fusion.passes.applying import apply_pass, kinds, only

FIELDS: dict[str, Any] = {
    "product": "MatMul", "softmax": "Softmax", "transpose": "Transpose", "reshape": "Reshape", "becomes": "Attention",
    "between": ["Add", "Mul"], "ranks": [3, 4], "transpose_ranks": [4], "most_tensors": 5, "apart": "apart",
}  # fmt: skip
HEAD = "agraph (float[2,8,16] q, float[2,16,8] k, float[2,8,16] v, float[2,8,8] m) => (float[2,8,16] y) "


def test_products_softmax_and_what_is_between_are_one_kernel() -> None:
    text = HEAD + "{ a=MatMul(q,k) b=Mul(a,c) d=Add(b,m) s=Softmax(d) y=MatMul(s,v) }"
    graph = apply_pass("group_attention", FIELDS, text, c=f32(0.25))
    assert kinds(graph) == ["Attention"]
    node = only(graph, "Attention")
    assert node.inputs == ["q", "k", "v", "m"]
    assert node.attributes == {"fused": "Add+Mul"}
    assert len(node.sources) == 5


def test_scores_that_others_read_stay_apart() -> None:
    text = HEAD.replace("y)", "y, float[2,8,8] s)") + "{ a=MatMul(q,k) s=Softmax(a) y=MatMul(s,v) }"
    assert kinds(apply_pass("group_attention", FIELDS, text)) == ["MatMul", "Softmax", "MatMul"]


def test_a_softmax_along_another_dimension_is_none() -> None:
    text = HEAD + "{ a=MatMul(q,k) s=Softmax<axis=1>(a) y=MatMul(s,v) }"
    assert kinds(apply_pass("group_attention", FIELDS, text)) == ["MatMul", "Softmax", "MatMul"]


def test_a_kernel_reads_no_more_tensors_than_it_may() -> None:
    text = HEAD + "{ a=MatMul(q,k) d=Add(a,m) s=Softmax(d) y=MatMul(s,v) }"
    assert "Attention" not in kinds(apply_pass("group_attention", {**FIELDS, "most_tensors": 4}, text))
