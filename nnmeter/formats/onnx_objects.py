"""An `onnx.ModelProto` in memory as a scanned model.

Rules:

1. A model whose weights are small, or in other files, is serialised in one piece and read as a file is.
2. Of any other, everything but weights is serialised message by message and read by the one scanner that there is. Of a
   large tensor only the header is looked at, and what holds one is taken apart first. (`ByteSize` would tell what is
   large, but protobuf's Python runtime serialises to count.)
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from nnmeter.formats.declared import scan_declared
from nnmeter.formats.opsets import check_domains
from nnmeter.formats.scan import KIND_OF_VALUE, Scanner, check_kind
from nnmeter.formats.scanned import ScannedFunction, ScannedGraph, ScannedModel
from nnmeter.formats.tensors import StoredTensor, scan_tensor, tensor_type
from nnmeter.formats.wire import WireError
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import MAX_KNOWN_ELEMENTS, DeclaredType
from nnmeter.limits import MAX_DEPTH, MAX_NAME
from nnmeter.operators.table import KNOWN_DOMAINS

if TYPE_CHECKING:
    import onnx


_SMALL_BYTES = 1 << 20  # of weights, which are copied

# What may have tensors or graphs in its attributes, of unknown size.
_HOLDERS = frozenset({"Constant", "ConstantOfShape", "If", "Loop", "Scan", "SequenceMap"})


def scan_proto(proto: onnx.ModelProto) -> ScannedModel:
    """The parts of a model that matter here."""
    if _is_small(proto):
        data = proto.SerializeToString()
        scanned = Scanner().model(data, 0, len(data))
        scanned.ir_version = proto.ir_version  # with its sign
        return scanned
    reader = _Reader()
    return ScannedModel(
        reader.graph(proto.graph) if proto.HasField("graph") else None,
        proto.ir_version,
        _opsets(proto.opset_import),
        [reader.function(function) for function in proto.functions],
    )


def _is_small(proto: onnx.ModelProto) -> bool:
    """Whether a model can be serialised in one piece (rule 1)."""
    if proto.functions or proto.graph.sparse_initializer:
        return False
    room = _SMALL_BYTES
    for tensor in proto.graph.initializer:
        if tensor.data_location != _EXTERNAL:
            room -= _LARGEST_ITEM * prod(tensor.dims)
            if room < 0 or tensor.string_data:
                return False
    return all(node.op_type not in _HOLDERS and node.domain in KNOWN_DOMAINS for node in proto.graph.node)


_EXTERNAL = 1  # TensorProto.DataLocation
_LARGEST_ITEM = 16  # bytes


def _opsets(imports: Any) -> dict[str, int]:
    opsets = {_domain(opset.domain): opset.version for opset in imports}
    check_domains(opsets)
    return opsets


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _name(proto: Any, name: str) -> str:
    overload = getattr(proto, "overload", "")  # since onnx 1.16
    return f"{name}:{overload}" if overload else name


class _Reader:
    def __init__(self) -> None:
        self._scanner = Scanner()
        self._depth = 0

    def graph(self, proto: onnx.GraphProto) -> ScannedGraph:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise WireError(f"graphs are nested more than {MAX_DEPTH} deep")
        graph = ScannedGraph(
            proto.name,
            [self.node(node) for node in proto.node],
            [_declared(value) for value in proto.input],
            [_declared(value) for value in proto.output],
            [_tensor(t) for t in proto.initializer] + [_sparse_tensor(t) for t in proto.sparse_initializer],
            [value.SerializeToString() for value in proto.value_info],
        )
        self._depth -= 1
        return graph

    def function(self, proto: onnx.FunctionProto) -> ScannedFunction:
        return ScannedFunction(
            _domain(proto.domain),
            _name(proto, proto.name),
            list(proto.input),
            list(proto.output),
            [self.node(node) for node in proto.node],
            dict(self.attribute(attribute) for attribute in proto.attribute_proto),
            _opsets(proto.opset_import),
        )

    def node(self, proto: onnx.NodeProto) -> Node:
        if all(attribute.type not in _TAKEN_APART for attribute in proto.attribute):
            data = proto.SerializeToString()
            return self._scanner.node(data, 0, len(data))
        attributes = dict(self.attribute(attribute) for attribute in proto.attribute)
        if len(attributes) != len(proto.attribute):
            raise WireError(f"node '{proto.name}' ({proto.op_type}) has an attribute twice")
        return Node(
            _name(proto, proto.op_type),
            _domain(proto.domain),
            proto.name,
            tuple(proto.input),
            tuple(proto.output),
            attributes,
            _scope(proto),
        )

    def attribute(self, proto: onnx.AttributeProto) -> tuple[str, Any]:
        take_apart = _TAKEN_APART.get(proto.type)
        if take_apart is not None and not proto.ref_attr_name:
            for field, _ in proto.ListFields():
                if field.number in KIND_OF_VALUE:
                    check_kind(proto.name, proto.type, field.number)
            return proto.name, take_apart(self, proto)
        data = proto.SerializeToString()
        return self._scanner.attribute(data, 0, len(data))


# By AttributeProto.AttributeType: TENSOR, GRAPH, TENSORS, GRAPHS, SPARSE_TENSOR.
_TAKEN_APART: dict[int, Any] = {
    4: lambda reader, proto: _tensor(proto.t),
    5: lambda reader, proto: reader.graph(proto.g),
    9: lambda reader, proto: [_tensor(t) for t in proto.tensors],
    10: lambda reader, proto: [reader.graph(g) for g in proto.graphs],
    11: lambda reader, proto: _sparse_tensor(proto.sparse_tensor),
}


def _scope(proto: onnx.NodeProto) -> str:
    """What the metadata say of the modules around a node; the same entries as in a file (`nnmeter.formats.scan`)."""
    entries = {entry.key: entry.value for entry in getattr(proto, "metadata_props", ())}  # since onnx 1.16
    scope = entries.get("pkg.torch.onnx.name_scopes", entries.get("namespace", ""))
    return scope if len(scope) <= MAX_NAME else ""


def _declared(proto: onnx.ValueInfoProto) -> DeclaredType:
    data = proto.SerializeToString()
    return scan_declared(data, 0, len(data))


def _tensor(proto: onnx.TensorProto) -> StoredTensor:
    kind = tensor_type(proto.name, proto.data_type, list(proto.dims))
    if kind.elements > MAX_KNOWN_ELEMENTS or proto.data_location == proto.EXTERNAL:
        return StoredTensor(proto.name, kind)
    data = proto.SerializeToString()
    return scan_tensor(data, 0, len(data))


def _sparse_tensor(proto: onnx.SparseTensorProto) -> StoredTensor:
    values = _tensor(proto.values)
    return StoredTensor(values.name, tensor_type(values.name, proto.values.data_type, list(proto.dims)))
