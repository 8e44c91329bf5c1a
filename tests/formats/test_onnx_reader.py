"""Reading ONNX: what is kept and what is passed over."""

import time
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnmeter.formats import read_model
from nnmeter.graph.ir import TensorType
from nnmeter.graph.unbound import UnboundGraph
from tests.conftest import ZOO, make_small_model
from tests.formats.making import FLOAT, encoded_varint, fault_of, model_of, relu_model, two_level_functions, value

# --- What a model is read from


def test_path_bytes_and_proto_give_the_same_model(tmp_path: Path) -> None:
    proto = make_small_model()
    onnx.save(proto, tmp_path / "m.onnx")
    models = [read_model(s) for s in (tmp_path / "m.onnx", str(tmp_path / "m.onnx"), proto.SerializeToString(), proto)]
    assert models[0].source == str(tmp_path / "m.onnx")
    assert models[0].name == "m"
    assert models[2].name == models[3].name == "small"
    for model in models:
        assert model.nodes == models[0].nodes
        assert model.constants == models[0].constants
        assert model.inputs == models[0].inputs
        assert model.opsets == {"": 17}


def test_every_zoo_model_is_read_as_onnx_reads_it() -> None:
    for path in sorted(ZOO.glob("*.onnx"))[::6]:
        model, proto = read_model(path), onnx.load(path, load_external_data=False)
        constants = sum(node.op_type == "Constant" for node in proto.graph.node)
        assert len(model.nodes) == len(proto.graph.node) - constants
        assert len(model.constants) == len(proto.graph.initializer) + constants
        assert [d.name for d in model.outputs] == [d.name for d in proto.graph.output]


def test_what_is_no_model_is_refused_by_type() -> None:
    assert "a int is no model" in fault_of(7)


# --- Attributes, constants and types


def test_attributes_have_plain_values() -> None:
    node = helper.make_node(
        "Custom", ["x"], ["y"], "n", domain="d", i=-3, f=0.5, s="text", ints=[1, -2], floats=[1.5], strings=["a", "b"]
    )
    node.attribute.append(helper.make_attribute("t", numpy_helper.from_array(np.array([1, 2], np.int64))))
    found = read_model(model_of([node], [value("x", [1])], ["y"], domains=["d"])).nodes[0].attributes
    array = found.pop("t")
    assert found == {"i": -3, "f": 0.5, "s": "text", "ints": (1, -2), "floats": (1.5,), "strings": ("a", "b")}
    np.testing.assert_array_equal(array, [1, 2])


def test_packed_and_unpacked_integers_are_the_same() -> None:
    node = helper.make_node("Transpose", ["x"], ["y"], "t", perm=[1, 0])
    packed = b"\x0a\x04perm\x42\x02\x01\x00\xa0\x01\x07"  # name, packed ints, type INTS
    proto = node.SerializeToString()
    attribute = node.attribute[0].SerializeToString()
    start = proto.index(attribute)
    data = proto[: start - 1] + bytes([len(packed)]) + packed + proto[start + len(attribute) :]
    graph = relu_model().graph
    graph.node[0].CopyFrom(onnx.NodeProto.FromString(data))
    model = relu_model()
    model.graph.node[0].CopyFrom(graph.node[0])
    raw = model.SerializeToString()
    assert read_model(raw).nodes[0].attributes == {"perm": (1, 0)}


@pytest.mark.parametrize(
    ("attributes", "dtype", "expected"),
    [
        ({"value": numpy_helper.from_array(np.array([[1, 2]], np.int32))}, "int32", [[1, 2]]),
        ({"value_int": 5}, "int64", 5),
        ({"value_ints": [1, 2, 3]}, "int64", [1, 2, 3]),
        ({"value_float": 0.5}, "float32", 0.5),
        ({"value_floats": [0.5, 2.0]}, "float32", [0.5, 2.0]),
    ],
)
def test_constant_nodes_become_constants(attributes: dict, dtype: str, expected: object) -> None:
    nodes = [helper.make_node("Constant", [], ["c"], "k", **attributes), helper.make_node("Neg", ["c"], ["y"], "n")]
    model = read_model(model_of(nodes, [], ["y"]))
    assert [node.op_type for node in model.nodes] == ["Neg"]
    assert model.constants["c"] == TensorType(dtype, np.shape(expected))
    np.testing.assert_array_equal(model.values["c"], expected)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int8", "uint8", "int16", "int32", "int64", "uint32", "uint64", "bool"]
)
def test_small_tensors_keep_their_value_in_every_encoding(dtype: str, raw: bool) -> None:
    array = np.array([[0, 1, 3], [7, 5, 1]]).astype(dtype)
    code = helper.np_dtype_to_tensor_dtype(array.dtype)
    data = array.tobytes() if raw else array.ravel().tolist()
    tensor = helper.make_tensor("w", code, array.shape, data, raw=raw)
    model = read_model(model_of([helper.make_node("Identity", ["w"], ["y"])], [], ["y"], [tensor]))
    assert model.constants["w"] == TensorType(dtype, (2, 3))
    np.testing.assert_array_equal(model.values["w"], array)
    assert model.values["w"].dtype == array.dtype


