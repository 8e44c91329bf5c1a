"""The matcher on made-up rules: what it binds, what it replaces, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from tests.fusion.models import f32, make_graph


def kinds(rule: dict[str, Any], text: str, **weights: Any) -> list[str]:
    passes = [{"name": "test", "kind": "rewrite", "rules": [{"name": "test", **rule}]}]
    stages = [{"name": "only", "repeat": 3, "passes": passes}]
    rules = load_rules({"schema_version": 1, "name": "test", "runtime": "none", "stages": stages})
    return [kernel.type for kernel in detect_kernels(make_graph(text, **weights), rules)]


SCALED_SUM: dict[str, Any] = {
    "match": [
        {"id": "mul", "op": "Mul", "inputs": ["x", "c"], "outputs": ["a"], "commutative": True},
        {"id": "add", "op": ["Add", "Sub"], "inputs": ["a", "z"], "outputs": ["y"]},
    ],
    "where": [["known", "c"]],
    "replace": [
        {"op": "Scaled", "inputs": ["x", "z"], "outputs": ["y"], "attributes": {"set": {"by": ["scalar", "c"]}}}
    ],
}
HEAD = "agraph (float[4] x, float[4] z) => (float[4] y) "


@pytest.mark.parametrize("product", ["Mul(x,c)", "Mul(c,x)"])
def test_commutative_inputs_match_either_way(product: str) -> None:
    assert kinds(SCALED_SUM, HEAD + f"{{ a={product} y=Add(a,z) }}", c=f32(2)) == ["Scaled"]


def test_alternatives_match_and_other_orders_of_inputs_do_not() -> None:
    assert kinds(SCALED_SUM, HEAD + "{ a=Mul(x,c) y=Sub(a,z) }", c=f32(2)) == ["Scaled"]
    assert kinds(SCALED_SUM, HEAD + "{ a=Mul(x,c) y=Sub(z,a) }", c=f32(2)) == ["Mul", "Sub"]


def test_condition_that_does_not_hold_forbids() -> None:
    assert kinds(SCALED_SUM, HEAD + "{ a=Mul(x,z) y=Add(a,z) }") == ["Mul", "Add"]


def test_tensor_that_others_need_forbids() -> None:
    text = "agraph (float[4] x, float[4] z) => (float[4] y, float[4] w) { a=Mul(x,c) y=Add(a,z) w=Neg(a) }"
    assert sorted(kinds(SCALED_SUM, text, c=f32(2))) == ["Add", "Mul", "Neg"]
    text = "agraph (float[4] x, float[4] z) => (float[4] y, float[4] a) { a=Mul(x,c) y=Add(a,z) }"
    assert kinds(SCALED_SUM, text, c=f32(2)) == ["Mul", "Add"]


def test_shared_node_stays_for_its_other_readers() -> None:
    rule = {**SCALED_SUM, "match": [{**SCALED_SUM["match"][0], "shared": True}, SCALED_SUM["match"][1]]}
    text = "agraph (float[4] x, float[4] z) => (float[4] y, float[4] w) { a=Mul(x,c) y=Add(a,z) w=Neg(a) }"
    assert sorted(kinds(rule, text, c=f32(2))) == ["Mul", "Neg", "Scaled"]
    assert kinds(rule, HEAD + "{ a=Mul(x,c) y=Add(a,z) }", c=f32(2)) == ["Scaled"]


def test_name_bound_twice_is_one_tensor() -> None:
    square = {
        "match": [{"id": "mul", "op": "Mul", "inputs": ["x", "x"], "outputs": ["y"]}],
        "replace": [{"op": "Square", "inputs": ["x"], "outputs": ["y"]}],
    }
    assert kinds(square, HEAD + "{ y=Mul(x,x) }") == ["Square"]
    assert kinds(square, HEAD + "{ y=Mul(x,z) }") == ["Mul"]


def test_surroundings_forbid() -> None:
    around = {"match": [{"id": "neg", "op": "Neg", "inputs": ["y"], "outputs": ["..."]}]}
    rule = {**SCALED_SUM, "unless": [around]}
    assert kinds(rule, HEAD + "{ a=Mul(x,c) y=Add(a,z) }", c=f32(2)) == ["Scaled"]
    assert kinds(rule, HEAD + "{ a=Mul(x,c) b=Add(a,z) y=Neg(b) }", c=f32(2)) == ["Mul", "Add", "Neg"]


def test_new_tensors_have_the_types_that_the_rule_computes() -> None:
    rule = {
        "match": [{"id": "n", "op": "Neg", "inputs": ["x"], "outputs": ["y"]}],
        "tensors": {
            "flat": {"dtype": ["dtype", "x"], "shape": ["list", ["elements", "x"]]},
            "count": {"value": ["list", ["elements", "x"]]},
        },
        "replace": [
            {"op": "Reshape", "inputs": ["x", "count"], "outputs": ["flat"]},
            {"op": "Negate", "inputs": ["flat"], "outputs": ["y"], "main": True},
        ],
    }
    graph = make_graph("agraph (float[2,3] x) => (float[2,3] y) { y=Neg(x) }")
    passes = [{"name": "test", "kind": "rewrite", "rules": [{"name": "test", **rule}]}]
    stages = [{"name": "only", "passes": passes}]
    rules = load_rules({"schema_version": 1, "name": "test", "runtime": "none", "stages": stages})
    reshape, negate = detect_kernels(graph, rules)
    assert reshape.signature.outputs[0].shape == (6,)
    assert reshape.signature.constants == (False, True)
    assert reshape.nodes == ()
    assert negate.nodes == (graph.nodes[0].name,)
