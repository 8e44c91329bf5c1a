"""Nodes that no runtime runs are refused, with the operator and the reason (each was refused by ONNX Runtime 1.32)."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError, OperatorFaultError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes

FLOAT, INT64, BOOL = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL
WEIGHT = np.ones((4, 1, 3, 3), np.float32)
X = [1, 1, 8, 8]
RESIZED = (np.zeros(0, np.float32), np.zeros(0, np.float32))  # no region and no scales


def model(
    op: str, shapes: list[list[int]], attributes: dict[str, Any], constants: list[np.ndarray], opset: int, outputs: int,
    types: list[int],
) -> onnx.ModelProto:  # fmt: skip
    names = [f"i{k}" for k in range(len(shapes))]
    stored = [onnx.numpy_helper.from_array(value, f"c{k}") for k, value in enumerate(constants)]
    written = [f"o{k}" for k in range(outputs)]
    node = helper.make_node(op, [*names, *(t.name for t in stored)], written, "node", **attributes)
    kinds = [*types, *[FLOAT] * len(shapes)]
    given = [helper.make_tensor_value_info(n, k, s) for n, k, s in zip(names, kinds, shapes, strict=False)]
    results = [onnx.ValueInfoProto(name=name) for name in written]
    graph = helper.make_graph([node], "g", given, results, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def optional_model(op: str) -> onnx.ModelProto:
    """An operator of set 17 on an optional value that is made, and on one that is given."""
    tensor = helper.make_tensor_type_proto(FLOAT, [2, 3])
    given = [
        helper.make_value_info("x", tensor),
        helper.make_value_info("maybe", helper.make_optional_type_proto(tensor)),
    ]
    nodes = [
        helper.make_node("Optional", ["x"], ["made"], "make"),
        helper.make_node("Identity", ["made"], ["same"], "same"),
        helper.make_node(op, ["same"], ["y"], "first"),
        helper.make_node(op, ["maybe"], ["z"], "second"),
    ]
    results = [onnx.ValueInfoProto(name=name) for name in "yz"]
    graph = helper.make_graph(nodes, "g", given, results)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def optional_sequence_model(op: str) -> onnx.ModelProto:
    """An operator of set 17 on an optional sequence that is given, and in the body of a loop that carries one."""
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, [2, 3]))
    optional = helper.make_optional_type_proto(sequence)
    scalar = {name: helper.make_tensor_value_info(name, kind, []) for name, kind in (("n", INT64), ("go", BOOL))}
    inside = [
        helper.make_node("Identity", ["go"], ["again"], "again"),
        helper.make_node(op, ["carried"], ["inner"], "inner"),
        helper.make_node("Identity", ["carried"], ["kept"], "kept"),
    ]
    body = helper.make_graph(
        inside, "body", [*scalar.values(), helper.make_value_info("carried", optional)],
        [helper.make_tensor_value_info("again", BOOL, []), helper.make_value_info("kept", optional)],
    )  # fmt: skip
    count = onnx.numpy_helper.from_array(np.array(3, np.int64), "count")
    nodes = [
        helper.make_node(op, ["maybe"], ["y"], "first"),
        helper.make_node("Loop", ["count", "", "maybe"], ["z"], "loop", body=body),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_value_info("maybe", optional)], [onnx.ValueInfoProto(name="y")], [count]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def sequence_model(op: str) -> onnx.ModelProto:
    """An operator of set 17 on a sequence, which is no optional value."""
    model = optional_sequence_model(op)
    del model.graph.node[1]
    held = model.graph.input[0].type.optional_type.elem_type
    model.graph.input[0].type.CopyFrom(onnx.TypeProto.FromString(held.SerializeToString()))
    model.graph.node[0].name = "node"
    return model


def bind(proto: onnx.ModelProto) -> None:
    """Bind a model; a sequence that is given has two tensors."""
    read = read_model(proto)
    lengths = {d.name: (2, 2, 3) for d in read.inputs if d.container == "sequence"}
    bind_shapes(read, InputSizes(shapes=lengths))


def case(op: str, shapes: list[list[int]], reason: str, *constants: Any, opset: int = 17, outputs: int = 1,
         types: tuple[int, ...] = (), **attributes: Any) -> Any:  # fmt: skip
    arrays = [c if isinstance(c, np.ndarray) else np.array(c, np.int64) for c in constants]
    return pytest.param(
        model(op, shapes, attributes, arrays, opset, outputs, list(types)), op, reason, id=f"{op}: {reason}"
    )


@pytest.mark.parametrize(
    ("proto", "op", "reason"),
    [
        case("Conv", [X], "attribute dilations is [0, 0]", WEIGHT, dilations=[0, 0]),
        case("Conv", [X], "attribute pads is [-1, -1, -1, -1]", WEIGHT, pads=[-1] * 4),
        case("Conv", [X], "kernel_shape is 2x2, its weights are 4x1x3x3", WEIGHT, kernel_shape=[2, 2]),
        case("Conv", [X, [4, 1, 3, 3], [2]], "its bias is 2, it writes 4 channels"),
        case("ConvTranspose", [[1, 2, 4, 4], [3, 2, 3, 3]], "weights 3x2x3x3 in 1 groups do not fit the input 1x2x4x4"),
        case("ConvTranspose", [[1, 3, 4, 4], [3, 2, 3, 3], [5]], "its bias is 5, it writes 2 channels"),
        case("MaxPool", [X], "attribute kernel_shape is [0, 2]", kernel_shape=[0, 2]),
        case("MaxPool", [X], "pads [2, 2, 2, 2] are not smaller than the window",
             kernel_shape=[2, 2], pads=[2] * 4),
        case("AveragePool", [X], "attribute pads is [-1, 0, 0, 0]", kernel_shape=[2, 2], pads=[-1, 0, 0, 0]),
        case("Unsqueeze", [[1, 3]], "axes [0, 0] name one twice", [0, 0]),
        case("Slice", [[4, 3]], "axes [0, 0] name one twice", [0, 0], [1, 1], [0, 0]),
        case("TopK", [[4]], "it selects 5 of 4", [5], outputs=2),
        case("Split", [[5]], "an axis of 5 is not split evenly into 2", opset=13, outputs=2),
        case("Split", [[6]], "parts [2, 2, 2] do not fit 2 outputs", [2, 2, 2], outputs=2),
        case("DepthToSpace", [[1, 6, 2, 2]], "blocks of 2 do not fit the input 1x6x2x2", blocksize=2),
        case("Einsum", [[2, 3], [4, 5]], "'j' of its equation is 3 in one input and 4 in another",
             equation="ij,jk->ik"),
        case("Gemm", [[2, 3], [3, 4], [5]], "shapes 2x4 and 5 do not broadcast"),
        case("Softmax", [[2, 3]], "axis 5 is outside of a tensor of rank 2", axis=5),
        case("Flatten", [[2, 3]], "axis 5 is outside of a tensor of rank 2", axis=5),
        case("Flatten", [[2, 3]], "axis -1 is below 0", opset=9, axis=-1),
        case("LayerNormalization", [[2, 3], [4]], "shapes 2x3 and 4 do not broadcast"),
        case("Add", [[2], [2]], "its inputs are of float32 and int64", types=(FLOAT, INT64)),
        case("Concat", [[2], [2]], "its inputs are of float32 and int64", types=(FLOAT, INT64), axis=0),
        case("MatMul", [[2, 2], [2, 2]], "its inputs are of float32 and int64", types=(FLOAT, INT64)),
        case("LSTM", [[5, 2, 4], [1, 20, 4], [1, 20, 5], [1, 40], [2], [1, 1, 5]], "its initial state are 1x1x5",
         types=(*[FLOAT] * 4, onnx.TensorProto.INT32)),
    case("LSTM", [[5, 2, 4], [1, 20, 4], [1, 20, 5], [1, 40], [2], [1, 2, 5], [1, 2, 5], [1, 20]], "its peepholes are",
         types=(*[FLOAT] * 4, onnx.TensorProto.INT32)),
    case("BatchNormalization", [X, [1], [1], [1], [1]], "it has 3 outputs, with training_mode 0 it ret", outputs=3),
    case("BatchNormalization", [X, [1], [1], [1], [1]], "it has 1 outputs, with training", training_mode=1),
    case("Split", [[8]], "from operator set 18 on it needs its parts or num_outputs", opset=18, outputs=2),
    case("Split", [[8]], "num_outputs is 3, it has 2 outputs", opset=18, outputs=2, num_outputs=3),
    case("Resize", [[0, 4, 8, 8]], "an axis of 0 cannot be resized to 2", *RESIZED, [2, 4, 9, 9]),
    case("Conv", [X, [4, 1, 0, 3]], "its weights 4x1x0x3 are a window of nothing"),
    case("LSTM", [[3, 1, 4], [1, 20, 3], [1, 20, 5]], "its weights are 1x20x3, 5 hidden units need 1x20x4",
             hidden_size=5),
        case("LSTM", [[3, 1, 4], [1, 20, 4], [1, 24, 5]], "its recurrent weights are 1x24x5", hidden_size=5),
        case("BatchNormalization", [[1, 3, 2, 2], [3], [2], [3], [3]], "its input 3 channels"),
        case("InstanceNormalization", [[1, 3, 2, 2], [2], [3]], "its input 3 channels"),
        case("Gather", [[2, 3], [1]], "axis 4 is outside of a tensor of rank 2", types=(FLOAT, INT64), axis=4),
        case("Gather", [[2, 3]], "an index of 7 to 7 is outside of an axis of 2", [7]),
        case("Relu", [[2], [2]], "it has 2 inputs, the operator takes 1 at most"),
        case("Add", [[2]], "input 1 is missing, the operator needs 2"),
        case("Concat", [[2]], "attribute axis is missing"),
        case("NonMaxSuppression", [[1, 4, 4], [1, 2, 5]], "boxes 1x4x4 and scores 1x2x5 do not fit each other"),
        case("OptionalGetElement", [[2, 3]], "input 'i0' is no optional value, which alone it takes before operator "
             "set 18; export the model with operator set 18 or later"),
        case("OptionalHasElement", [], "input 'c0' is no optional value", [1]),
        pytest.param(
            sequence_model("OptionalHasElement"), "OptionalHasElement", "input 'maybe' is no optional value", id="seq"
        ),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused(proto: onnx.ModelProto, op: str, reason: str) -> None:
    with pytest.raises(ModelError, match=rf"node 'node' \({op}\): .*{re.escape(reason)}"):
        bind(proto)


@pytest.mark.parametrize(
    "proto",
    [
        model("ReduceMean", [[2, 3]], {"axes": [0, 0]}, [], 13, 1, []),
        model("Squeeze", [[1, 3]], {}, [np.array([0, 0])], 17, 1, []),
        model("Split", [[5]], {"num_outputs": 2}, [], 18, 2, []),
        model("Einsum", [[2, 1], [4, 5]], {"equation": "ij,jk->ik"}, [], 17, 1, []),
        model("Gemm", [[2, 3], [3, 4], [1, 4]], {}, [], 17, 1, []),
        model("OptionalGetElement", [[2, 3]], {}, [], 18, 1, []),
        model("OptionalHasElement", [], {}, [np.zeros(2, np.float32)], 18, 1, []),
        optional_model("OptionalGetElement"),
        optional_model("OptionalHasElement"),
        optional_sequence_model("OptionalGetElement"),
        optional_sequence_model("OptionalHasElement"),
    ],
)
def test_what_runs_is_read(proto: onnx.ModelProto) -> None:
    bind(proto)


def test_a_rule_that_fails_on_a_sound_node_is_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> None:
        raise KeyError("size")

    monkeypatch.setitem(__import__("nnmeter.operators.shape_rules", fromlist=["RULES"]).RULES[""], "Relu", faulty)
    with pytest.raises(OperatorFaultError, match=r"the rule of Relu failed on inputs that fit .*KeyError: 'size'"):
        bind_shapes(read_model(model("Relu", [[2]], {}, [], 17, 1, [])))


def test_a_rule_that_fails_on_a_node_that_onnx_refuses_names_onnx_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> None:
        raise IndexError

    monkeypatch.setitem(__import__("nnmeter.operators.shape_rules", fromlist=["RULES"]).RULES[""], "Transpose", faulty)
    with pytest.raises(ModelError, match=r"do not fit the operator \(float32 2x3\): .*perm"):
        bind_shapes(read_model(model("Transpose", [[2, 3]], {"perm": [0, 5]}, [], 17, 1, [])))


@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
def test_a_batch_of_nothing_is_resized(policy: str) -> None:
    constants = [*RESIZED, np.array([0, 8, 16, 16], np.int64)]
    resized = model("Resize", [[0, 4, 8, 8]], {"keep_aspect_ratio_policy": policy}, constants, 18, 1, [])
    assert bind_shapes(read_model(resized)).types["o0"].shape == (0, 8, 16, 16)


def test_an_optional_sequence_is_an_optional_value() -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, [2, 3]))
    node = helper.make_node("OptionalHasElement", ["maybe"], ["y"], "node")
    result = [helper.make_tensor_value_info("y", onnx.TensorProto.BOOL, [])]
    for declared, runs in ((helper.make_optional_type_proto(kind), True), (kind, False)):
        graph = helper.make_graph([node], "g", [helper.make_value_info("maybe", declared)], result)
        read = read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8))
        sizes = InputSizes(shapes={"maybe": ((2, 3),)})
        if runs:
            assert bind_shapes(read, sizes).types["y"].dtype == "bool"
        else:
            with pytest.raises(ModelError, match="input 'maybe' is no optional value"):
                bind_shapes(read, sizes)
