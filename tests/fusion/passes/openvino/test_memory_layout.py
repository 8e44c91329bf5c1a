"""Channels last, and the reorders that changing the order costs."""

from __future__ import annotations

from typing import Any

from tests.fusion.models import CONV
from tests.fusion.passes.applying import apply_pass, kinds, only

FIELDS: dict[str, Any] = {
    "channels_last": ["Conv"], "following": ["Relu", "MaxPool"], "views": ["Reshape"], "view": "View",
    "transpose": "Transpose", "to_last": "ToLast", "to_first": "ToFirst", "ranks": [4], "transpose_ranks": [4],
    "splits": [], "joins": [], "moves": "moves", "in_place_sums": [],
}  # fmt: skip
HEAD = "agraph (float[1,8,4,4] x) => (float[1,8,4,4] y) "


def test_a_convolution_is_surrounded_by_reorders() -> None:
    graph = apply_pass("memory_layout", FIELDS, HEAD + f"{{ y={CONV}(x,w) }}", w=(8, 8, 3, 3))
    assert kinds(graph) == ["ToLast", "Conv"] + (["ToFirst"] if graph.of_kinds(["ToFirst"]) else [])
    assert only(graph, "Conv").attributes["layout"] == "acdb"


def test_an_operator_that_follows_needs_no_reorder_and_one_that_does_not_needs_one() -> None:
    text = HEAD + f"{{ a={CONV}(x,w) b=Relu(a) y={CONV}(b,w) }}"
    assert kinds(apply_pass("memory_layout", FIELDS, text, w=(8, 8, 3, 3)))[:4] == ["ToLast", "Conv", "Relu", "Conv"]
    text = HEAD + f"{{ a={CONV}(x,w) y=Exp(a) }}"
    assert kinds(apply_pass("memory_layout", FIELDS, text, w=(8, 8, 3, 3))) == ["ToLast", "Conv", "ToFirst", "Exp"]


def test_a_reorder_of_dimensions_of_one_costs_nothing() -> None:
    text = "agraph (float[1,1,4,4] x) => (float[1,8,4,4] y) { a=" + CONV + "(x,w) y=Relu(a) }"
    assert "ToLast" not in kinds(apply_pass("memory_layout", FIELDS, text, w=(8, 1, 3, 3)))


def test_a_transpose_that_makes_the_wanted_order_is_a_view() -> None:
    text = f"agraph (float[1,4,4,8] x) => (float[1,8,4,4] y) {{ t=Transpose<perm=[0,3,1,2]>(x) y={CONV}(t,w) }}"
    assert kinds(apply_pass("memory_layout", FIELDS, text, w=(8, 8, 3, 3)))[:2] == ["View", "Conv"]


def test_an_operator_of_one_rank_works_channels_first_beside_a_tensor_of_another() -> None:
    fields = {**FIELDS, "following": ["Mul"], "of_one_rank": ["Mul"]}
    text = f"agraph (float[1,8,4,4] x, float[1] s) => (float[1,8,4,4] y) {{ a={CONV}(x,w) y=Mul(a,s) }}"
    assert kinds(apply_pass("memory_layout", fields, text, w=(8, 8, 3, 3))) == ["ToLast", "Conv", "ToFirst", "Mul"]
    text = f"agraph (float[1,8,4,4] x) => (float[1,8,4,4] y) {{ a={CONV}(x,w) y=Mul(a,a) }}"
    graph = apply_pass("memory_layout", fields, text, w=(8, 8, 3, 3))
    assert kinds(graph) == ["ToLast", "Conv", "Mul", "ToFirst"]


def test_what_reads_a_changed_element_type_works_channels_last() -> None:
    fields = {**FIELDS, "retype": "Cast", "last_behind_retype": ["Abs"]}
    text = "agraph (float[1,8,4,4] x) => (int32[1,8,4,4] y) { a=Cast<to=6>(x) y=Abs(a) }"
    assert kinds(apply_pass("memory_layout", fields, text)) == ["ToLast", "Abs", "ToFirst"]
