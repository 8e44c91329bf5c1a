"""Transposes that are pushed until they meet and cancel."""

from __future__ import annotations

from typing import Any

from tests.fusion.models import i64
from tests.fusion.passes.applying import apply_pass, kinds, only, shape

FIELDS: dict[str, Any] = {
    "handlers": {"simple": ["Relu"], "broadcast": ["Add"], "reduce": ["ReduceMean"], "softmax": ["Softmax"]}
}
LAST, FIRST = "Transpose<perm=[0,2,3,1]>", "Transpose<perm=[0,3,1,2]>"


def test_transposes_meet_behind_an_operator_and_cancel() -> None:
    text = f"agraph (float[1,4,8,8] x) => (float[1,4,8,8] y) {{ a={LAST}(x) b=Relu(a) y={FIRST}(b) }}"
    graph = apply_pass("push_transposes", FIELDS, text)
    assert kinds(graph) == ["Relu"]


def test_a_transpose_is_not_pushed_through_what_has_no_handler() -> None:
    text = f"agraph (float[1,4,8,8] x) => (float[1,4,8,8] y) {{ a={LAST}(x) b=Exp(a) y={FIRST}(b) }}"
    assert kinds(apply_pass("push_transposes", FIELDS, text)) == ["Transpose", "Exp", "Transpose"]


def test_two_transposes_in_a_row_become_one() -> None:
    text = "agraph (float[2,3,4] x) => (float[4,2,3] y) { a=Transpose<perm=[1,0,2]>(x) y=Transpose<perm=[2,1,0]>(a) }"
    graph = apply_pass("push_transposes", FIELDS, text)
    assert only(graph, "Transpose").attributes["perm"] == (2, 0, 1)
    assert len(only(graph, "Transpose").sources) == 2


def test_axes_of_a_reduction_follow() -> None:
    text = f"agraph (float[1,4,8,8] x) => (float[1,1,8,8] y) {{ a={LAST}(x) b=ReduceMean(a,ax) y={FIRST}(b) }}"
    graph = apply_pass("push_transposes", FIELDS, text, ax=i64(3))
    reduction = only(graph, "ReduceMean")
    assert graph.values[reduction.inputs[1]].tolist() == [1]
    assert shape(graph, reduction.outputs[0]) == (1, 1, 8, 8)


def test_a_transpose_is_pushed_to_one_that_it_merges_with_only_where_nobody_else_needs_what_is_between() -> None:
    other = "Transpose<perm=[0,1,3,2]>"
    head = "agraph (float[2,4,6,8] x) => (float[?,?,?,?] y, float[?,?,?,?] z) "
    alone = f"{{ a={LAST}(x) b=Relu(a) y={other}(b) z=Exp(y) }}"
    shared = f"{{ a={LAST}(x) b=Relu(a) y={other}(b) z=Exp(b) }}"
    cancelled = f"{{ a={LAST}(x) b=Relu(a) y={FIRST}(b) z=Exp(b) }}"
    assert kinds(apply_pass("push_transposes", FIELDS, head + alone)) == ["Relu", "Transpose", "Exp"]
    assert kinds(apply_pass("push_transposes", FIELDS, head + shared)) == ["Transpose", "Relu", "Transpose", "Exp"]
    assert sorted(kinds(apply_pass("push_transposes", FIELDS, head + cancelled))) == ["Exp", "Relu", "Transpose"]


def test_the_second_reader_of_a_permuted_constant_lets_a_transpose_pass() -> None:
    """`a` is pushed through the first sum, for it cancels `y`; that permutes `c`, and so the second sum is worth it."""
    head = "agraph (float[2,4,6,8] x, float[2,4,6,8] u) => (float[?,?,?,?] y, float[?,?,?,?] z) "
    first = f"a={LAST}(x) b=Add(a,c) y={FIRST}(b)"
    shared = f"{{ d={LAST}(u) e=Add(d,c) z=Exp(e) {first} }}"
    own = f"{{ d={LAST}(u) e=Add(d,c2) z=Exp(e) {first} }}"
    constants: dict[str, Any] = {"c": (2, 6, 8, 4)}
    graph = apply_pass("push_transposes", FIELDS, head + shared, **constants)
    assert sorted(kinds(graph)) == ["Add", "Add", "Exp", "Transpose"]
    sums = [node for node in graph.nodes() if node.kind == "Add"]
    assert [shape(graph, tensor) for node in sums for tensor in node.inputs] == [(2, 4, 6, 8)] * 4
    assert graph.producer[only(graph, "Transpose").inputs[0]].kind == "Add"
    graph = apply_pass("push_transposes", FIELDS, head + own, **constants, c2=(2, 6, 8, 4))
    sums = [node for node in graph.nodes() if node.kind == "Add"]
    assert {shape(graph, tensor) for tensor in sums[0].inputs} == {(2, 6, 8, 4)}


def test_what_others_read_of_a_permuted_constant_is_folded_again() -> None:
    head = "agraph (float[2,4,6,8] x, float[2,6,8,4] u) => (float[?,?,?,?] y, float[?,?,?,?] z) "
    text = f"{{ a={LAST}(x) b=Add(a,c) y={FIRST}(b) z=Add(u,c) }}"
    graph = apply_pass("push_transposes", FIELDS, head + text, c=(2, 6, 8, 4))
    assert kinds(graph) == ["Add", "Add"]
    assert all(tensor in graph.constants or tensor in ("x", "u") for node in graph.nodes() for tensor in node.inputs)
