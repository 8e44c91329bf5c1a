"""Giving free dimensions their sizes."""

import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.graph.ir import TensorType
from nnmeter.graph.unbound import UnboundModel


def model_with(**inputs: list | None) -> UnboundModel:
    nodes = [helper.make_node("Relu", [name], [f"{name}_out"], f"relu_{name}") for name in inputs]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None) for name in inputs],
    )
    model = read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    model.source = "model.onnx"
    return model


def test_static_models_need_nothing() -> None:
    graph = bind_shapes(model_with(x=[2, 3]))
    assert graph.types["x_out"] == TensorType("float32", (2, 3))
    assert (graph.inputs, graph.outputs, graph.opsets, graph.warnings) == (["x"], ["x_out"], {"": 17}, [])


def test_a_dimension_is_bound_by_name_everywhere() -> None:
    graph = bind_shapes(
        model_with(ids=["batch", "seq"], mask=["batch", 1, "seq"]), InputSizes({"batch": 2, "seq": 128})
    )
    assert graph.types["ids_out"].shape == (2, 128)
    assert graph.types["mask_out"].shape == (2, 1, 128)


def test_a_shape_binds_the_names_in_it_for_other_inputs_too() -> None:
    graph = bind_shapes(model_with(ids=["batch", "seq"], mask=["batch", "seq"]), InputSizes(shapes={"ids": (4, 16)}))
    assert graph.types["mask_out"].shape == (4, 16)


def test_a_model_may_be_bound_again() -> None:
    model = model_with(x=["n"])
    assert bind_shapes(model, InputSizes({"n": 1})).types["x_out"].shape == (1,)
    assert bind_shapes(model, InputSizes({"n": 7})).types["x_out"].shape == (7,)
    assert model.free_dimensions == {"x": ("n",)}


def test_an_input_without_a_rank_takes_any_shape() -> None:
    assert bind_shapes(model_with(x=None), InputSizes(shapes={"x": [3, 4]})).types["x_out"].shape == (3, 4)


@pytest.mark.parametrize(
    ("inputs", "dims", "shapes", "message"),
    [
        (
            {"ids": ["batch", "seq"]}, {}, {},
            "model.onnx: input 'ids' has free dimensions (batch, seq); give them with --dim batch=1 --dim seq=128",
        ),
        (
            {"ids": ["batch", "seq"]}, {"batch": 1}, {},
            "model.onnx: input 'ids' has free dimensions (seq); give them with --dim seq=128",
        ),
        (
            {"a": ["n", 4], "b": [3, "m"]}, {}, {},
            "model.onnx: input 'a' has free dimensions (n), input 'b' has free dimensions (m); "
            "give them with --dim n=1 --dim m=1",
        ),
        (
            {"x": [None, 3, None, None]}, {}, {},
            "model.onnx: input 'x' has free dimensions (x.0, x.2, x.3); "
            "give them with --dim x.0=1 --dim x.2=224 --dim x.3=224",
        ),
        (
            {"x": None}, {}, {},
            "model.onnx: input 'x' has no declared shape; give them with --shape x=AxBxC, its sizes",
        ),
        ({"x": [1, 3]}, {}, {"y": [1]}, "there is no input 'y'"),
        ({"x": [1, 3]}, {}, {"x": [2, 3]}, "input 'x' is 1x3 in the model, which 2x3 contradicts"),
        ({"x": ["n", 3]}, {}, {"x": [2, 3, 4]}, "2x3x4 has another rank"),
        ({"x": ["n", 3]}, {"n": 4}, {"x": [2, 3]}, "dimension 'n' is given as 4 and, by the shape of input 'x', as 2"),
        ({"x": ["n"]}, {"n": -1}, {}, "dimension 'n' cannot be -1"),
        ({"x": ["n"]}, {"n": 2.5}, {}, "dimension 'n' cannot be 2.5"),
        ({"x": ["n"]}, {}, {"x": [-3]}, "input 'x' cannot have a dimension -3"),
        ({"x": ["n"]}, {"n": 2**62}, {}, "impossible"),
    ],
)  # fmt: skip
def test_what_remains_free_or_contradicts_is_named(inputs: dict, dims: dict, shapes: dict, message: str) -> None:
    if message == "impossible":
        inputs = {"x": ["n", 2**20]}
    with pytest.raises(ModelError) as caught:
        bind_shapes(model_with(**inputs), InputSizes(dims, shapes))
    assert message in str(caught.value)
    assert str(caught.value).startswith("model.onnx: ")


def test_a_size_that_no_input_uses_is_a_warning() -> None:
    graph = bind_shapes(model_with(x=[1]), InputSizes({"batch": 1}))
    assert graph.warnings == ["no input has a dimension 'batch'; its size was not used"]


def test_a_sequence_is_given_as_its_length_and_the_shape_of_an_element() -> None:
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, ["n"])
    nodes = [
        helper.make_node("SequenceLength", ["s"], ["y"]),
        helper.make_node("ConcatFromSequence", ["s"], ["z"], axis=0),
    ]
    outputs = [
        helper.make_tensor_value_info(n, t, None) for n, t in (("y", TensorProto.INT64), ("z", TensorProto.FLOAT))
    ]
    graph = helper.make_graph(nodes, "g", [sequence], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    unbound = read_model(onnx.ModelProto.FromString(model.SerializeToString()))
    with pytest.raises(
        ModelError, match=r"input 's' has no known length, being a sequence; give them with --shape s=2x1"
    ):
        bind_shapes(unbound)
    stacked = bind_shapes(unbound, InputSizes(shapes={"s": (3, 7)}))
    assert stacked.values["y"] == 3
    assert stacked.types["z"].shape == (21,)
    assert bind_shapes(unbound, InputSizes(shapes={"s": [(3,), (4,)]})).types["z"].shape == (7,)
    with pytest.raises(ModelError, match="another rank"):
        bind_shapes(unbound, InputSizes(shapes={"s": (3, 7, 7)}))
