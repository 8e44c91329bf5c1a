"""Shapes that only the data decide are bounded by rules that are told, or are what the user assumes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.graph.ir import Graph
from nnmeter.graph.unbound import UnboundModel


def read(nodes: list, inputs: dict[str, tuple[int, list]], outputs: list[str], **constants: np.ndarray) -> UnboundModel:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    model.source = "m.onnx"
    return model


@pytest.fixture
def selecting() -> UnboundModel:
    """NonZero of a 4x12 mask, and the rows of a table that it selects."""
    nodes = [
        helper.make_node("NonZero", ["mask"], ["found"], "nz"),
        helper.make_node("Transpose", ["found"], ["places"], "t"),
        helper.make_node("GatherND", ["table", "places"], ["rows"], "g"),
        helper.make_node("Relu", ["rows"], ["y"], "r"),
        helper.make_node("Shape", ["rows"], ["size"], "s"),
    ]
    inputs = {"mask": (TensorProto.BOOL, [4, 12]), "table": (TensorProto.FLOAT, [4, 12, 64])}
    return read(nodes, inputs, ["y", "size"])


def test_a_bound_names_the_tensor_and_the_rule(selecting: UnboundModel) -> None:
    graph = bind_shapes(selecting)
    assert graph.types["y"].shape == (48, 64)
    assert graph.warnings == [
        "tensor 'found' (NonZero of node 'nz'): the data decides how many elements it finds; counted as all 48"
    ]


def test_an_assumed_shape_takes_the_place_of_the_bound(selecting: UnboundModel) -> None:
    graph = bind_shapes(selecting, InputSizes(assume={"found": (2, 5)}))
    assert graph.types["places"].shape == (5, 2)
    assert graph.types["y"].shape == (5, 64)
    assert graph.warnings == ["tensor 'found' (NonZero of node 'nz'): 2x5 as assumed"]
    assert bind_shapes(selecting).types["y"].shape == (48, 64), "the model may be bound again"


def test_a_shape_computed_from_a_bounded_one_may_be_assumed_too(selecting: UnboundModel) -> None:
    graph = bind_shapes(selecting, InputSizes(assume={"rows": (7, 64)}))
    assert graph.types["y"].shape == (7, 64)
    assert any("'found'" in warning for warning in graph.warnings)
    assert "tensor 'rows' (GatherND of node 'g'): 7x64 as assumed" in graph.warnings


def test_what_is_computed_from_bounds_is_no_constant(selecting: UnboundModel) -> None:
    assert "size" not in bind_shapes(selecting).values


def test_outputs_of_one_node_that_had_one_shape_keep_one() -> None:
    nodes = [
        helper.make_node("ReduceMax", ["k"], ["count"], "m", keepdims=1),
        helper.make_node("TopK", ["x", "count"], ["best", "place"], "top"),
    ]
    model = read(nodes, {"x": (TensorProto.FLOAT, [2, 80]), "k": (TensorProto.INT64, [3])}, ["best", "place"])
    assert bind_shapes(model).types["place"].shape == (2, 80)
    graph = bind_shapes(model, InputSizes(assume={"best": (2, 9)}))
    assert (graph.types["best"].shape, graph.types["place"].shape) == ((2, 9), (2, 9))
    assert graph.types["place"].dtype == "int64"


@pytest.fixture
def unbounded() -> UnboundModel:
    """A reshape to a shape that only the run knows."""
    nodes = [helper.make_node("Reshape", ["x", "target"], ["y"], "r"), helper.make_node("Exp", ["y"], ["z"], "e")]
    return read(nodes, {"x": (TensorProto.FLOAT16, [4, 6]), "target": (TensorProto.INT64, [2])}, ["z"])


def test_a_shape_without_a_bound_asks_for_an_assumption(unbounded: UnboundModel) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx: node 'r' .*'y' cannot be determined.*--assume y=AxBxC"):
        bind_shapes(unbounded)
    graph = bind_shapes(unbounded, InputSizes(assume={"y": (8, 3)}))
    assert str(graph.types["z"]) == "float16[8x3]"
    assert graph.warnings == ["tensor 'y' (Reshape of node 'r'): 8x3 as assumed"]


@pytest.mark.parametrize(
    ("assume", "message"),
    [
        ({"table": (1, 2)}, "no node writes a tensor 'table'; the shapes that data decide are of 'found', 'places'"),
        ({"found": (5,)}, "tensor 'found' has rank 2, 5 cannot be assumed of it"),
        ({"found": (2, -1)}, "tensor 'found' cannot have a dimension -1"),
        ({"found": (2, True)}, "tensor 'found' cannot have a dimension True"),
    ],
)
def test_an_assumption_that_cannot_hold_is_refused(selecting: UnboundModel, assume: dict, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        bind_shapes(selecting, InputSizes(assume=assume))
    assert message in str(caught.value)


def test_a_shape_that_does_not_depend_on_data_is_not_assumed() -> None:
    model = read([helper.make_node("Relu", ["x"], ["y"], "r")], {"x": (TensorProto.FLOAT, [2, 3])}, ["y"])
    assert bind_shapes(model, InputSizes(assume={"y": (2, 3)})).warnings == []
    with pytest.raises(ModelError, match="tensor 'y' is 2x3 whatever the data, 2x4 cannot be assumed of it"):
        bind_shapes(model, InputSizes(assume={"y": (2, 4)}))
    with pytest.raises(ModelError, match="data decide no shape"):
        bind_shapes(model, InputSizes(assume={"z": (2, 4)}))


def test_bounds_that_do_not_fit_each_other_ask_for_assumptions() -> None:
    nodes = [
        helper.make_node("NonZero", ["a"], ["na"], "1"),
        helper.make_node("NonZero", ["b"], ["nb"], "2"),
        helper.make_node("Add", ["na", "nb"], ["y"], "sum"),
    ]
    model = read(nodes, {"a": (TensorProto.FLOAT, [30]), "b": (TensorProto.FLOAT, [20])}, ["y"])
    with pytest.raises(ModelError, match=r"node 'sum'.*assume other shapes.*\('na', 'nb'\) with --assume na="):
        bind_shapes(model)
    assert bind_shapes(model, InputSizes(assume={"na": (1, 4), "nb": (1, 4)})).types["y"].shape == (1, 4)


def test_a_tensor_that_comes_out_empty_is_told() -> None:
    nodes = [helper.make_node("Slice", ["x", "one", "one"], ["y"], "s"), helper.make_node("Relu", ["y"], ["z"], "r")]
    model = read(nodes, {"x": (TensorProto.FLOAT, [3, 4])}, ["z"], one=np.array([1]))
    assert bind_shapes(model).warnings[0].startswith("tensor 'y' (Slice of node 's'): has no elements (float32[0x4])")


def test_a_branch_that_bounds_decide_is_told() -> None:
    def branch(name: str, op: str) -> onnx.GraphProto:
        return helper.make_graph(
            [helper.make_node(op, ["found"], [name], op.lower())], name, [],
            [helper.make_tensor_value_info(name, TensorProto.INT64, None)],
        )  # fmt: skip

    nodes = [
        helper.make_node("NonZero", ["x"], ["found"], "nz"),
        helper.make_node("Size", ["found"], ["size"], "size"),
        helper.make_node("Greater", ["size", "none"], ["some"], "some"),
        helper.make_node("If", ["some"], ["y"], "if", then_branch=branch("a", "Neg"), else_branch=branch("b", "Abs")),
    ]
    graph: Graph = bind_shapes(read(nodes, {"x": (TensorProto.FLOAT, [9])}, ["y"], none=np.array(0)))
    assert [node.op_type for node in graph.nodes][-1] == "Neg"
    assert any("data decide which branch is taken" in warning for warning in graph.warnings)


def test_inputs_with_the_same_free_dimensions_are_named_together() -> None:
    inputs = {f"past.{i}": (TensorProto.FLOAT, ["batch", 2, "past"]) for i in range(12)}
    model = read([helper.make_node("Relu", [name], [f"y{name}"]) for name in inputs], inputs, ["ypast.0"])
    with pytest.raises(ModelError) as caught:
        bind_shapes(model)
    assert str(caught.value) == (
        "m.onnx: inputs 'past.0', 'past.1', 'past.2', 'past.3', 'past.4', 'past.5', 'past.6', 'past.7' and 4 more have "
        "free dimensions (batch, past); give them with --dim batch=1 --dim past=128"
    )


def test_a_dimension_that_an_exporter_gave_no_name_is_called_by_input_and_axis() -> None:
    model = read([helper.make_node("Relu", ["x"], ["y"], "r")], {"x": (TensorProto.FLOAT, ["?", 3, "?", "w"])}, ["y"])
    assert model.free_dimensions == {"x": ("x.0", "x.2", "w")}
    assert bind_shapes(model, InputSizes(shapes={"x": (2, 3, 48, 320)})).types["y"].shape == (2, 3, 48, 320)
    assert bind_shapes(model, InputSizes({"x.0": 2, "x.2": 48, "w": 320})).types["y"].shape == (2, 3, 48, 320)


def test_the_example_for_a_named_side_of_a_map_is_a_usual_one() -> None:
    inputs = {"x": (TensorProto.FLOAT, ["d.0", 3, "d.1", "d.2"])}
    with pytest.raises(ModelError, match=r"--dim d\.0=1 --dim d\.1=224 --dim d\.2=224"):
        bind_shapes(read([helper.make_node("Relu", ["x"], ["y"], "r")], inputs, ["y"]))
