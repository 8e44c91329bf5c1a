"""Forests of hundreds of thousands of nodes are read: of most of their lists only the length is kept."""

import pytest
from onnx import TensorProto, helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.formats import read_model
from nnmeter.graph.ir import TensorType
from nnmeter.operators.cost import graph_cost


def forest(trees: int, nodes: int) -> bytes:
    """A regressor of so many trees of so many nodes, half of them leaves."""
    count = trees * nodes
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], "forest", domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=[tree for tree in range(trees) for _ in range(nodes)],
        nodes_featureids=[1] * count, nodes_values=[0.5] * count, nodes_modes=["BRANCH_LEQ"] * count,
        target_weights=[1.0] * (count // 2),
    )  # fmt: skip
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8, 20])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [8, 1])]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph([node], "g", inputs, outputs)
    return helper.make_model(graph, opset_imports=imports).SerializeToString()


def test_lists_of_a_forest_are_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.formats.budget.MAX_LISTED", 1000)
    model = read_model(forest(10, 63))
    attributes = model.nodes[0].attributes
    assert attributes["nodes_values"] == attributes["nodes_modes"] == TensorType("float32", (630,))
    assert attributes["target_weights"] == TensorType("float32", (315,))
    assert len(attributes["nodes_treeids"]) == 630
    assert graph_cost(bind_shapes(model)).flops == pytest.approx(2 * 8 * 10 * 6, rel=0.01)


def test_a_limit_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.formats.budget.MAX_LISTED", 500)
    with pytest.raises(ModelError, match=r"more than 500 elements \(the limit MAX_LISTED\); .*nnmeter\.limits"):
        read_model(forest(10, 63))
