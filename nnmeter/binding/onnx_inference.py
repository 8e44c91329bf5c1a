"""ONNX's own shape inference for one operator, for those that have no rule here; onnx is imported only then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.graph.dtypes import CODE_OF_DTYPE, DTYPE_OF_CODE
from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.graph.unbound import UnboundGraph

if TYPE_CHECKING:
    import onnx

_IR_VERSION = 8  # any that the checker knows: it says nothing of a node


def infer_with_onnx(
    node: Node, inputs: Sequence[TensorType | None], values: Mapping[str, np.ndarray[Any, Any]], opsets: dict[str, int]
) -> list[TensorType] | None:
    """The types of a node's outputs, or None where onnx does not know them, is not there, or refuses the node."""
    found = _found(node, inputs, values, opsets)
    if found is None:
        return None
    kinds = [_static(found.get(name)) if name else TensorType("float32", (0,)) for name in node.outputs]
    return None if None in kinds else [kind for kind in kinds if kind is not None]


def _found(
    node: Node, inputs: Sequence[TensorType | None], values: Mapping[str, np.ndarray[Any, Any]], opsets: dict[str, int]
) -> dict[str, onnx.TypeProto] | None:
    if any(isinstance(v, Graph | UnboundGraph | TensorType) for v in node.attributes.values()):
        return None
    try:
        from onnx import defs
    except ImportError:
        return None
    try:
        schema = defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
    except (defs.SchemaError, TypeError):  # the latter for a version that is no 32-bit number
        return None
    try:
        return _inferred(schema, node, inputs, values, opsets)
    except _refusals():
        return None


def infer_element_types(
    node: Node, inputs: Sequence[TensorType | None], values: Mapping[str, np.ndarray[Any, Any]], opsets: dict[str, int]
) -> dict[str, str]:
    """The element types of a node's outputs, of which onnx need not know the shapes; empty where it knows none."""
    found = _found(node, inputs, values, opsets)
    return {
        name: DTYPE_OF_CODE[proto.tensor_type.elem_type]
        for name, proto in (found or {}).items()
        if proto.HasField("tensor_type") and proto.tensor_type.elem_type in DTYPE_OF_CODE
    }


def ask_onnx(
    node: Node, inputs: Sequence[TensorType | None], values: Mapping[str, np.ndarray[Any, Any]], opsets: dict[str, int]
) -> tuple[str, str]:
    """What ONNX's checker and inference say of a node: `accepted`, `refused` with a reason, or `unknown`."""
    try:
        from onnx import checker, defs
    except ImportError:
        return "unknown", ""
    try:
        schema = defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
    except (defs.SchemaError, TypeError):
        return "unknown", ""
    if any(isinstance(v, Graph | UnboundGraph | TensorType) for v in node.attributes.values()):
        return "unknown", ""
    try:
        context = checker.C.CheckerContext()
        context.ir_version = _IR_VERSION
        context.opset_imports = opsets
        checker.check_node(_proto(node), context)
        _inferred(schema, node, inputs, values, opsets)
    except _refusals() as fault:
        return "refused", next(iter(str(fault).splitlines()), type(fault).__name__)
    return "accepted", ""


def _refusals() -> tuple[type[Exception], ...]:
    """What onnx raises of a node that it refuses; making its messages of one does so as well."""
    from onnx import checker, shape_inference

    return (RuntimeError, ValueError, TypeError, checker.ValidationError, shape_inference.InferenceError)


def _proto(node: Node) -> onnx.NodeProto:
    from onnx import helper, numpy_helper

    attributes = {k: numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in node.attributes.items()}
    return helper.make_node(node.op_type, node.inputs, node.outputs, domain=node.domain, **attributes)


def _inferred(
    schema: onnx.defs.OpSchema,
    node: Node,
    inputs: Sequence[TensorType | None],
    values: Mapping[str, np.ndarray[Any, Any]],
    opsets: dict[str, int],
) -> dict[str, onnx.TypeProto]:
    from onnx import helper, numpy_helper, shape_inference

    given = {
        name: helper.make_tensor_type_proto(CODE_OF_DTYPE[kind.dtype], kind.shape)
        for name, kind in zip(node.inputs, inputs, strict=True)
        if kind is not None
    }
    data = {name: numpy_helper.from_array(values[name], name) for name in node.inputs if name in values}
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    found: dict[str, onnx.TypeProto] = shape_inference.infer_node_outputs(
        schema, _proto(node), given, data, opset_imports=imports
    )
    return found


def _static(proto: onnx.TypeProto | None) -> TensorType | None:
    if proto is None or not proto.HasField("tensor_type") or not proto.tensor_type.HasField("shape"):
        return None
    dims = proto.tensor_type.shape.dim
    dtype = DTYPE_OF_CODE.get(proto.tensor_type.elem_type)
    if dtype is None or not all(d.HasField("dim_value") for d in dims):
        return None
    return TensorType(dtype, tuple(d.dim_value for d in dims))