def test_bfloat16_is_read_as_float32_and_narrow_types_have_no_value() -> None:
    tensors = [
        helper.make_tensor("b", TensorProto.BFLOAT16, [2], [1.0, -2.5]),
        helper.make_tensor("n", TensorProto.INT4, [3], [1, 2, 3]),
        helper.make_tensor("s", TensorProto.STRING, [1], [b"text"]),
    ]
    nodes = [helper.make_node("Identity", [t.name], [f"{t.name}y"]) for t in tensors]
    model = read_model(model_of(nodes, [], ["by"], tensors, opset=21))
    assert model.constants == {
        n: TensorType(d, s) for n, d, s in [("b", "bfloat16", (2,)), ("n", "int4", (3,)), ("s", "string", (1,))]
    }
    assert model.values["b"].tolist() == [1.0, -2.5]
    assert set(model.values) == {"b"}


def test_large_constants_have_a_type_and_no_value() -> None:
    tensor = numpy_helper.from_array(np.ones((1025,), np.float32), "w")
    nodes = [
        helper.make_node("Constant", [], ["c"], "k", value=numpy_helper.from_array(np.ones((64, 64), np.float32))),
        helper.make_node("Add", ["w", "w"], ["y"], "a"),
    ]
    for source in (lambda m: m, lambda m: m.SerializeToString()):
        model = read_model(source(model_of(nodes, [], ["y"], [tensor])))
        assert model.constants == {"w": TensorType("float32", (1025,)), "c": TensorType("float32", (64, 64))}
        assert model.values == {}


def test_a_sparse_initializer_is_described_as_dense() -> None:
    values = helper.make_tensor("w", FLOAT, [2], [1.0, 2.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [2], [3, 9])
    model = model_of([helper.make_node("Identity", ["w"], ["y"])], [], ["y"])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4, 5]))
    assert read_model(model).constants == {"w": TensorType("float32", (4, 5))}
    assert read_model(model.SerializeToString()).constants == {"w": TensorType("float32", (4, 5))}


def test_an_input_that_names_an_initializer_is_a_constant() -> None:
    weight = numpy_helper.from_array(np.ones((2,), np.float32), "w")
    model = model_of([helper.make_node("Add", ["x", "w"], ["y"])], [value("x", [2]), value("w", [2])], ["y"], [weight])
    assert [d.name for d in read_model(model).inputs] == ["x"]


def test_free_dimensions_keep_their_names() -> None:
    model = read_model(
        model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", ["batch", 3, None]), value("z", None)], ["y"])
    )
    assert model.inputs[0].dims == ("batch", 3, "x.2")
    assert model.inputs[1].dims is None
    assert model.free_dimensions == {"x": ("batch", "x.2")}


def test_names_are_made_up_where_they_are_absent_or_not_unique() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Relu", ["a"], ["b"], "same")]
    nodes += [helper.make_node("Relu", ["b"], ["c"], "same"), helper.make_node("Relu", ["c"], ["y"])]
    names = [node.name for node in read_model(model_of(nodes, [value("x", [1])], ["y"])).nodes]
    assert len(set(names)) == 4
    assert "same" in names
    assert all(names)


