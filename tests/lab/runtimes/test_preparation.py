"""What all adapters do with a model before it is compiled."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from nnmeter.errors import ModelError
from nnmeter.lab.runtimes.preparation import prepare_model, serialize
from tests.lab.runtimes.models import free_model, make_model, with_integers


def shape_of(value):
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_sizes_are_written_into_the_inputs():
    prepared = prepare_model(with_integers(free_model(), zero=[0], rest=[2, 4]), dims={"batch": 5})
    assert shape_of(prepared.proto.graph.input[0]) == [5, 16]
    assert prepared.feeds["x"].shape == (5, 16)
    assert prepared.batch == 5


def test_given_shapes_bind_inputs_whose_rank_is_not_declared():
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], [("x", None)], [("y", None)])
    prepared = prepare_model(model, shapes={"x": (2, 3)})
    assert shape_of(prepared.proto.graph.input[0]) == [2, 3]
    assert prepared.feeds["x"].shape == (2, 3)


def test_free_dimensions_that_remain_are_named():
    with pytest.raises(ModelError, match=r"free dimensions \(batch\).*--dim batch"):
        prepare_model(with_integers(free_model(), zero=[0], rest=[2, 4]))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL])
def test_scalar_inputs_are_scalars(kind):
    model = make_model([helper.make_node("Identity", ["x"], ["y"])], [("x", [], kind)], [("y", [], kind)])
    prepared = prepare_model(model)
    assert isinstance(prepared.feeds["x"], np.ndarray)
    assert prepared.feeds["x"].shape == ()
    assert prepared.batch == 1


def test_model_without_inputs_has_batch_one():
    model = make_model([helper.make_node("Identity", ["w"], ["y"])], [], [("y", [4, 2])], [("w", (4, 2))])
    assert prepare_model(model).batch == 1


def test_model_too_large_for_protobuf_travels_in_files(tmp_path, monkeypatch):
    monkeypatch.setattr("nnmeter.lab.runtimes.preparation._LARGEST_MODEL_BYTES", 1000)
    add = helper.make_node("Add", ["x", "w"], ["y"])
    model = make_model([add], [("x", [64, 64])], [("y", None)], [("w", (64, 64))])
    path = serialize(prepare_model(model).proto, tmp_path)
    assert isinstance(path, str)
    assert (tmp_path / "model.weights").stat().st_size >= 4 * 64 * 64


def test_nothing_that_goes_in_is_no_batch():
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], [("x", [0, 8])], [("y", [0, 8])])
    assert prepare_model(model).batch == 1


@pytest.mark.parametrize("kind", ["sequence", "optional"])
def test_inputs_that_are_no_tensors_are_refused(kind):
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [4, 8])
    make = {"sequence": helper.make_sequence_type_proto, "optional": helper.make_optional_type_proto}[kind]
    operator = {"sequence": "SequenceLength", "optional": "OptionalHasElement"}[kind]
    model = make_model([helper.make_node(operator, ["x"], ["y"])], [("x", [4, 8])], [("y", [])])
    model.graph.input[0].type.CopyFrom(make(tensor))
    for shapes in ({}, {"x": (2, 4, 8)}):
        with pytest.raises(ModelError, match=f"input 'x' is no tensor but of kind {kind}"):
            prepare_model(model, shapes=shapes)
