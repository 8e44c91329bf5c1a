"""Small models for the tests of adapters."""

import numpy as np
import onnx
from onnx import TensorProto, helper


def make_model(nodes, inputs, outputs, weights=(), opset=17):
    """A model of float32 tensors (or of the type that is given third), weights drawn at random."""

    def info(name, shape, kind=TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, kind, shape)

    initializers = []
    for name, shape in weights:
        values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        initializers.append(onnx.numpy_helper.from_array(values * np.float32(0.05), name))
    graph = helper.make_graph(nodes, "g", [info(*i) for i in inputs], [info(*o) for o in outputs], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def uneven_model():
    """A small Softmax, a large convolution that fuses its Relu, and a small Tanh."""
    return make_model(
        [
            helper.make_node("Softmax", ["x"], ["s"], name="light_before"),
            helper.make_node("Conv", ["s", "w"], ["c"], name="heavy", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"], name="fused"),
            helper.make_node("GlobalAveragePool", ["r"], ["p"], name="pool"),
            helper.make_node("Tanh", ["p"], ["y"], name="light_after"),
        ],
        [("x", [1, 64, 32, 32])],
        [("y", [1, 128, 1, 1])],
        [("w", (128, 64, 3, 3))],
    )


def free_model():
    """A matrix product with a free batch, behind which shapes are computed as exporters do it."""
    return make_model(
        [
            helper.make_node("MatMul", ["x", "w"], ["m"], name="product"),
            helper.make_node("Shape", ["x"], ["s"], name="shape"),
            helper.make_node("Gather", ["s", "zero"], ["b"], name="batch"),
            helper.make_node("Concat", ["b", "rest"], ["t"], name="target", axis=0),
            helper.make_node("Reshape", ["m", "t"], ["y"], name="reshape"),
        ],
        [("x", ["batch", 16])],
        [("y", ["batch", 2, 4])],
        [("w", (16, 8))],
    )


def with_integers(model, **values):
    """Adds integer initializers."""
    for name, value in values.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.int64), name))
    return model
