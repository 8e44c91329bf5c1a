"""What a file declares of its tensors is held against what its operators give."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.graph.ir import Graph

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
info = helper.make_tensor_value_info


def bind(
    output: onnx.ValueInfoProto, *inner: onnx.ValueInfoProto, op: str = "Relu", domain: str = "", **dims: int
) -> Graph:
    nodes = [helper.make_node(op, ["x"], ["m"], "first", domain=domain), helper.make_node("Relu", ["m"], ["y"], "last")]
    graph = helper.make_graph(nodes, "g", [info("x", FLOAT, ["n", 4])], [output], value_info=list(inner))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1), helper.make_opsetid("com.microsoft", 1)]
    return bind_shapes(read_model(helper.make_model(graph, opset_imports=imports)), InputSizes(dims={"n": 2, **dims}))


@pytest.mark.parametrize(
    ("output", "inner", "node"),
    [
        (info("y", INT64, ["n", 4]), info("m", FLOAT, None), r"'last' \(Relu\): tensor 'y'"),
        (info("y", FLOAT, ["n", 4]), info("m", INT64, None), r"'first' \(Relu\): tensor 'm'"),
    ],
)
def test_another_element_type_is_refused(output: onnx.ValueInfoProto, inner: onnx.ValueInfoProto, node: str) -> None:
    with pytest.raises(ModelError, match=rf"node {node} is declared as int64, but the operator writes float32; "):
        bind(output, inner)


def test_a_type_that_is_taken_from_the_file_because_the_shape_is_unknown_is_held_against_the_operator() -> None:
    node = helper.make_node("ReduceSum", ["x", "axes"], ["y"], "sum", keepdims=0)
    inputs = [info("x", FLOAT, [2, 4]), info("axes", INT64, [1])]
    for told, fits in ((FLOAT, True), (INT64, False)):
        graph = helper.make_graph([node], "g", inputs, [info("y", told, [4])])
        model = read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
        if fits:
            assert bind_shapes(model).types["y"].dtype == "float32"
        else:
            with pytest.raises(ModelError, match="'y' is declared as int64, but the operator writes float32"):
                bind_shapes(model)


@pytest.mark.parametrize(("told", "shape"), [(INT64, [3]), (FLOAT, [4]), (FLOAT, [3, 1])])
def test_an_input_of_another_type_than_its_initializer_is_refused(told: int, shape: list[int]) -> None:
    weight = helper.make_tensor("w", FLOAT, [3], [1.0, 2.0, 3.0])
    node = helper.make_node("Relu", ["w"], ["y"])
    graph = helper.make_graph([node], "g", [info("w", told, shape)], [info("y", FLOAT, None)], [weight])
    with pytest.raises(
        ModelError, match=r"input 'w' is declared as another type than its initializer has, float32\[3\]"
    ):
        read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


def test_an_input_that_is_returned_as_another_type_is_refused() -> None:
    graph = helper.make_graph([], "g", [info("x", FLOAT, [2])], [info("x", INT64, [2])])
    with pytest.raises(ModelError, match="'x' is declared as int64, but it is float32; export the model again"):
        bind_shapes(read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])))


def test_the_types_of_operators_of_other_domains_are_not_judged() -> None:
    assert bind(info("y", FLOAT, None), info("m", TensorProto.FLOAT16, [2, 4]), op="QuickGelu", domain="com.microsoft")


@pytest.mark.parametrize(
    ("output", "inner", "said"),
    [
        (info("y", FLOAT, ["n", 5]), None, "tensor 'y' is declared as nx5, but its operator writes 2x4; ONNX's"),
        (info("y", FLOAT, [2, 4, 1]), info("m", FLOAT, [3, 4]),
         "tensor 'm' is declared as 3x4, but its operator writes 2x4, and 1 more likewise"),
    ],
)  # fmt: skip
def test_another_shape_is_a_warning(output: onnx.ValueInfoProto, inner: onnx.ValueInfoProto | None, said: str) -> None:
    (warning,) = bind(output, *([inner] if inner is not None else [])).warnings
    assert warning.startswith(said)
    assert warning.code == "declared"


@pytest.mark.parametrize("declared", [["n", 4], ["other", 4], [2, 4], None])
def test_what_is_true_or_open_is_no_warning(declared: list | None) -> None:
    assert bind(info("y", FLOAT, declared), info("m", FLOAT, declared)).warnings == []


def test_a_shape_that_data_decide_is_no_lie() -> None:
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["y"], "nonzero")], "g", [info("x", FLOAT, [3, 4])],
        [info("y", INT64, [2, 40])],
    )  # fmt: skip
    bound = bind_shapes(read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])))
    assert [warning.code for warning in bound.warnings] == ["bounded"]


SEQUENCE = helper.make_tensor_sequence_value_info


def strange(kind: str) -> onnx.ValueInfoProto:
    """An output that is declared as a map or as an opaque value."""
    value = onnx.ValueInfoProto(name="y")
    if kind == "map":
        value.type.map_type.key_type = INT64
        value.type.map_type.value_type.tensor_type.elem_type = FLOAT
    else:
        value.type.opaque_type.domain = "m"
    return value


@pytest.mark.parametrize(
    ("node", "output", "said"),
    [
        (helper.make_node("Relu", ["x"], ["y"]), SEQUENCE("y", FLOAT, None), "a sequence, but the operator writes a t"),
        (helper.make_node("SequenceConstruct", ["x"], ["y"]), info("y", FLOAT, [4]), "a tensor, but the operator wri"),
        (helper.make_node("SequenceConstruct", ["x"], ["y"]), SEQUENCE("y", FLOAT, None), ""),
        (helper.make_node("Relu", ["x"], ["y"]), strange("map"), "a map, but the operator writes a tensor"),
        (helper.make_node("Relu", ["x"], ["y"]), strange("opaque"), "an opaque value, but the operator writes a t"),
    ],
)
def test_a_sequence_is_declared_as_one(node: onnx.NodeProto, output: onnx.ValueInfoProto, said: str) -> None:
    graph = helper.make_graph([node], "g", [info("x", FLOAT, [4])], [output])
    model = read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
    if not said:
        bind_shapes(model)
        return
    with pytest.raises(ModelError, match=f"'y' is declared as {said}"):
        bind_shapes(model)


@pytest.mark.parametrize(("rows", "warned"), [(2, True), (-1, False), ("n", False)])
def test_a_size_below_0_is_a_warning_where_no_input_is_free(rows: int | str, warned: bool) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "g", [info("x", FLOAT, [rows, 4])], [info("y", FLOAT, [-1, 4])])
    model = read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
    bound = bind_shapes(model, InputSizes(shapes={"x": (2, 4)}))
    said = "tensor 'y' is declared as of a size below 0, but its operator writes 2x4; ONNX's checker refuses"
    assert any(said in str(note) for note in bound.warnings) == warned


def test_a_checker_that_knows_no_sizes_may_refuse_nothing() -> None:
    bound = bind(info("y", FLOAT, [3, 4]))
    (said,) = [text for text in bound.warnings if "is declared as 3x4" in text]
    assert said.endswith(
        "its operator writes 2x4; ONNX's checker refuses such a model, where it can tell without sizes"
    )
