"""Example inputs bind the free dimensions of a model."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import nnmeter
from nnmeter.errors import ModelError
from nnmeter.formats.examples import bind_examples, examples_of
from nnmeter.formats.onnx_reader import read_proto
from tests.conftest import make_small_model


def two_inputs() -> onnx.ModelProto:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["y"])], "g",
        [info("a", TensorProto.FLOAT, ["batch", "seq", 8]), info("b", TensorProto.FLOAT, ["batch", 8, "wide"])],
        [info("y", TensorProto.FLOAT, ["batch", "seq", "wide"])],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


A, B = np.zeros((2, 5, 8), np.float32), np.zeros((2, 8, 3), np.float32)


@pytest.mark.parametrize("given", [(A, B), [A, B], {"a": A, "b": B}, {"b": B, "a": A}, {"x": {"first": A}, "y": [B]}])
def test_examples_bind_dimensions(given) -> None:
    model = read_proto(two_inputs())
    assert bind_examples(model, examples_of(given)) == {"batch": 2, "seq": 5, "wide": 3}


def test_keyword_arguments_stand_beside_positional_ones() -> None:
    model = read_proto(two_inputs())
    assert bind_examples(model, examples_of(A, {"b": B})) == {"batch": 2, "seq": 5, "wide": 3}
    assert bind_examples(model, examples_of({"a": A})) == {"batch": 2, "seq": 5}
    assert examples_of(None) is None


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ((A,), "1 example tensors for 2 inputs"),
        ((A, B[0]), "has 2 dimensions, the input has 3"),
        ((A, np.zeros((3, 8, 3))), "'batch' is 2 elsewhere"),
        ((A, np.zeros((2, 9, 3))), "that size is fixed"),
    ],
)
def test_examples_that_do_not_fit_are_refused(given, word: str) -> None:
    with pytest.raises(ModelError, match=word):
        bind_examples(read_proto(two_inputs()), examples_of(given))


def test_predict_takes_examples_of_a_file(tmp_path, small_pack) -> None:
    path = tmp_path / "free.onnx"
    onnx.save(make_small_model("batch"), path)
    found = nnmeter.predict(path, small_pack, example_inputs=np.zeros((4, 16, 14, 14)))
    assert found.latency_ms == nnmeter.predict(path, small_pack, {"batch": 4}).latency_ms
    assert (found.model, found.dims) == (str(path), {"batch": 4})
    assert nnmeter.predict(path, small_pack, {"batch": 2}, example_inputs=np.zeros((4, 16, 14, 14))).dims == {
        "batch": 2
    }