def test_nodes_are_sorted_if_the_file_is_not() -> None:
    nodes = [
        helper.make_node("Relu", ["b"], ["y"], "third"),
        helper.make_node("Relu", ["x"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "second"),
    ]
    model = read_model(model_of(nodes, [value("x", [1])], ["y"]))
    assert [node.name for node in model.nodes] == ["first", "second", "third"]


def test_a_nested_graph_is_read_and_may_read_outer_tensors() -> None:
    branch = helper.make_graph([helper.make_node("Relu", ["late"], ["b"], "inner")], "branch", [], [value("b", [1])])
    nodes = [
        helper.make_node("If", ["c"], ["y"], "if", then_branch=branch, else_branch=branch),
        helper.make_node("Neg", ["x"], ["late"], "neg"),
    ]
    model = read_model(model_of(nodes, [value("x", [1]), value("c", [], TensorProto.BOOL)], ["y"]))
    assert [node.name for node in model.nodes] == ["neg", "if"], "the branch reads what 'neg' writes"
    inner = model.nodes[1].attributes["then_branch"]
    assert isinstance(inner, UnboundGraph)
    assert inner.nodes[0].inputs == ("late",)


# --- Functions


def test_functions_are_replaced_by_their_bodies() -> None:
    nodes = [
        helper.make_node("Outer", ["x"], ["m", "copy"], "one", domain="f"),
        helper.make_node("Outer", ["m"], ["y"], "two", domain="f"),
    ]
    model = read_model(
        model_of(nodes, [value("x", [2])], ["y", "copy"], functions=two_level_functions(), domains=["f"])
    )
    kinds = [(node.op_type, node.inputs, node.outputs) for node in model.nodes]
    assert kinds == [
        ("LeakyRelu", ("x",), ("one/q",)),
        ("Neg", ("one/q",), ("m",)),
        ("Identity", ("x",), ("copy",)),
        ("LeakyRelu", ("m",), ("two/q",)),
        ("Neg", ("two/q",), ("y",)),
    ]
    assert model.nodes[0].attributes == {"alpha": 0.25}
    assert len({node.name for node in model.nodes}) == 5


def test_a_function_that_calls_itself_is_refused() -> None:
    call = helper.make_node("Self", ["a"], ["b"], "again", domain="f")
    function = helper.make_function("f", "Self", ["a"], ["b"], [call], [helper.make_opsetid("f", 1)])
    nodes = [helper.make_node("Self", ["x"], ["y"], "start", domain="f")]
    message = fault_of(model_of(nodes, [value("x", [2])], ["y"], functions=[function], domains=["f"]))
    assert "circle" in message


# --- Weights are passed over


def test_a_missing_sidecar_does_not_matter(tmp_path: Path) -> None:
    model = make_small_model()
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    found = read_model(tmp_path / "m.onnx")
    assert found.constants == read_model(model).constants
    assert found.values == {}


def large_file(path: Path, elements: int, embedded: str) -> None:
    """A model whose only weight is a hole in the file."""

    def message(number: int, size: int) -> bytes:
        return encoded_varint(number << 3 | 2) + encoded_varint(size)

    model = model_of([helper.make_node("Add", ["x", "w"], ["y"])], [value("x", [1])], ["y"])
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    header = TensorProto(name="w", data_type=1, dims=[elements]).SerializeToString()
    payload = message({"raw_data": 9, "float_data": 4}[embedded], 4 * elements)
    tensor = message(5, len(header) + len(payload) + 4 * elements) + header + payload
    start = message(7, len(graph) + len(tensor) + 4 * elements) + graph + tensor
    start = model.SerializeToString() + start
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(len(start) + 4 * elements)


@pytest.mark.parametrize("embedded", ["raw_data", "float_data"])
def test_embedded_weights_cost_neither_time_nor_memory(tmp_path: Path, embedded: str) -> None:
    elements = 100_000_000
    large_file(tmp_path / "large.onnx", elements, embedded)
    tracemalloc.start()
    started = time.perf_counter()
    model = read_model(tmp_path / "large.onnx")
    seconds = time.perf_counter() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.constants == {"w": TensorType("float32", (elements,))}
    assert peak < 200_000
    assert seconds < 0.1
    assert (tmp_path / "large.onnx").stat().st_blocks < 1000, "the hole was filled"


def test_weights_of_a_proto_are_not_copied() -> None:
    weights = np.zeros(25_000_000, np.float32)
    model = model_of(
        [helper.make_node("Add", ["x", "w"], ["y"])], [value("x", [1])], ["y"], [numpy_helper.from_array(weights, "w")]
    )
    tracemalloc.start()
    read_model(model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000
