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


def infer_with_onnx(
    node: Node, inputs: Sequence[TensorType | None], values: Mapping[str, np.ndarray[Any, Any]], opsets: dict[str, int]
) -> list[TensorType] | None:
    """The types of a node's outputs, or None where onnx does not know them, is not there, or refuses the node."""
    if any(isinstance(v, Graph | UnboundGraph | TensorType) for v in node.attributes.values()):
        return None
    try:
        import onnx
        from onnx import defs, helper, numpy_helper, shape_inference
    except ImportError:
        return None
    try:
        schema = defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
    except (defs.SchemaError, TypeError):  # the latter for a version that is no 32-bit number
        return None
    attributes = {k: numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in node.attributes.items()}
    try:
        proto = helper.make_node(node.op_type, node.inputs, node.outputs, domain=node.domain, **attributes)
        given = {
            name: helper.make_tensor_type_proto(CODE_OF_DTYPE[kind.dtype], kind.shape)
            for name, kind in zip(node.inputs, inputs, strict=True)
            if kind is not None
        }
        data = {name: numpy_helper.from_array(values[name], name) for name in node.inputs if name in values}
        imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
        found = shape_inference.infer_node_outputs(schema, proto, given, data, opset_imports=imports)
    except (
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        onnx.checker.ValidationError,
        shape_inference.InferenceError,
    ):
        return None
    kinds = [_static(found.get(name)) if name else TensorType("float32", (0,)) for name in node.outputs]
    return None if None in kinds else [kind for kind in kinds if kind is not None]


def _static(proto: onnx.TypeProto | None) -> TensorType | None:
    if proto is None or not proto.HasField("tensor_type") or not proto.tensor_type.HasField("shape"):
        return None
    dims = proto.tensor_type.shape.dim
    dtype = DTYPE_OF_CODE.get(proto.tensor_type.elem_type)
    if dtype is None or not all(d.HasField("dim_value") for d in dims):
        return None
    return TensorType(dtype, tuple(d.dim_value for d in dims))
