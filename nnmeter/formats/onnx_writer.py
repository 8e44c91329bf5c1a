"""Writes a model as ONNX, weights left out: they keep type and shape and point to a file that is not there.

A runtime cannot run such a file before weights are filled in (`nnmeter measure` fills in random ones, which take the
same time); `nnmeter` reads it as any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.errors import ModelError
from nnmeter.graph.dtypes import CODE_OF_DTYPE, NUMPY_OF_DTYPE
from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.unbound import DeclaredType, UnboundGraph, UnboundModel

if TYPE_CHECKING:
    import onnx

MARKER = "weights-not-included"  # where absent weights are said to be
_PRODUCER = "nnmeter"
_OLDEST_IR = 4  # initializers that are no inputs


def write_onnx(model: UnboundModel) -> onnx.ModelProto:
    """The model as a protocol buffer, without weights.

    Args:
        model: the model; small constants whose value is known are written whole.

    Raises:
        ModelError: an input, an output or an attribute is of a kind that this does not write.
    """
    import onnx

    proto = onnx.ModelProto(ir_version=max(model.ir_version, _OLDEST_IR), producer_name=_PRODUCER)
    for domain, version in model.opsets.items():
        proto.opset_import.add(domain=domain, version=version)
    _fill(proto.graph, model, model.source)
    return proto


def _fill(graph: onnx.GraphProto, source: UnboundGraph, called: str) -> None:
    graph.name = source.name or "model"
    for declared in source.inputs:
        _declare(graph.input.add(), declared, called)
    for declared in source.outputs:
        _declare(graph.output.add(), declared, called)
    for name, kind in source.constants.items():
        _store(graph.initializer.add(), name, kind, source.values.get(name), called)
    for node in source.nodes:
        _write_node(graph.node.add(), node, called)


def _declare(value: onnx.ValueInfoProto, declared: DeclaredType, called: str) -> None:
    value.name = declared.name
    if declared.container:
        raise ModelError(f"{called}: '{declared.name}' is a {declared.container}; only tensors are written")
    tensor = value.type.tensor_type
    tensor.elem_type = CODE_OF_DTYPE.get(declared.dtype, 0)
    if declared.dims is not None:
        tensor.shape.SetInParent()
        for dim in declared.dims:
            place = tensor.shape.dim.add()
            if isinstance(dim, int):
                place.dim_value = dim
            elif dim:
                place.dim_param = dim


def _store(
    tensor: onnx.TensorProto, name: str, kind: TensorType, value: np.ndarray[Any, Any] | None, called: str
) -> None:
    tensor.name = name
    tensor.data_type = CODE_OF_DTYPE[kind.dtype]
    tensor.dims.extend(kind.shape)
    if value is None or kind.dtype not in NUMPY_OF_DTYPE:
        if kind.dtype == "string":
            raise ModelError(f"{called}: constant '{name}' is text that was not read; it cannot be written")
        tensor.data_location = tensor.EXTERNAL
        tensor.external_data.add(key="location", value=MARKER)
    else:
        tensor.raw_data = np.ascontiguousarray(value, NUMPY_OF_DTYPE[kind.dtype]).tobytes()


def _write_node(proto: onnx.NodeProto, node: Node, called: str) -> None:
    proto.op_type, proto.domain, proto.name = node.op_type, node.domain, node.name
    proto.input.extend(node.inputs)
    proto.output.extend(node.outputs)
    for key, value in node.attributes.items():
        _write_attribute(proto.attribute.add(), key, value, f"{called}: node '{node.name}'")


def _write_attribute(attribute: onnx.AttributeProto, key: str, value: Any, called: str) -> None:
    attribute.name = key
    items = tuple(value) if isinstance(value, tuple | list) else None
    if isinstance(value, bool | int | np.integer):
        attribute.type, attribute.i = attribute.INT, int(value)
    elif isinstance(value, float | np.floating):
        attribute.type, attribute.f = attribute.FLOAT, float(value)
    elif isinstance(value, str | bytes):
        attribute.type, attribute.s = attribute.STRING, value.encode() if isinstance(value, str) else value
    elif isinstance(value, np.ndarray):
        attribute.type = attribute.TENSOR
        kind = next((name for name, numpy in NUMPY_OF_DTYPE.items() if numpy == value.dtype), "float32")
        _store(attribute.t, "", TensorType(kind, value.shape), value, called)
    elif isinstance(value, TensorType):
        attribute.type = attribute.TENSOR
        _store(attribute.t, "", value, None, called)
    elif isinstance(value, UnboundGraph):
        attribute.type = attribute.GRAPH
        _fill(attribute.g, value, called)
    elif items is not None and _all(items, int):
        attribute.type = attribute.INTS
        attribute.ints.extend(items)
    elif items is not None and _all(items, int | float):
        attribute.type = attribute.FLOATS
        attribute.floats.extend(items)
    elif items is not None and _all(items, str):
        attribute.type = attribute.STRINGS
        attribute.strings.extend([item.encode() for item in items])
    else:
        raise ModelError(f"{called}: attribute '{key}' is of a kind that is not written ({type(value).__name__})")


def _all(items: Iterable[Any], kind: Any) -> bool:
    return all(isinstance(item, kind) for item in items)
