"""Shapes and values of operators: against what ONNX's own test cases state, and where nnmeter must decide itself."""

import importlib
import pkgutil
import warnings
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.formats import read_model
from nnmeter.graph.dtypes import CODE_OF_DTYPE
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.graph.ir import Graph, TensorType
from nnmeter.operators.shape_rules import RULES
from tests.binding.making import graph_of, ints, types_of
from tests.conftest import ZOO

# --- ONNX's own cases


@cache
def onnx_cases() -> list[Any]:
    from onnx.backend.test.case import node

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for module in pkgutil.iter_modules(node.__path__):
            if module.name not in SLOW_TO_MAKE:
                importlib.import_module(f"{node.__name__}.{module.name}")
    return [c for c in node._NodeTestCases if c.data_sets and c.model.opset_import[0].version >= 7]


# The data decide their shapes, so they have an upper bound.
DATA_DEPENDENT = ("test_unique", "test_nonmaxsuppression", "test_loop11", "test_range_bfloat16")

# Their cases take seconds to make, and sizes of windows are tested below.
SLOW_TO_MAKE = {"averagepool", "lppool", "maxpool", "image_decoder"}


def test_onnx_cases_have_the_shapes_and_values_that_they_state() -> None:
    compared = valued = 0
    refused = []
    for case in onnx_cases():
        model = onnx.ModelProto.FromString(case.model.SerializeToString())
        model.ir_version = 3  # of which initializers are inputs, too, and constants all the same
        inputs, outputs = case.data_sets[0]
        for declared, array in zip(model.graph.input, inputs, strict=False):
            if isinstance(array, np.ndarray | np.generic) and array.size <= 1024 and array.dtype.kind in "iubf":
                model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), declared.name))
        try:
            graph = bind_shapes(read_model(model))
        except ModelError as fault:
            refused.append((case.name, str(fault)))
            continue
        for name, array in zip(graph.outputs, outputs, strict=False):
            if not hasattr(array, "shape") or case.name.startswith(DATA_DEPENDENT):
                continue
            compared += 1
            assert graph.types[name].shape == array.shape, case.name
            value = graph.values.get(name)
            if value is not None and value.dtype.kind in "iubf":
                valued += 1
                np.testing.assert_allclose(
                    value.astype(np.float64), np.asarray(array, np.float64), 2e-3, 1e-4, err_msg=case.name
                )
    assert compared > 1500
    assert valued > 600
    reasons = ("ai.onnx.preview", "being a sequence")
    assert all(any(reason in fault for reason in reasons) for _, fault in refused), refused
    assert len(refused) < 50


# --- The zoo


def test_zoo_shapes_are_those_of_onnx() -> None:
    compared = 0
    for path in sorted(ZOO.glob("*.onnx"))[::7]:
        graph = bind_shapes(read_model(path))
        assert graph.warnings == []
        model = onnx.shape_inference.infer_shapes(onnx.load(path, load_external_data=False), data_prop=True)
        for info in (*model.graph.value_info, *model.graph.output):
            dims = info.type.tensor_type.shape.dim
            if info.name in graph.types and all(d.HasField("dim_value") for d in dims):
                compared += 1
                assert graph.types[info.name].shape == tuple(d.dim_value for d in dims)
                assert CODE_OF_DTYPE[graph.types[info.name].dtype] == info.type.tensor_type.elem_type
    assert compared > 1000


def test_every_zoo_model_has_static_types_everywhere() -> None:
    for path in sorted(ZOO.glob("*.onnx")):
        graph = bind_shapes(read_model(path))
        assert all(n in graph.types for node in graph.nodes for n in (*node.inputs, *node.outputs) if n)
        assert set(graph.outputs) <= set(graph.types)


def test_shapes_are_those_that_onnx_runtime_sees() -> None:
    runtime = pytest.importorskip("nnmeter.lab.runtimes.onnxruntime")
    pytest.importorskip("onnxruntime")
    from nnmeter.lab.campaign.recipes import random_network

    for seed, family in enumerate(
        ["residual_bottleneck", "windowed", "decoder", "quantized_static", "quantized_dynamic"]
    ):
        compiled = runtime.OnnxRuntimeAdapter().compile(random_network(seed, family), threads=1, profiled=True)
        compiled.profile(1)  # raises where a shape in the profile is not the inferred one
        compiled.close()


# --- Windows, products, movement: what the cases above leave out


