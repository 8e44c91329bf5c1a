"""Small models in ONNX's text form, for tests of detection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.graph.ir import Graph

CONV = "Conv<kernel_shape=[3,3],pads=[1,1,1,1]>"


def make_model(text: str, opset: int = 18, **weights: Any) -> onnx.ModelProto:
    """A model: `text` is its graph; a weight is an array, or the shape of a random one."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}, "com.microsoft": 1]>\n{text}')
    random = np.random.default_rng(0)
    for name, value in weights.items():
        array = value if isinstance(value, np.ndarray | np.generic) else random.random(value, dtype=np.float32)
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return model


def make_graph(text: str, opset: int = 18, **weights: Any) -> Graph:
    """The graph of `make_model`, as the detector takes it."""
    return bind_shapes(read_model(make_model(text, opset, **weights)))


@dataclass(frozen=True)
class Case:
    """A model and the types of the kernels that ONNX Runtime makes of it."""

    name: str
    kernels: str
    inputs: str
    outputs: str
    body: str
    opset: int = 18
    weights: dict[str, Any] = field(default_factory=dict)

    def model(self) -> onnx.ModelProto:
        return make_model(f"agraph ({self.inputs}) => ({self.outputs}) {{ {self.body} }}", self.opset, **self.weights)

    def __str__(self) -> str:
        return self.name


def case(name: str, kernels: str, inputs: str, outputs: str, body: str, opset: int = 18, **weights: Any) -> Case:
    return Case(name, kernels, inputs, outputs, body, opset, weights)


def f32(value: Any) -> np.ndarray[Any, Any]:
    return np.array(value, np.float32)


def i64(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)
