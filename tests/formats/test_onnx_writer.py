"""What is written is what was read, weights left out."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.formats import read_model
from nnmeter.formats.onnx_writer import MARKER, write_onnx
from nnmeter.graph.unbound import DeclaredType, UnboundModel
from tests.conftest import ZOO, make_small_model


@pytest.mark.parametrize("path", [ZOO / "bert-tiny.onnx", ZOO / "mobilenet_v2-224-ts11.onnx"], ids=lambda p: p.stem)
def test_a_model_is_the_same_when_it_is_read_again(path: Path) -> None:
    model = read_model(path)
    again = read_model(write_onnx(model).SerializeToString())
    assert [(n.op_type, n.inputs, n.outputs) for n in again.nodes] == [
        (n.op_type, n.inputs, n.outputs) for n in model.nodes
    ]
    assert again.constants == model.constants
    assert bind_shapes(again).types == bind_shapes(model).types


def test_weights_are_left_out_and_small_constants_written() -> None:
    model = read_model(make_small_model("batch"))
    written = write_onnx(model)
    absent = {t.name: t.external_data[0].value for t in written.graph.initializer if t.external_data}
    assert absent == {"conv.weight": MARKER}
    assert len(written.SerializeToString()) < 4000
    assert read_model(written).free_dimensions == {"input": ("batch",)}


def test_branches_and_loops_are_written() -> None:
    body = onnx.parser.parse_graph(
        "body (int64 i, bool c, float[2] x) => (bool d, float[2] y) { d = Identity(c) y = Add(x, x) }"
    )
    node = onnx.helper.make_node("Loop", ["n", "", "x"], ["r"], "loop", body=body)
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])],
        [onnx.helper.make_tensor_value_info("r", onnx.TensorProto.FLOAT, [2])],
        [onnx.helper.make_tensor("n", onnx.TensorProto.INT64, [], [3])],
    )
    written = write_onnx(read_model(onnx.helper.make_model(graph)))
    assert [n.op_type for n in written.graph.node[0].attribute[0].g.node] == ["Identity", "Add"]
    assert bind_shapes(read_model(written)).types["r"].shape == (2,)


def test_what_is_no_tensor_is_refused() -> None:
    model = UnboundModel("m", [], (DeclaredType("s", "float32", (1,), "sequence"),), ())
    with pytest.raises(ModelError, match="'s' is a sequence; only tensors are written"):
        write_onnx(model)
