"""Small products one behind the other."""

from __future__ import annotations

from typing import Any

from tests.fusion.passes.applying import apply_pass, kinds, only

FIELDS: dict[str, Any] = {"operator": "Gemm", "rank": 2, "width": 64, "most_tensors": 6}
TEXT = "agraph (float[4,16] x) => (float[4,8] y) { a=Gemm<transB=1>(x,w,b) y=Gemm<transB=1>(a,v,c) }"
WEIGHTS: dict[str, Any] = {"w": (32, 16), "b": (32,), "v": (8, 32), "c": (8,)}


def test_two_products_are_one_kernel_that_costs_what_both_do() -> None:
    graph = apply_pass("chain_products", FIELDS, TEXT, **WEIGHTS)
    assert kinds(graph) == ["Gemm"]
    node = only(graph, "Gemm")
    assert node.inputs == ["x", "w", "b", "v", "c"]
    assert node.attributes["fused"] == "Gemm"
    assert node.attributes["nested_flops"] == 2 * 4 * (32 * 16 + 8 * 32)
    assert node.attributes["nested_bytes_written"] == 4 * 4 * 8


def test_wide_products_and_too_many_tensors_stay_apart() -> None:
    assert kinds(apply_pass("chain_products", {**FIELDS, "width": 16}, TEXT, **WEIGHTS)) == ["Gemm", "Gemm"]
    assert kinds(apply_pass("chain_products", {**FIELDS, "most_tensors": 5}, TEXT, **WEIGHTS)) == ["Gemm", "Gemm"]