@pytest.mark.parametrize(
    ("size", "kernel", "attributes", "expected"),
    [
        (7, 3, {}, 5),
        (7, 3, {"strides": [2]}, 3),
        (8, 3, {"strides": [2]}, 3),
        (8, 3, {"strides": [2], "ceil_mode": 1}, 4),
        (7, 2, {"strides": [2], "ceil_mode": 1, "pads": [0, 1]}, 4),
        (7, 3, {"strides": [4], "ceil_mode": 1, "pads": [0, 2]}, 2),
        (6, 4, {"dilations": [2], "strides": [2], "ceil_mode": 1}, 1),  # as ONNX Runtime 1.32 and onnx have it
        (7, 3, {"dilations": [2]}, 3),
        (7, 3, {"auto_pad": "SAME_UPPER", "strides": [2]}, 4),
        (7, 3, {"auto_pad": "VALID", "strides": [2]}, 3),
    ],
)
def test_pooling_sizes(size: int, kernel: int, attributes: dict, expected: int) -> None:
    found = types_of("MaxPool", [(1, 4, size)], {"kernel_shape": [kernel], **attributes})
    assert found == [f"float32[1x4x{expected}]"]


@pytest.mark.parametrize("attributes", [{"strides": [1], "ceil_mode": 1}, {"strides": [2]}])
def test_a_window_that_fits_nowhere_is_refused(attributes: dict) -> None:
    with pytest.raises(ModelError, match="the window 4 is larger than the input 6"):
        types_of("MaxPool", [(1, 4, 6)], {"kernel_shape": [4], "dilations": [2], **attributes})


def test_grouped_convolution_and_contradicting_channels() -> None:
    assert types_of("Conv", [(2, 8, 5, 5), (12, 2, 3, 3)], {"group": 4}) == ["float32[2x12x3x3]"]
    with pytest.raises(ModelError, match=r"node 'node' \(Conv\): weights 12x3x3x3 in 4 groups do not fit"):
        types_of("Conv", [(2, 8, 5, 5), (12, 3, 3, 3)], {"group": 4})


