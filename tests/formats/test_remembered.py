"""Small messages that are equal are read once, and no model sees what becomes of another."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model, scan
from tests.conftest import make_small_model


def reshaped(shape: list[int], attribute: int = 1) -> bytes:
    """A Reshape to a shape that an initializer gives, behind a Softmax."""
    nodes = [
        helper.make_node("Softmax", ["x"], ["s"], "softmax", axis=attribute),
        helper.make_node("Reshape", ["s", "shape"], ["y"], "reshape"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("shape", TensorProto.INT64, [len(shape)], shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_equal_nodes_share_attributes_and_have_names_of_their_own() -> None:
    data = make_small_model().SerializeToString()
    first, second = read_model(data), read_model(data)
    assert first.nodes == second.nodes
    assert first.nodes[0].attributes is second.nodes[0].attributes
    first.nodes[0].name = "other"
    first.nodes[0].attributes = {}
    assert read_model(data).nodes == second.nodes
    assert second.nodes[0].name == "conv"


def test_what_is_remembered_of_one_model_is_not_taken_for_another() -> None:
    assert bind_shapes(read_model(reshaped([2, 12]))).types["y"].shape == (2, 12)
    assert bind_shapes(read_model(reshaped([24]))).types["y"].shape == (24,)
    assert bind_shapes(read_model(reshaped([2, 12]))).types["y"].shape == (2, 12)
    assert [read_model(reshaped([24], axis)).nodes[0].attributes["axis"] for axis in (0, 1, 0)] == [0, 1, 0]


def test_nodes_without_names_get_one_in_each_model() -> None:
    model = make_small_model()
    for node in model.graph.node:
        node.name = ""
    names = [node.name for node in read_model(model.SerializeToString()).nodes]
    assert names == [node.name for node in read_model(model.SerializeToString()).nodes]
    assert len(set(names)) == len(names)
    assert "" not in names


def test_what_is_full_is_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_MOST_REMEMBERED", 3)
    for known in (scan._nodes, scan._tensors, scan._attributes, scan._attribute_sets):
        known.clear()
    model = make_small_model()
    expected = read_model(model.SerializeToString()).nodes
    for number in range(5):
        model.graph.node[0].name = f"conv{number}"
        read_model(model.SerializeToString())
    assert all(len(known) <= 3 for known in (scan._nodes, scan._tensors, scan._attributes, scan._attribute_sets))
    model.graph.node[0].name = "conv"
    assert read_model(model.SerializeToString()).nodes == expected


def test_a_proto_with_small_weights_reads_as_its_bytes_do() -> None:
    model = make_small_model("batch")
    model.graph.node[0].metadata_props.add(key="namespace", value="layer1")
    assert same(read_model(model), read_model(model.SerializeToString()))
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["k"], value=model.graph.initializer[1]))
    assert same(read_model(model), read_model(model.SerializeToString()))


def same(first: object, second: object) -> bool:
    """Whether two models have the same operators, inputs and constants."""
    return all(
        getattr(first, name) == getattr(second, name)
        for name in ("name", "nodes", "inputs", "outputs", "constants", "opsets", "ir_version")
    )
