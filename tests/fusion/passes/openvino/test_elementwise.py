"""Element-wise operators in one loop."""

from __future__ import annotations

from typing import Any

from tests.fusion.passes.applying import apply_pass, kinds, only

FIELDS: dict[str, Any] = {
    "operators": ["Add", "Mul", "Relu", "Exp"], "dtypes": ["float32"], "most_tensors": 8, "apart": "apart",
    "chained": ["Sin"],
}  # fmt: skip
HEAD = "agraph (float[4,8] x) => (float[4,8] y) "


def test_operators_in_a_row_are_one_loop_named_after_the_costliest() -> None:
    graph = apply_pass("group_elementwise", FIELDS, HEAD + "{ a=Relu(x) b=Exp(a) y=Mul(b,x) }")
    assert kinds(graph) == ["Exp"]
    node = only(graph, "Exp")
    assert node.attributes == {"fused": "Mul+Relu"}
    assert len(node.sources) == 3


def test_a_loop_has_no_more_tensors_than_it_may() -> None:
    text = HEAD + "{ a=Add(x,c) b=Add(a,d) y=Add(b,e) }"
    weights: dict[str, Any] = {"c": (4, 8), "d": (4, 8), "e": (4, 8)}
    assert len(kinds(apply_pass("group_elementwise", FIELDS, text, **weights))) == 1
    assert len(kinds(apply_pass("group_elementwise", {**FIELDS, "most_tensors": 4}, text, **weights))) == 2


def test_four_bounds_count_as_two_tensors() -> None:
    text = HEAD + "{ a=Sum(x,c,d,e,f) y=Relu(a) }"
    fields = {**FIELDS, "operators": ["Sum", "Relu"]}
    weights: dict[str, Any] = dict.fromkeys("cdef", (4, 8))
    assert len(kinds(apply_pass("group_elementwise", {**fields, "most_tensors": 4}, text, **weights))) == 1
    assert len(kinds(apply_pass("group_elementwise", {**fields, "most_tensors": 3}, text, **weights))) == 2


def test_other_element_types_are_not_joined_in_a_loop_with_others() -> None:
    graph = apply_pass("group_elementwise", {**FIELDS, "dtypes": ["int8"]}, HEAD + "{ a=Relu(x) y=Mul(a,x) }")
    assert sorted(kinds(graph)) == ["Mul", "Relu"]


def test_chained_operators_join_their_only_reader() -> None:
    assert len(kinds(apply_pass("group_elementwise", FIELDS, HEAD + "{ a=Sin(x) y=Sin(a) }"))) == 1


def test_what_runs_alone_joins_no_chain_but_loops() -> None:
    fields = {**FIELDS, "operators": [*FIELDS["operators"], "Cast"], "alone": ["Cast"]}
    text = "agraph (int32[4] x) => (float[4] y) { a=Cast<to=1>(x) y=Exp(a) }"
    assert sorted(kinds(apply_pass("group_elementwise", fields, text))) == ["Cast", "Exp"]
    text = "agraph (int32[4] x) => (int32[4] y) { a=Add(x,x) b=Mul(a,x) y=Cast<to=6>(b) }"
    assert "Cast" in kinds(apply_pass("group_elementwise", fields, text))
    fields["dtypes"] = ["float32", "uint8"]
    text = "agraph (uint8[4] x) => (float[4] y) { a=Cast<to=1>(x) y=Exp(a) }"
    assert kinds(apply_pass("group_elementwise", fields, text)) == ["Exp"]