def test_resize_of_every_opset() -> None:
    scales = np.array([1, 1, 2, 1.5], np.float32)
    empty = np.zeros(0, np.float32)
    x = (1, 3, 10, 9)
    assert types_of("Upsample", [x, scales], {"mode": "nearest"}, opset=9) == ["float32[1x3x20x13]"]
    assert types_of("Resize", [x, scales], opset=10) == ["float32[1x3x20x13]"]
    assert types_of("Resize", [x, empty, scales], opset=11) == ["float32[1x3x20x13]"]
    assert types_of("Resize", [x, empty, empty, ints(1, 3, 7, 7)], opset=11) == ["float32[1x3x7x7]"]
    assert types_of("Resize", [x, None, None, ints(7, 7)], {"axes": [2, 3]}, opset=18) == ["float32[1x3x7x7]"]
    policy = {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"}
    assert types_of("Resize", [x, None, None, ints(20, 9)], policy, opset=18) == ["float32[1x3x10x9]"]


@pytest.mark.parametrize(
    ("start", "end", "step", "expected"),
    [
        (0, 2**62, 1, 10),
        (2, -1, 1, 7),
        (-3, 2**62, 1, 3),
        (9, -(2**62), -1, 10),
        (8, 1, -2, 4),
        (5, 3, 1, 0),
        (20, 30, 1, 0),
    ],
)
def test_slices(start: int, end: int, step: int, expected: int) -> None:
    found = types_of("Slice", [(10, 4), ints(start), ints(end), ints(0), ints(step)])
    assert found == [f"float32[{expected}x4]"]


def test_axes_as_attributes_and_as_inputs() -> None:
    x = (2, 1, 5)
    for axes, opset in (({"axes": [1]}, 11), ({}, 13)):
        given = [] if axes else [ints(1)]
        assert types_of("Squeeze", [x, *given], axes, opset=opset) == ["float32[2x5]"]
        assert types_of("Unsqueeze", [x, *given], axes, opset=opset) == ["float32[2x1x1x5]"]
        assert types_of("ReduceSum", [x, *given], {**axes, "keepdims": 0}, opset=opset) == ["float32[2x5]"]
    assert types_of("Split", [(10, 2)], {"split": [4, 6]}, 2, opset=11) == ["float32[4x2]", "float32[6x2]"]
    assert types_of("Split", [(10, 2), ints(4, 6)], {}, 2) == ["float32[4x2]", "float32[6x2]"]
    assert types_of("Split", [(10, 2)], {"num_outputs": 3}, 3, opset=18)[2] == "float32[2x2]"
    assert types_of("Clip", [(3,)], {"min": 0.0}, opset=7) == ["float32[3]"]


def test_einsum_with_an_ellipsis() -> None:
    found = types_of("Einsum", [(2, 3, 4, 5), (2, 3, 5, 6)], {"equation": "...ij,...jk->...ik"})
    assert found == ["float32[2x3x4x6]"]
    with pytest.raises(ModelError, match="does not fit"):
        types_of("Einsum", [(2, 3), (3, 4)], {"equation": "abc,bc->a"})


# --- Values


def test_a_shape_subgraph_as_torch_writes_it_is_resolved() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["batch"], axis=0),
        helper.make_node("Unsqueeze", ["batch", "axis"], ["b1"]),
        helper.make_node("Shape", ["x"], ["s2"], start=2),
        helper.make_node("ReduceProd", ["s2"], ["hw"], keepdims=1),
        helper.make_node("Concat", ["b1", "hw", "minus"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
        helper.make_node("ConstantOfShape", ["target_abs"], ["z"]),
        helper.make_node("Abs", ["target"], ["target_abs"]),
    ]
    constants = {"zero": np.array(0), "axis": ints(0), "minus": ints(-1)}
    graph = graph_of(nodes, {"x": (2, 8, 3, 5)}, ["y", "z"], constants)
    assert graph.values["target"].tolist() == [2, 15, -1]
    assert graph.types["y"] == TensorType("float32", (2, 15, 8))
    assert graph.types["z"] == TensorType("float32", (2, 15, 1))


def test_small_results_of_constants_are_known_and_large_ones_are_not() -> None:
    nodes = [
        helper.make_node("Sqrt", ["two"], ["root"]),
        helper.make_node("Div", ["x", "root"], ["y"]),
        helper.make_node("Expand", ["two", "size"], ["big"]),
    ]
    graph = graph_of(nodes, {"x": (3,)}, ["y"], {"two": np.float32(2), "size": ints(2000)})
    assert graph.values["root"] == pytest.approx(2**0.5)
    assert graph.types["big"].shape == (2000,)
    assert "big" not in graph.values


def test_integers_are_divided_towards_zero() -> None:
    nodes = [helper.make_node("Div", ["a", "b"], ["c"])]
    graph = graph_of(nodes, {}, ["c"], {"a": ints(-7, 7, 7, -6), "b": ints(2, -2, 2, 0)})
    assert graph.values["c"].tolist() == [-3, -3, 3, 0]


# --- What only the run decides


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "outputs", "expected"),
    [
        ("NonZero", [(3, 4)], {}, 1, ["int64[2x12]"]),
        ("Unique", [(3, 4)], {}, 2, ["float32[12]", "int64[12]"]),
        ("Unique", [(3, 4)], {"axis": 1}, 1, ["float32[3x4]"]),
        ("Compress", [(3, 4), TensorType("bool", (4,))], {"axis": 1}, 1, ["float32[3x4]"]),
        ("NonMaxSuppression", [(2, 50, 4), (2, 3, 50), ints(7)], {}, 1, ["int64[42x3]"]),
        ("NonMaxSuppression", [(2, 50, 4), (2, 3, 50), TensorType("int64", ())], {}, 1, ["int64[300x3]"]),
        ("TopK", [(2, 9), TensorType("int64", (1,))], {}, 2, ["float32[2x9]", "int64[2x9]"]),
        ("Slice", [(9, 2), TensorType("int64", (1,)), ints(5)], {}, 1, ["float32[9x2]"]),
    ],
)
def test_shapes_that_the_data_decide_are_bounded_with_a_warning(
    op: str, inputs: list, attributes: dict, outputs: int, expected: list[str]
) -> None:
    names = [f"i{n}" for n in range(len(inputs))]
    constants = {n: x for n, x in zip(names, inputs, strict=True) if isinstance(x, np.ndarray)}
    variables = {n: x for n, x in zip(names, inputs, strict=True) if n not in constants}
    node = helper.make_node(op, names, [f"o{n}" for n in range(outputs)], "node", **attributes)
    graph = graph_of([node], variables, node.output, constants)
    assert [str(graph.types[name]) for name in node.output] == expected
    assert len(graph.warnings) == 1
    assert "'node'" in graph.warnings[0]


