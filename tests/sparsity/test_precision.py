"""Precisions by tensor, against brute force: a tensor that is stored so is what it was."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import nnmeter
from nnmeter.sparsity.precision import Precision, find_precisions

make = helper.make_node
WEIGHTS = {
    "s": np.array(0.05, np.float32), "z": np.array(3, np.int8), "t": np.array(0.1, np.float32),
    "w": np.random.default_rng(0).integers(-9, 9, (4, 4)).astype(np.int8), "shape": np.array([2, 2, 4]),
}  # fmt: skip
NODES = [
    make("Relu", ["x"], ["r"]),
    make("Reshape", ["r", "shape"], ["v"]),
    make("QuantizeLinear", ["v", "s", "z"], ["q"]),
    make("DequantizeLinear", ["q", "s", "z"], ["d"]),
    make("Transpose", ["d"], ["u"], perm=[0, 2, 1]),
    make("Transpose", ["u"], ["h"], perm=[0, 2, 1]),
    make("DequantizeLinear", ["w", "t"], ["k"]),
    make("MatMul", ["h", "k"], ["m"]),
    make("Cast", ["m"], ["half"], to=TensorProto.FLOAT16),
    make("Cast", ["half"], ["back"], to=TensorProto.FLOAT),
    make("Sigmoid", ["back"], ["y"]),
]


def model() -> onnx.ModelProto:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        NODES, "g", [info("x", TensorProto.FLOAT, [4, 4])], [info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in WEIGHTS.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_precisions_are_found_in_both_directions() -> None:
    graph = nnmeter.load_model(model())
    found = find_precisions(graph.nodes, graph.types, graph.outputs)
    eight = Precision("int8", "s", "z")
    assert {name: found.get(name) for name in "rvduh"} == dict.fromkeys("rvduh", eight)
    assert found["k"] == Precision("int8", "t", "")
    assert found["x"] == eight  # Relu keeps it backward: a quantizer could stand before it
    assert found["m"] == found["back"] == Precision("float16")
    assert "y" not in found


def rounded(value: np.ndarray, precision: Precision) -> np.ndarray:
    if precision.dtype == "float16":
        return value.astype(np.float16).astype(np.float32)
    zero = float(WEIGHTS[precision.zero]) if precision.zero else 0.0
    scale = float(WEIGHTS[precision.scale])
    return ((np.clip(np.rint(value / scale) + zero, -128, 127) - zero) * scale).astype(np.float32)


def run(x: np.ndarray, change: str = "", precision: Precision | None = None) -> np.ndarray:
    values = {"x": x, **WEIGHTS}
    for node in NODES:
        if change in node.input and precision is not None and change in values:
            values[change] = rounded(values[change], precision)
        outputs = ReferenceEvaluator(node).run(None, {name: values[name] for name in node.input})
        values.update(zip(node.output, outputs, strict=True))
    return values["y"]


def test_a_tensor_of_that_precision_changes_nothing() -> None:
    graph = nnmeter.load_model(model())
    x = np.random.default_rng(1).normal(0, 3, (4, 4)).astype(np.float32)
    expected = run(x)
    for name, precision in find_precisions(graph.nodes, graph.types, graph.outputs).items():
        np.testing.assert_allclose(run(x, name, precision), expected, rtol=1e-6, err_msg=name)
