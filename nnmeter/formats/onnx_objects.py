"""An `onnx.ModelProto` in memory as a scanned model.

Everything but weights is serialised message by message and read by the one scanner that there is. A message that is too
large to copy is taken apart: of tensors only the header is looked at, graphs and attributes are read one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nnmeter.formats.scan import MAX_DEPTH, ScannedGraph, ScannedModel, Scanner, scan_declared
from nnmeter.formats.tensors import StoredTensor, scan_sparse_tensor, scan_tensor, tensor_type
from nnmeter.formats.wire import WireError
from nnmeter.graph.ir import Node

if TYPE_CHECKING:
    import onnx

_COPIED_BYTES = 65_536
_GRAPH, _TENSOR, _SPARSE_TENSOR, _GRAPHS = 5, 4, 11, 10  # AttributeProto.AttributeType


def scan_proto(proto: onnx.ModelProto) -> ScannedModel:
    """The parts of a model that matter here."""
    scanner = Scanner()
    model = ScannedModel(ir_version=proto.ir_version)
    for opset in proto.opset_import:
        model.opsets["" if opset.domain == "ai.onnx" else opset.domain] = opset.version
    if proto.HasField("graph"):
        model.graph = _graph(scanner, proto.graph, 0)
    for function in proto.functions:
        data = function.SerializeToString()
        model.functions.append(scanner.function(data, 0, len(data)))
    return model


def _graph(scanner: Scanner, proto: onnx.GraphProto, depth: int) -> ScannedGraph:
    if depth > MAX_DEPTH:
        raise WireError(f"graphs are nested more than {MAX_DEPTH} deep")
    return ScannedGraph(
        proto.name,
        [_node(scanner, node, depth) for node in proto.node],
        [scan_declared(data, 0, len(data)) for data in (d.SerializeToString() for d in proto.input)],
        [scan_declared(data, 0, len(data)) for data in (d.SerializeToString() for d in proto.output)],
        [_tensor(t) for t in proto.initializer] + [_sparse_tensor(t) for t in proto.sparse_initializer],
        [d.SerializeToString() for d in proto.value_info],
    )


def _node(scanner: Scanner, proto: onnx.NodeProto, depth: int) -> Node:
    if proto.ByteSize() <= _COPIED_BYTES:
        data = proto.SerializeToString()
        return scanner.node(data, 0, len(data))
    attributes = {}
    for attribute in proto.attribute:
        if attribute.ByteSize() > _COPIED_BYTES and attribute.type in _LARGE:
            attributes[attribute.name] = _LARGE[attribute.type](scanner, attribute, depth + 1)
        else:
            data = attribute.SerializeToString()
            name, value = scanner.attribute(data, 0, len(data))
            attributes[name] = value
    op_type = f"{proto.op_type}:{proto.overload}" if getattr(proto, "overload", "") else proto.op_type
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    return Node(op_type, domain, proto.name, tuple(proto.input), tuple(proto.output), attributes)


_LARGE: dict[int, Any] = {
    _TENSOR: lambda scanner, attribute, depth: _tensor(attribute.t),
    _SPARSE_TENSOR: lambda scanner, attribute, depth: _sparse_tensor(attribute.sparse_tensor),
    _GRAPH: lambda scanner, attribute, depth: _graph(scanner, attribute.g, depth),
    _GRAPHS: lambda scanner, attribute, depth: [_graph(scanner, g, depth) for g in attribute.graphs],
}


def _tensor(proto: onnx.TensorProto) -> StoredTensor:
    if proto.ByteSize() <= _COPIED_BYTES:
        data = proto.SerializeToString()
        return scan_tensor(data, 0, len(data))
    return StoredTensor(proto.name, tensor_type(proto.name, proto.data_type, list(proto.dims)))


def _sparse_tensor(proto: onnx.SparseTensorProto) -> StoredTensor:
    if proto.ByteSize() <= _COPIED_BYTES:
        data = proto.SerializeToString()
        return scan_sparse_tensor(data, 0, len(data))
    return StoredTensor(proto.values.name, tensor_type(proto.values.name, proto.values.data_type, list(proto.dims)))
