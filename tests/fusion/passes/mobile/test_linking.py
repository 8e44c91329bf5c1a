"""Operators that run inside of the kernel before them."""

from __future__ import annotations

from typing import Any

from tests.fusion.models import CONV
from tests.fusion.passes.applying import apply_pass, kinds, only

ACTIVATIONS: dict[str, Any] = {"into": ["Conv"], "operators": ["Relu", "Clip"]}
SUMS: dict[str, Any] = {"into": ["Conv"], "operators": ["Add"], "sums": True}
HEAD = "agraph (float[1,8,4,4] x) => (float[1,8,4,4] y) "


def test_an_activation_joins_the_kernel_that_it_alone_reads() -> None:
    graph = apply_pass("link", {"links": [ACTIVATIONS]}, HEAD + f"{{ a={CONV}(x,w) y=Relu(a) }}", w=(8, 8, 3, 3))
    assert kinds(graph) == ["Conv"]
    assert only(graph, "Conv").attributes["fused"] == "Relu"
    text = HEAD + f"{{ a={CONV}(x,w) b=Relu(a) y=Add(a,b) }}"
    assert kinds(apply_pass("link", {"links": [ACTIVATIONS]}, text, w=(8, 8, 3, 3))) == ["Conv", "Relu", "Add"]


def test_a_link_holds_only_with_its_parameter_and_up_to_its_count() -> None:
    text = HEAD + f"{{ a={CONV}(x,w) b=Relu(a) y=Clip(b) }}"
    links = [{**ACTIVATIONS, "if": "joins"}]
    assert kinds(apply_pass("link", {"links": links}, text, {"joins": False}, w=(8, 8, 3, 3))) == [
        "Conv",
        "Relu",
        "Clip",
    ]
    assert kinds(apply_pass("link", {"links": links}, text, {"joins": True}, w=(8, 8, 3, 3))) == ["Conv", "Clip"]
    links = [{**ACTIVATIONS, "most": 1}]
    assert kinds(apply_pass("link", {"links": links}, text, w=(8, 8, 3, 3))) == ["Conv"]


def test_a_sum_joins_the_kernel_with_fewer_operators_before_it() -> None:
    text = HEAD + f"{{ a={CONV}(x,w) b={CONV}(a,v) c={CONV}(x,u) y=Add(b,c) }}"
    graph = apply_pass("link", {"links": [SUMS]}, text, w=(8, 8, 3, 3), v=(8, 8, 3, 3), u=(8, 8, 3, 3))
    assert kinds(graph) == ["Conv", "Conv", "Conv"]
    joined = next(node for node in graph.nodes() if "fused" in node.attributes)
    assert joined.inputs == ["x", "u", "", "b"]


def test_what_joins_in_silence_leaves_the_name() -> None:
    text = HEAD + f"{{ a={CONV}(x,w) y=Relu(a) }}"
    graph = apply_pass("link", {"links": [{**ACTIVATIONS, "silent": True}]}, text, w=(8, 8, 3, 3))
    assert "fused" not in only(graph, "Conv").attributes


def test_a_link_may_ask_for_its_place_and_for_what_else_is_read() -> None:
    sums = {"into": ["Mul"], "operators": ["Add"], "sums": True}
    text = "agraph (float[2,3] x, float[2,3] z) => (float[2,3] y) { a=Mul(x,z) b=Exp(z) y=Add(b,a) }"
    assert kinds(apply_pass("link", {"links": [sums]}, text)) == ["Exp", "Mul"]
    assert kinds(apply_pass("link", {"links": [{**sums, "first": True}]}, text)) == ["Mul", "Exp", "Add"]
    turned = text.replace("Add(b,a)", "Add(a,b)")
    assert kinds(apply_pass("link", {"links": [{**sums, "first": True}]}, turned)) == ["Exp", "Mul"]
    assert kinds(apply_pass("link", {"links": [{**sums, "peers": ["Neg"]}]}, text)) == ["Mul", "Exp", "Add"]
    assert kinds(apply_pass("link", {"links": [{**sums, "peers": ["Exp"]}]}, text)) == ["Exp", "Mul"]


def test_what_else_is_read_must_be_alike_where_a_link_says_so() -> None:
    sums = {"into": ["Mul"], "operators": ["Add"], "sums": True, "alike": True}
    text = "agraph (float[2,3] x, float[3] z) => (float[2,3] y) { a=Mul(x,x) y=Add(a,z) }"
    assert kinds(apply_pass("link", {"links": [sums]}, text)) == ["Mul", "Add"]
    assert kinds(apply_pass("link", {"links": [sums]}, text.replace("float[3] z", "float[2,3] z"))) == ["Mul"]


def test_a_sum_joins_the_kernel_with_more_operators_before_it_where_a_link_says_so() -> None:
    text = HEAD + f"{{ a={CONV}(x,w) b={CONV}(a,v) c={CONV}(x,u) y=Add(b,c) }}"
    graph = apply_pass(
        "link", {"links": [{**SUMS, "late": True}]}, text, w=(8, 8, 3, 3), v=(8, 8, 3, 3), u=(8, 8, 3, 3)
    )
    joined = next(node for node in graph.nodes() if "fused" in node.attributes)
    assert joined.inputs == ["a", "v", "", "c"]
