"""Parameters of kernels: each counts once, to the kernel that reads it first."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

import nnmeter
from nnmeter.graph.ir import Graph
from nnmeter.kernels.kernel import Kernel, KernelSignature
from nnmeter.prediction.parameters import parameters_of


def graph_of(nodes: list[onnx.NodeProto], **weights: np.ndarray) -> Graph:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info("x", TensorProto.FLOAT, [1, 8, 4, 4])], [info("y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )  # fmt: skip
    return nnmeter.load_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


def kernel(*nodes: str) -> Kernel:
    return Kernel("k", KernelSignature("K", "K", "", (), (), ()), nodes)


def floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def test_statistics_settings_and_indices_are_no_parameters() -> None:
    graph = graph_of(
        [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv"),
            helper.make_node("BatchNormalization", ["c", "s", "o", "m", "v"], ["n"], "norm"),
            helper.make_node("Mul", ["n", "half"], ["h"], "half"),
            helper.make_node("Reshape", ["h", "shape"], ["y"], "view"),
        ],
        w=floats(6, 8, 1, 1), b=floats(6), s=floats(6), o=floats(6), m=floats(6), v=floats(6),
        half=floats(1), shape=np.array([1, -1]),
    )  # fmt: skip
    assert parameters_of([kernel("conv", "norm"), kernel("half")], graph) == [48 + 6 + 12, 0]
    assert parameters_of([kernel("conv"), kernel("norm")], graph) == [54, 12]
    assert parameters_of([kernel()], graph) == [0]


def test_a_shared_weight_counts_once_and_a_folded_one_to_what_depends_on_it() -> None:
    graph = graph_of(
        [
            helper.make_node("Flatten", ["x"], ["f"], "flat"),
            helper.make_node("Transpose", ["w"], ["t"], "turn", perm=[1, 0]),
            helper.make_node("Identity", ["t"], ["u"], "same"),
            helper.make_node("MatMul", ["f", "u"], ["a"], "first"),
            helper.make_node("Gemm", ["f", "w"], ["b"], "second", transB=1),
            helper.make_node("Add", ["a", "b"], ["y"], "sum"),
        ],
        w=floats(5, 128),
    )
    assert parameters_of([kernel("first"), kernel("second"), kernel("sum")], graph) == [640, 0, 0]


def test_quantized_weights_are_parameters_and_their_scales_are_not() -> None:
    graph = graph_of(
        [
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["w"], "dequantize", axis=0),
            helper.make_node("Conv", ["x", "w"], ["y"], "conv"),
        ],
        q=np.zeros((6, 8, 1, 1), np.int8), scale=floats(6), zero=np.zeros(6, np.int8),
    )  # fmt: skip
    assert parameters_of([kernel("conv")], graph) == [48]
    assert parameters_of([kernel("dequantize", "conv")], graph) == [48]
