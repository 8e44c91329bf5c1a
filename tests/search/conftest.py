"""A space of small networks that the tests of a package share."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.prediction.predict import LatencyPredictor, load_predictor
from nnmeter.search import LatencyTable, tabulate
from tests.conftest import REPOSITORY

SPACE: dict[str, list[Any]] = {
    "size": [16, 32],
    "depth": [1, 2],
    "width1": [16, 24, 64],
    "width2": [16, 32, 40],
    "activation": ["Relu", "HardSwish"],
}


def build(candidate: dict[str, Any]) -> onnx.ModelProto:
    """One or two convolutions, the second reading what the first writes, each with the activation behind it."""
    nodes, weights, into, x = [], [], 8, "x"
    for layer in range(1, candidate["depth"] + 1):
        out = candidate[f"width{layer}"]
        weights.append(
            TensorProto(name=f"w{layer}", data_type=1, dims=[out, into, 3, 3], data_location=TensorProto.EXTERNAL)
        )
        nodes.append(helper.make_node("Conv", [x, f"w{layer}"], [f"c{layer}"], f"conv{layer}", pads=[1] * 4))
        nodes.append(helper.make_node(candidate["activation"], [f"c{layer}"], [f"a{layer}"], f"act{layer}"))
        into, x = out, f"a{layer}"
    size = candidate["size"]
    graph = helper.make_graph(
        nodes,
        "candidate",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, size, size])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, into, size, size])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="session")
def predictor() -> LatencyPredictor:
    """Of a device whose runtime fuses convolutions with what is behind them."""
    return load_predictor(REPOSITORY / "predictors" / "epyc-genoa-onnxruntime1.32-1t")


@pytest.fixture(scope="session")
def table(predictor: LatencyPredictor) -> LatencyTable:
    """The table of `SPACE`."""
    return tabulate(SPACE, build, predictor, verify=30)
