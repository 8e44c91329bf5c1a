"""Targets of reshapes that are put together of sizes."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import parser

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.fusion.detect import rewrite_graph
from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.fusion.loading import load_rules
from nnmeter.graph.input_sizes import InputSizes
from tests.fusion.passes.applying import kinds, only

FIELDS: dict[str, Any] = {
    "reshape": "Reshape", "concat": "Concat", "unsqueeze": "Unsqueeze", "gather": "Gather", "shape": "Shape",
}  # fmt: skip


def applied(target: str, more: str = "") -> WorkingGraph:
    """The graph after the pass; sizes of x are `n1` (its first) and `m1` (its second), `rest` is 2, 4."""
    text = (
        "agraph (float[n,m,8] x) => (float[?,?,?,?] y) "
        "<int64 zero={0}, int64 one={1}, int64[1] ax={0}, int64[2] rest={2,4}> "
        "{ s=Shape(x) n=Gather(s,zero) m=Gather(s,one) n1=Unsqueeze(n,ax) m1=Unsqueeze(m,ax) "
        f"t=Concat<axis=0>({target}) r=Reshape(x,t) y=Relu(r) {more}}}"
    )
    model = onnx.helper.make_model(parser.parse_graph(text), opset_imports=[onnx.helper.make_opsetid("", 17)])
    graph = bind_shapes(read_model(model.SerializeToString()), InputSizes({"n": 3, "m": 5}, session="free"))
    stage = {"name": "only", "passes": [{"name": "tested", "kind": "constant_targets", **FIELDS}]}
    return rewrite_graph(
        graph, load_rules({"schema_version": 1, "name": "test", "runtime": "none", "parameters": {}, "stages": [stage]})
    )


def test_sizes_in_their_places_become_zeros_and_their_arithmetic_goes() -> None:
    graph = applied("n1,m1,rest")
    assert kinds(graph) == ["Reshape", "Relu"]
    assert graph.values[only(graph, "Reshape").inputs[1]].tolist() == [0, 0, 2, 4]


def test_sizes_in_other_places_stay() -> None:
    graph = applied("m1,n1,rest")
    assert "Concat" in kinds(graph)
    assert only(graph, "Reshape").inputs[1] == "t"


def test_a_target_that_something_else_needs_stays() -> None:
    assert "Concat" in kinds(applied("n1,m1,rest", "z=Reshape(x,t) "))