def test_a_shape_that_nothing_tells_is_an_error_with_a_remedy() -> None:
    with pytest.raises(
        ModelError, match=r"node 'node' \(Reshape\): the shape of 'o0' cannot be determined.*value_info"
    ):
        types_of("Reshape", [(4, 6), TensorType("int64", (2,))])


def test_a_declared_shape_is_taken_where_there_is_no_rule() -> None:
    node = helper.make_node("Mystery", ["x"], ["y"], "node", domain="custom")
    relu = helper.make_node("Relu", ["y"], ["z"], "relu")
    graph = helper.make_graph(
        [node, relu],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        value_info=[helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 7])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("custom", 1)])
    bound = bind_shapes(read_model(model), InputSizes({"n": 5}))
    assert bound.types["z"] == TensorType("float32", (5, 7))
    assert [("unknown" in w, "declares" in w) for w in bound.warnings] == [(True, False), (False, True)]
    del graph.value_info[:]
    model.graph.CopyFrom(graph)
    with pytest.raises(ModelError, match=r"node 'node' \(custom.Mystery\): the shape of 'y' cannot be determined"):
        bind_shapes(read_model(model), InputSizes({"n": 5}))


def test_onnx_infers_an_operator_without_a_rule_here() -> None:
    assert "StringConcat" not in RULES[""]
    node = helper.make_node("StringConcat", ["x", "w"], ["y"], "node")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(n, TensorProto.STRING, s) for n, s in (("x", [2, 3]), ("w", [3]))],
        [helper.make_tensor_value_info("y", TensorProto.STRING, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    assert bind_shapes(read_model(model)).types["y"] == TensorType("string", (2, 3))


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("Add", [(2, 3), (4,)], {}),
        ("MatMul", [(2, 3), (4, 5)], {}),
        ("Gemm", [(2, 3), (4, 5)], {"transB": 1}),
        ("Concat", [(2, 3), (2, 4)], {"axis": 0}),
        ("Concat", [(2, 3)], {"axis": 5}),
        ("Transpose", [(2, 3)], {"perm": [0, 0]}),
        ("Reshape", [(2, 3), ints(4, 2)], {}),
        ("Squeeze", [(2, 3), ints(0)], {}),
        ("Split", [(10, 2), ints(4, 7)], {"axis": 0}),
        ("Conv", [(1, 3, 2, 2), (4, 3, 5, 5)], {}),
        ("MaxPool", [(1, 3, 8, 8)], {}),
        ("MaxPool", [(1, 3, 8, 8)], {"kernel_shape": [2, 2], "strides": [0, 0]}),
        ("Slice", [(4,), ints(0), ints(2), ints(0), ints(0)], {}),
        ("Pad", [(4,), ints(-9, 0)], {}),
        ("Expand", [(2,), ints(2**40, 2**40, 2)], {}),
        ("Conv", [(1, 3, 8, 8)], {}),
        ("Cast", [(1,)], {"to": 99}),
    ],
)
def test_operators_that_do_not_fit_are_refused(op: str, inputs: list, attributes: dict) -> None:
    with pytest.raises(ModelError, match=rf"^model: node 'node' \({op}\): .*; "):
        types_of(op, inputs, attributes)


# --- Nested graphs


def branch(name: str, size: int) -> onnx.GraphProto:
    nodes = [
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.ones((4, size), np.float32))),
        helper.make_node("MatMul", ["x", "k"], [name], "product"),
    ]
    return helper.make_graph(nodes, name, [], [onnx.ValueInfoProto(name=name)])


def test_an_if_that_the_run_decides_takes_the_larger_type() -> None:
    node = helper.make_node("If", ["c"], ["y"], "if", then_branch=branch("a", 3), else_branch=branch("b", 5))
    graph = graph_of([node], {"x": (2, 4), "c": TensorType("bool", ())}, ["y"])
    assert graph.types["y"] == TensorType("float32", (2, 5))
    assert "branch" in graph.warnings[0]
    inner = graph.nodes[0].attributes["else_branch"]
    assert isinstance(inner, Graph)
    assert inner.types["b"] == TensorType("float32", (2, 5))
    assert graph.nodes[0].attributes["nested_flops"] == 2 * 2 * 4 * 5


