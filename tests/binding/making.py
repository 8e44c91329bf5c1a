"""Graphs made of a few operators, for tests of shapes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.graph.dtypes import CODE_OF_DTYPE
from nnmeter.graph.ir import Graph, TensorType

MICROSOFT = "com.microsoft"
BLOCKED = "com.microsoft.nchwc"


def graph_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, ...] | TensorType],
    outputs: Sequence[str],
    constants: dict[str, Any] | None = None,
    opset: int = 17,
) -> Graph:
    """Bind a graph made of nodes; a constant is an array, or a `TensorType` for a weight without a value."""
    types = {n: t if isinstance(t, TensorType) else TensorType("float32", t) for n, t in inputs.items()}
    initializers = []
    for name, constant in (constants or {}).items():
        if isinstance(constant, TensorType):
            tensor = TensorProto(name=name, data_type=CODE_OF_DTYPE[constant.dtype], dims=constant.shape)
            tensor.data_location = TensorProto.EXTERNAL
        else:
            tensor = numpy_helper.from_array(np.asarray(constant), name)
        initializers.append(tensor)
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(n, CODE_OF_DTYPE[t.dtype], t.shape) for n, t in types.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        initializers,
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1), helper.make_opsetid(BLOCKED, 1)]
    return bind_shapes(read_model(helper.make_model(graph, opset_imports=imports)))


def types_of(
    op: str, inputs: Sequence[Any], attributes: dict[str, Any] | None = None, outputs: int = 1, **kwargs: Any
) -> list[str]:
    """Types of one operator's outputs; an input is a shape, a type, an array (a constant), or None (absent)."""
    domain = kwargs.pop("domain", "")
    names = ["" if x is None else f"i{n}" for n, x in enumerate(inputs)]
    given = dict(zip(names, inputs, strict=True))
    given.pop("", None)
    constants = {n: x for n, x in given.items() if isinstance(x, np.ndarray)}
    node = helper.make_node(op, names, [f"o{n}" for n in range(outputs)], "node", domain=domain, **(attributes or {}))
    variables = {n: x for n, x in given.items() if n not in constants}
    graph = graph_of([node], variables, node.output, constants, **kwargs)
    return [str(graph.types[name]) for name in node.output]


def u8(*shape: int) -> TensorType:
    return TensorType("uint8", shape)


def i8(*shape: int) -> TensorType:
    return TensorType("int8", shape)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)
