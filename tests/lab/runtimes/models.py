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


def detector_model(boxes=40):
    """What stands behind a detector: a selection of boxes, branches on how many there are, a loop, a scan, a function.

    All nodes have names of their own; those of nested graphs and of the graph around them have equal indices.
    """
    value = helper.make_tensor_value_info
    taken = helper.make_graph(
        [
            helper.make_node("Gather", ["flat", "best"], ["kept"], name="then/gather", axis=0),
            helper.make_node("ReduceMax", ["kept"], ["then_out"], name="then/max", axes=[0], keepdims=1),
        ],
        "some",
        [],
        [value("then_out", TensorProto.FLOAT, [1, 4])],
    )
    other = helper.make_graph(
        [helper.make_node("Slice", ["flat", "c0", "c1", "c0"], ["else_out"], name="else/first")],
        "none",
        [],
        [value("else_out", TensorProto.FLOAT, [1, 4])],
    )
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes_on"], name="body/goes_on"),
            helper.make_node("Mul", ["held", "half"], ["halved"], name="body/mul"),
            helper.make_node("Add", ["halved", "peak"], ["sum"], name="body/add"),
        ],
        "body",
        [value("trip", TensorProto.INT64, []), value("going", TensorProto.BOOL, []), value("held", 1, [1, 4])],
        [value("goes_on", TensorProto.BOOL, []), value("sum", 1, [1, 4])],
    )
    step = helper.make_graph(
        [
            helper.make_node("Add", ["total", "row"], ["next"], name="scan/add"),
            helper.make_node("Identity", ["next"], ["told"], name="scan/identity"),
        ],
        "step",
        [value("total", 1, [4]), value("row", 1, [4])],
        [value("next", 1, [4]), value("told", 1, [4])],
    )
    function = helper.make_function(
        "own", "Squash", ["a"], ["b"], [helper.make_node("Tanh", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    nodes = [
        helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "least"], ["selected"], name="nms"),
        helper.make_node("Gather", ["selected", "column"], ["best"], name="column", axis=1),
        helper.make_node("Reshape", ["boxes", "to_rows"], ["flat"], name="flat"),
        helper.make_node("Shape", ["selected"], ["count"], name="count"),
        helper.make_node("Gather", ["count", "first"], ["found"], name="found"),
        helper.make_node("Greater", ["found", "first"], ["any"], name="any"),
        helper.make_node("If", ["any"], ["peak"], name="if", then_branch=taken, else_branch=other),
        helper.make_node("Loop", ["trips", "", "peak"], ["looped"], name="loop", body=body),
        helper.make_node("Scan", ["start", "flat"], ["scanned", "all"], name="scan", num_scan_inputs=1, body=step),
        helper.make_node("Squash", ["looped"], ["squashed"], name="squash", domain="own"),
        helper.make_node("Add", ["squashed", "scanned"], ["y"], name="sum"),
    ]
    floats = {"iou": 0.5, "least": 0.0, "half": 0.5, "start": [0.0] * 4}
    model = make_model(nodes, [("boxes", [1, boxes, 4]), ("scores", [1, 2, boxes])], [("y", [1, 4])])
    for name, number in floats.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(number, np.float32), name))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(function)
    return with_integers(model, most=[5], column=2, to_rows=[-1, 4], first=0, trips=3, c0=[0], c1=[1])
