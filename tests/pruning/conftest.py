"""A small network with what pruning meets: a chain, a sum, a depthwise convolution, and a last layer that stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.prediction.predict import LatencyPredictor, load_predictor

WIDTH = 64


def make_network() -> onnx.ModelProto:
    """conv1 -> conv2 -> (+ conv3(conv1)) -> depthwise -> pointwise -> pool -> fc; weights have the names of torch."""
    random = np.random.default_rng(0)
    shapes = {
        "conv1.weight": (WIDTH, 16, 3, 3),
        "block.conv2.weight": (WIDTH, WIDTH, 3, 3),
        "block.conv3.weight": (WIDTH, WIDTH, 1, 1),
        "dw.weight": (WIDTH, 1, 3, 3),
        "pw.weight": (2 * WIDTH, WIDTH, 1, 1),
        "fc.weight": (10, 2 * WIDTH),
        "fc.bias": (10,),
    }
    nodes = [
        helper.make_node("Conv", ["input", "conv1.weight"], ["a"], "node_1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["ar"], "node_2"),
        helper.make_node("Conv", ["ar", "block.conv2.weight"], ["b"], "node_3", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["ar", "block.conv3.weight"], ["c"], "node_4"),
        helper.make_node("Add", ["b", "c"], ["s"], "node_5"),
        helper.make_node("Conv", ["s", "dw.weight"], ["d"], "node_6", pads=[1, 1, 1, 1], group=WIDTH),
        helper.make_node("Conv", ["d", "pw.weight"], ["e"], "node_7"),
        helper.make_node("GlobalAveragePool", ["e"], ["p"], "node_8"),
        helper.make_node("Flatten", ["p"], ["f"], "node_9"),
        helper.make_node("Gemm", ["f", "fc.weight", "fc.bias"], ["output"], "node_10", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 16, 28, 28])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 10])],
        [
            onnx.numpy_helper.from_array(random.standard_normal(shape, dtype=np.float32), name)
            for name, shape in shapes.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    onnx.save(make_network(), path)
    return path


@pytest.fixture(scope="session")
def predictor(small_pack: Path) -> LatencyPredictor:
    return load_predictor(small_pack)
