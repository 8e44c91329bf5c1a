from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.prediction.predict import LatencyPredictor


@pytest.fixture(scope="module")
def predictor(small_pack: Path) -> LatencyPredictor:
    from nnmeter.devices import load_pack

    return LatencyPredictor(load_pack(small_pack))


def make_chain(
    widths: tuple[int, ...] = (16, 32, 64), size: int = 14, names: str = "layer{}", relu: bool = True, stride: int = 1
) -> onnx.ModelProto:
    """Convolutions of 3x3 of these widths, each with a Relu behind it, then a pool and a product."""
    nodes, weights, data, before = [], [], "input", 8
    for number, width in enumerate(widths):
        name = names.format(number)
        weights.append(onnx.numpy_helper.from_array(np.zeros((width, before, 3, 3), np.float32), f"{name}.weight"))
        nodes.append(
            helper.make_node(
                "Conv", [data, f"{name}.weight"], [f"{name}.c"], f"/{name}/Conv", pads=[1] * 4, strides=[stride] * 2
            )
        )
        data = f"{name}.c"
        if relu:
            nodes.append(helper.make_node("Relu", [data], [f"{name}.r"], f"/{name}/Relu"))
            data = f"{name}.r"
        before = width
    nodes.append(helper.make_node("GlobalAveragePool", [data], ["p"], "/pool/GlobalAveragePool"))
    nodes.append(helper.make_node("Flatten", ["p"], ["f"], "/Flatten"))
    weights.append(onnx.numpy_helper.from_array(np.zeros((before, 10), np.float32), "fc.weight"))
    nodes.append(helper.make_node("MatMul", ["f", "fc.weight"], ["output"], "/fc/MatMul"))
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 8, size, size])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 10])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
