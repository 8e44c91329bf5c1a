"""The trace says what fired where, and of a rule that did not fire the first step or condition that failed."""

from __future__ import annotations

from typing import Any

import pytest

from nnmeter.errors import DeviceError
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.fusion.loading import load_rules
from nnmeter.fusion.trace import Trace, TracedNode, trace_kernels
from tests.fusion.models import CONV, f32, make_graph

SCALED: dict[str, Any] = {
    "name": "Mul and Add",
    "why": "one loop reads both",
    "source": "runtime 1.0, loops.cc",
    "match": [
        {"id": "mul", "op": "Mul", "inputs": ["x", "c"], "outputs": ["a"], "commutative": True},
        {"id": "add", "op": ["Add", "Sub"], "inputs": ["a", "z"], "outputs": ["y"]},
    ],
    "where": [["known", "c"], ["eq", ["rank", "x"], 2]],
    "unless": [{"match": [{"id": "neg", "op": "Neg", "inputs": ["y"], "outputs": ["..."]}]}],
    "replace": [{"op": "Scaled", "inputs": ["x", "z"], "outputs": ["y"]}],
}
HEAD = "agraph (float[2,4] x, float[2,4] z) => (float[2,4] y) "


def rules(*passes: dict[str, Any], parameters: Any = None) -> FusionRules:
    stages = [{"name": "only", "passes": [*passes]}]
    head = {"schema_version": 1, "name": "test", "runtime": "none", "parameters": parameters or {}}
    return load_rules({**head, "stages": stages})


def trace(text: str, rule: str | None = "Mul and Add", **weights: Any) -> Trace:
    return trace_kernels(
        make_graph(text, **weights), rules({"name": "loops", "kind": "rewrite", "rules": [SCALED]}), rule
    )


def reason(text: str, **weights: Any) -> str:
    found = trace(text, **weights)
    assert found.firings == ()
    (refusal,) = found.refusals
    assert (refusal.stage, refusal.pass_name, refusal.rule) == ("only", "loops", "Mul and Add")
    assert refusal.anchor.kind == "Mul"
    return refusal.reason


def test_a_firing_names_what_was_consumed_and_produced() -> None:
    graph = make_graph(HEAD + "{ a=Mul(x,c) y=Add(a,z) }", c=f32(2))
    names = [node.name for node in graph.nodes]
    found = trace_kernels(graph, rules({"name": "loops", "kind": "rewrite", "rules": [SCALED]}))
    (firing,) = found.firings
    assert (firing.stage, firing.pass_name, firing.rule) == ("only", "loops", "Mul and Add")
    assert firing.consumed == (TracedNode("Mul", names[0]), TracedNode("Add", names[1]))
    assert firing.produced == (TracedNode("Scaled", names[1]),)
    assert found.refusals == ()


def test_a_rule_that_fired_has_no_refusal_and_says_why_it_is_there() -> None:
    found = trace(HEAD + "{ a=Mul(x,c) y=Add(a,z) }", c=f32(2))
    assert found.refusals == ()
    (rule,) = found.rules
    assert (rule.name, rule.why, rule.source) == ("Mul and Add", "one loop reads both", "runtime 1.0, loops.cc")


def test_a_pattern_node_that_is_not_there_is_named_with_what_stands_there() -> None:
    text = reason(HEAD + "{ a=Mul(x,c) y=Div(a,z) }", c=f32(2))
    assert text.startswith("no Add or Sub (add): 'a' is read by Div ")
    assert reason(HEAD.replace(" y)", " a)") + "{ a=Mul(x,c) }", c=f32(2)) == (
        "no Add or Sub (add): 'a' is read by no operator"
    )


def test_a_condition_that_fails_is_shown_with_its_values() -> None:
    flat = HEAD.replace("[2,4]", "[8]")
    assert reason(flat + "{ a=Mul(x,c) y=Add(a,z) }", c=f32(2)).startswith("rank(x) == 2: rank(x) is 1")
    assert "constant(c): 'z' is computed in the run" in reason(HEAD + "{ a=Mul(x,z) y=Add(a,z) }")


def test_a_tensor_that_is_needed_elsewhere_is_named_with_who_needs_it() -> None:
    text = "agraph (float[2,4] x, float[2,4] z) => (float[2,4] y, float[2,4] w) { a=Mul(x,c) y=Add(a,z) w=Exp(a) }"
    assert "'a' of Mul" in (found := reason(text, c=f32(2)))
    assert "is also read by Exp" in found
    text = "agraph (float[2,4] x, float[2,4] z) => (float[2,4] y, float[2,4] a) { a=Mul(x,c) y=Add(a,z) }"
    assert reason(text, c=f32(2)).startswith("the graph returns 'a'")


def test_an_unless_that_forbids_is_said() -> None:
    found = reason(HEAD + "{ a=Mul(x,c) b=Add(a,z) y=Neg(b) }", c=f32(2))
    assert found.startswith("forbidden by unless: Neg ")


def test_a_rule_that_another_came_before_names_it() -> None:
    first = {**SCALED, "name": "first"}
    graph = make_graph(HEAD + "{ a=Mul(x,c) y=Add(a,z) }", c=f32(2))
    both = rules({"name": "loops", "kind": "rewrite", "rules": [first, SCALED]})
    (refusal,) = trace_kernels(graph, both, "Mul and Add").refusals
    assert refusal.reason == "rule 'first' comes before it and was applied"


def test_a_pass_that_is_left_out_says_why() -> None:
    graph = make_graph(HEAD + "{ a=Mul(x,c) y=Add(a,z) }", c=f32(2))
    item = {"name": "loops", "kind": "rewrite", "rules": [SCALED], "only_if": "wide"}
    found = trace_kernels(graph, rules(item, parameters={"wide": False}), "mul*")
    assert found.idle == (("loops", "parameter wide is not true"),)


def test_a_pass_without_rules_is_traced_too() -> None:
    graph = make_graph(HEAD + "{ a=Mul(x,c) y=Add(a,z) }", c=f32(2))
    found = trace_kernels(graph, rules({"name": "free", "kind": "free_operators", "operators": ["Mul"]}))
    (firing,) = found.firings
    assert (firing.pass_name, firing.rule) == ("free", "")
    assert [node.kind for node in firing.consumed] == ["Mul"]


def test_a_name_that_no_rule_has_is_refused_with_near_ones() -> None:
    with pytest.raises(DeviceError, match=r"no fusion rule is called 'Mul and Sub'; .*'Mul and Add'"):
        trace(HEAD + "{ a=Mul(x,c) y=Add(a,z) }", "Mul and Sub", c=f32(2))


def test_tracing_ends_with_the_kernels_of_detection() -> None:
    text = "agraph (float[1,16,8,8] x) => (float[1,16,8,8] y) { "
    text += f"a={CONV}(x,w) b=BatchNormalization(a,s,b0,m,v) c=Relu(b) d={CONV}(c,u) e=Add(d,c) y=Relu(e) }}"
    one = {"s": (16,), "b0": (16,), "m": (16,), "v": (16,)}
    graph = make_graph(text, w=(16, 16, 3, 3), u=(16, 16, 3, 3), **one)
    shipped = load_rules("onnxruntime_cpu")
    alive = {node.name: node.op_type for node in graph.nodes}
    for firing in trace_kernels(graph, shipped, "Conv*").firings:
        for node in firing.consumed:
            alive.pop(node.name, None)
        for node in firing.produced:
            alive[node.name] = node.kind
    assert sorted(alive) == sorted(kernel.name for kernel in detect_kernels(graph, shipped))