@pytest.mark.parametrize(("condition", "size"), [(True, 3), (False, 5)])
def test_an_if_with_a_known_condition_is_replaced_by_its_branch(condition: bool, size: int) -> None:
    node = helper.make_node("If", ["c"], ["y"], "if", then_branch=branch("a", 3), else_branch=branch("b", 5))
    other = helper.make_node("If", ["c"], ["z"], "again", then_branch=branch("a", 3), else_branch=branch("b", 5))
    graph = graph_of([node, other], {"x": (2, 4)}, ["y", "z"], {"c": np.array(condition)})
    assert [(n.op_type, n.name) for n in graph.nodes] == [("MatMul", "if/product"), ("MatMul", "again/product")]
    assert graph.types["y"] == graph.types["z"] == TensorType("float32", (2, size))
    assert graph.warnings == []
    assert all(n in graph.types for item in graph.nodes for n in item.inputs)


def test_a_loop_counts_its_body_by_its_trip_count() -> None:
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "w"], ["next"], "product"),
            helper.make_node("Identity", ["going"], ["go"]),
            helper.make_node("Identity", ["next"], ["seen"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
        ],
        [onnx.ValueInfoProto(name=n) for n in ("go", "next", "seen")],
    )
    node = helper.make_node("Loop", ["m", "", "x"], ["y", "all"], "loop", body=body)
    weight = TensorType("float32", (64, 64))
    graph = graph_of([node], {"x": (2, 64)}, ["y", "all"], {"m": np.array(6), "w": weight})
    assert graph.types["y"] == TensorType("float32", (2, 64))
    assert graph.types["all"] == TensorType("float32", (6, 2, 64))
    assert graph.nodes[0].attributes["nested_flops"] == 6 * 2 * 2 * 64 * 64
    assert "6 times" in graph.warnings[0]
    unknown = graph_of([node], {"x": (2, 64), "m": TensorType("int64", ())}, ["y"], {"w": weight})
    assert "once" in unknown.warnings[0]


def test_a_pool_of_channels_last_needs_no_attribute_to_say_so() -> None:
    node = helper.make_node("NhwcMaxPool", ["x"], ["y"], domain="com.microsoft", kernel_shape=[2, 2], strides=[2, 2])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 14, 10, 64])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    assert bind_shapes(read_model(model.SerializeToString())).types["y"].shape == (1, 7, 5, 64)


# --- Operator sets before 7, and what the file declares


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "opset", "expected"),
    [
        ("Add", [(2, 3, 4, 5), (3, 4)], {"broadcast": 1, "axis": 1}, 6, "float32[2x3x4x5]"),
        ("Add", [(2, 3, 4, 5), (4, 5)], {"broadcast": 1}, 6, "float32[2x3x4x5]"),
        ("Less", [(2, 3, 4), (2,)], {"broadcast": 1, "axis": 0}, 6, "bool[2x3x4]"),
        ("Cast", [(2, 3)], {"to": "DOUBLE"}, 5, "float64[2x3]"),
        ("Reshape", [(2, 3)], {"shape": [3, -1]}, 4, "float32[3x2]"),
        ("Upsample", [(1, 2, 4, 4)], {"height_scale": 2.0, "width_scale": 3.0}, 6, "float32[1x2x8x12]"),
        ("Pad", [(2, 3)], {"paddings": [1, 0, 1, 0]}, 1, "float32[4x3]"),
    ],
)
def test_operators_of_old_sets(op: str, inputs: list, attributes: dict, opset: int, expected: str) -> None:
    assert types_of(op, inputs, attributes, opset=opset) == [expected]


def test_an_old_broadcast_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match="reaches over the end of the first"):
        types_of("Add", [(2, 3), (3, 4)], {"broadcast": 1, "axis": 1}, opset=6)


@pytest.mark.parametrize(("declared", "expected"), [([2, 5], (2, 5)), ([2, "n"], (2, 12)), ([2, 40], (2, 12))])
def test_a_smaller_size_that_the_file_declares_takes_the_place_of_a_bound(declared: list, expected: tuple) -> None:
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["y"], "nonzero")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 4])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, declared)],
    )
    bound = bind_shapes(read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])))
    assert bound.types["y"].shape == expected
    (warning,) = bound.warnings
    assert ("declares" in warning) == (expected == (2, 5))
