"""ONNX messages as Python values: model, graph, node, attribute, function and value info, scanned in place.

Rules:
1. Documentation, metadata, training information and quantization annotations are passed over, but for the one entry of
   a node's metadata that says which module of the exporting framework it is of: `_NAME_SCOPES`, else `_NAMESPACE`.
2. A node or an attribute of moderate size is copied out of the file first: plain bytes are faster to read than a map.
3. Small nodes, tensors and attributes that are equal byte for byte are read once in a process: a model of hundreds of
   nodes has few different attributes, and the candidates of a search have most of their nodes in common.
4. Types that the file declares for inner tensors are kept as bytes and parsed only if they are asked for.
5. The overload of a function is part of its name (`op:overload`), in the function and in the nodes that call it.
6. A node's attribute is an int, a float, a str, a tuple of these, a `StoredTensor`, a `ScannedGraph`, a list of either,
   or a `Reference`.
7. What is kept is counted while it is read, and is refused beyond the limits (`nnmeter.limits`, 1 and 2).
Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnmeter.formats.budget import HINT_BYTES, OBJECT_BYTES, Budget
from nnmeter.formats.declared import scan_declared, scan_type
from nnmeter.formats.lists import (
    FLOATS,
    INTS,
    LONG,
    RUN,
    STRINGS,
    count_list,
    fields_and_runs,
    read_floats,
    read_integers,
    read_texts,
)
from nnmeter.formats.opsets import check_domains, scan_opset
from nnmeter.formats.scanned import Reference, ScannedFunction, ScannedGraph, ScannedModel
from nnmeter.formats.tensors import StoredTensor, scan_sparse_tensor, scan_tensor
from nnmeter.formats.wire import FIXED32, LENGTH, VARINT, Buffer, WireError, fields, floats, signed, skip, text, varint
from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.unbound import MAX_RANK
from nnmeter.limits import MAX_NAME

_COPIED_BYTES = 65_536
_SHARED_BYTES = 256
_RELEASED_AFTER = 128

# What was read of small messages, by their bytes. Candidates of a search have most of theirs in common, and a model
# repeats its blocks. Nothing in here is ever changed; what is full is emptied.
_MOST_REMEMBERED = 8192  # messages of a kind
_NODE_BYTES = 1024
_nodes: dict[bytes, tuple[Node, int]] = {}  # with the number of inputs, outputs and attributes
_tensors: dict[bytes, StoredTensor] = {}
_attributes: dict[bytes, tuple[str, Any]] = {}
_attribute_sets: dict[tuple[bytes, ...], dict[str, Any]] = {}

# Keys of NodeProto's names: inputs, outputs, name, operator, domain, overload.
_NAMES = frozenset({0x0A, 0x12, 0x1A, 0x22, 0x3A, 0x42})

_EDGES = frozenset({1, 2, 5})  # fields of NodeProto: input, output, attribute

_NODE, _TENSOR = 0x0A, 0x2A  # keys of GraphProto's nodes and initializers

# Fields of GraphProto that become objects: initializers, sparse ones, inputs and outputs.
_OBJECTS = frozenset({5, 11, 12, 15})

# Attributes with an entry or two for each axis: none has more of them than a tensor can have axes, begin and end.
_PER_AXIS = frozenset(
    "axes border dilations ends kernel_shape output_padding output_shape paddings pads perm pooled_shape repeats "
    "scales shape starts steps strides".split()
)


# Attributes of forests with an entry a node or leaf. Of most only the number matters, so that a forest of millions of
# nodes costs one list.
_OF_FORESTS = ("nodes_", "class_", "target_", "leaf_")
_READ_OF_FORESTS = frozenset({"nodes_treeids"})
_LISTS = frozenset({INTS, FLOATS, STRINGS})

# How the entries of a node's metadata begin that name the modules around it: the key, and the tag of the value. Torch's
# exporter (2.5 and newer) writes both among others that are far longer, such as the stack of calls.
_NAME_SCOPES = b"\x0a\x1apkg.torch.onnx.name_scopes\x12"
_NAMESPACE = b"\x0a\x09namespace\x12"


_MUTABLE = frozenset({ScannedGraph, list})  # values of attributes that each node has of its own


def _remember(known: dict[Any, Any], raw: Any, value: Any) -> None:
    if len(known) >= _MOST_REMEMBERED:
        known.clear()
    known[raw] = value


def _copy(node: Node) -> Node:
    """A node for one model, which may give it another name or other attributes."""
    return Node(node.op_type, node.domain, node.name, node.inputs, node.outputs, node.attributes, node.scope)


class Scanner:
    """Reads messages; one object serves one model, because it counts nodes.

    Args:
        release: called now and then while large tensors are passed over, to give mapped pages back: the kernel maps
            some 64 kB around each header that is touched.
    """

    def __init__(self, release: Callable[[], None] = lambda: None) -> None:
        self._release = release
        self._large = 0
        self._budget = Budget()

    def model(self, buffer: Buffer, at: int, end: int) -> ScannedModel:
        """Read a ModelProto."""
        model = ScannedModel()
        for number, kind, start, stop in fields(buffer, at, end):
            if number == 1 and kind == VARINT:
                model.ir_version = start
            elif kind == LENGTH:
                if number == 7:
                    model.graph = self.graph(buffer, start, stop)
                elif number == 8:
                    model.opsets.update([scan_opset(buffer, start, stop)])
                    check_domains(model.opsets)
                elif number == 25:
                    self._budget.add_bytes(stop - start)
                    model.functions.append(self.function(buffer, start, stop))
        return model

    def graph(self, buffer: Buffer, at: int, end: int) -> ScannedGraph:
        """Read a GraphProto."""
        budget = self._budget
        outermost = budget.enter_graph()
        graph = ScannedGraph()
        nodes = graph.nodes
        while at < end:
            key = buffer[at]
            if key in (_NODE, _TENSOR):  # nearly all: what `fields` would do
                size, start = buffer[at + 1], at + 2
                if size > 127:
                    size, start = varint(buffer, at + 1)
                number, kind, stop = key >> 3, LENGTH, start + size
            else:
                number, kind, start, stop = next(fields(buffer, at, end))
                size = stop - start
                if not number:
                    raise WireError("a field has the number 0")
            if stop > end:
                raise WireError("a field reaches over the end of its message")
            at = stop
            if kind != LENGTH:
                continue
            if number in _OBJECTS:
                budget.add_bytes(OBJECT_BYTES)
            elif outermost and size <= _COPIED_BYTES:
                budget.add_bytes(size)
            if number == 1:
                if size <= _COPIED_BYTES:
                    nodes.append(self._small_node(buffer[start:stop]))
                else:
                    nodes.append(self.node(buffer, start, stop))
                    budget.add_bytes(size)  # only now, for the tensors in it are taken off
            elif number == 5:
                graph.tensors.append(self._tensor(buffer, start, stop))
                if size > _COPIED_BYTES:
                    self._large += 1
                    if self._large % _RELEASED_AFTER == 0:
                        self._release()
            elif number == 13:
                budget.add_bytes(HINT_BYTES)
                graph.value_info.append(buffer[start:stop])
            elif number == 11:
                graph.inputs.append(scan_declared(buffer, start, stop))
            elif number == 12:
                graph.outputs.append(scan_declared(buffer, start, stop))
            elif number == 2:
                graph.name = text(buffer, start, stop)
            elif number == 15:
                graph.tensors.append(scan_sparse_tensor(buffer, start, stop))
        budget.leave_graph()
        return graph

    def _tensor(self, buffer: Buffer, at: int, end: int) -> StoredTensor:
        """Read a TensorProto, whose payload counts only where its value is kept."""
        raw = buffer[at:end] if end - at <= _SHARED_BYTES else None
        stored = None if raw is None else _tensors.get(raw)
        if stored is None:
            stored = scan_tensor(buffer, at, end)
            if raw is not None:
                _remember(_tensors, raw, stored)
        if stored.value is not None:
            self._budget.add_bytes(stored.value.nbytes)
        return stored

    def _small_node(self, raw: bytes) -> Node:
        """Read a NodeProto that may be one that was read before."""
        if len(raw) > _NODE_BYTES:
            return self.node(raw, 0, len(raw))
        known = _nodes.get(raw)
        if known is None:
            node = self.node(raw, 0, len(raw))
            if not _MUTABLE.intersection(map(type, node.attributes.values())):
                edges = len(node.inputs) + len(node.outputs) + len(node.attributes)
                _remember(_nodes, raw, (_copy(node), edges))
            return node
        self._budget.add_node()
        self._budget.add_edges(known[1])
        return _copy(known[0])

    def node(self, buffer: Buffer, at: int, end: int) -> Node:
        """Read a NodeProto; the loop of `fields` is repeated here, because here most of the time is spent."""
        self._budget.add_node()
        if end - at > _COPIED_BYTES:
            self._refuse_wide(buffer, at, end)
        inputs: list[str] = []
        outputs: list[str] = []
        attributes: dict[str, Any] = {}
        small: list[bytes] | None = []  # of its attributes, if all are
        name = op_type = domain = overload = scope = ""
        count = 0  # of attributes
        while at < end:
            key = buffer[at]
            if key & 0x87 != LENGTH:
                at = skip(buffer, at, end)
                continue
            size = buffer[at + 1]
            at += 2
            if size > 127:
                size, at = varint(buffer, at - 1)
            stop = at + size
            if stop > end:
                raise WireError("a field reaches over the end of its message")
            if size > 4 * MAX_NAME and key in _NAMES:
                raise WireError(f"a name has more than {MAX_NAME} characters")
            if key == 0x0A:
                inputs.append(buffer[at:stop].decode())
            elif key == 0x12:
                outputs.append(buffer[at:stop].decode())
            elif key == 0x2A:
                count += 1
                if size <= _SHARED_BYTES and small is not None:
                    small.append(buffer[at:stop])
                else:
                    attributes.update(map(self._shared_attribute, small or ()))
                    small = None
                    attribute, value = self.attribute(buffer, at, stop)
                    attributes[attribute] = value
            elif key == 0x1A:
                name = buffer[at:stop].decode()
            elif key == 0x22:
                op_type = buffer[at:stop].decode()
            elif key == 0x3A:
                domain = buffer[at:stop].decode()
            elif key == 0x42:
                overload = buffer[at:stop].decode()
            elif key == 0x4A and (
                buffer[at : at + len(_NAME_SCOPES)] == _NAME_SCOPES
                or (not scope and buffer[at : at + len(_NAMESPACE)] == _NAMESPACE)
            ):
                scope = scan_scope(buffer, at, stop)
            at = stop
        if small:
            attributes = self._attributes(tuple(small))
        if len(attributes) != count:
            raise WireError(f"node '{name}' ({op_type}) has an attribute twice")
        self._budget.add_edges(len(inputs) + len(outputs) + len(attributes))
        if end > MAX_NAME and max(map(len, (name, op_type, domain, *inputs, *outputs))) > MAX_NAME:
            raise WireError(f"a name has more than {MAX_NAME} characters")
        if domain == "ai.onnx":
            domain = ""
        if overload:
            op_type = f"{op_type}:{overload}"
        return Node(op_type, domain, name, tuple(inputs), tuple(outputs), attributes, scope)

    def _refuse_wide(self, buffer: Buffer, at: int, end: int) -> None:
        """Refuse a large node by the number of its inputs, outputs and attributes, before any of them is made."""
        self._budget.check_edges(sum(number in _EDGES for number, *_ in fields(buffer, at, end)))

    def attribute(self, buffer: Buffer, at: int, end: int) -> tuple[str, Any]:
        """Read an AttributeProto: its name and value."""
        if end - at > _SHARED_BYTES:
            return self._attribute(buffer, at, end)
        return self._shared_attribute(buffer[at:end])

    def _shared_attribute(self, raw: bytes) -> tuple[str, Any]:
        known = _attributes.get(raw)
        if known is None:
            known = self._attribute(raw, 0, len(raw))
            if type(known[1]) not in _MUTABLE:
                _remember(_attributes, raw, known)
        return known

    def _attributes(self, raw: tuple[bytes, ...]) -> dict[str, Any]:
        """The attributes of a node; nodes that have the same share them."""
        known = _attribute_sets.get(raw)
        if known is None:
            known = dict(map(self._shared_attribute, raw))
            if not _MUTABLE.intersection(map(type, known.values())):
                _remember(_attribute_sets, raw, known)
        return known

    def _attribute(self, buffer: Buffer, at: int, end: int) -> tuple[str, Any]:
        budget = self._budget
        name = ""
        kind_of = 0
        reference = ""
        single: Any = None
        many: list[Any] = []
        counted = payload = 0
        read = fields if end - at < LONG else fields_and_runs
        for number, kind, start, stop in read(buffer, at, end):
            if kind != _ATTRIBUTE_KINDS.get(number, kind) and kind != RUN:
                raise WireError("an attribute's value has a wrong wire type")
            if number in KIND_OF_VALUE:
                if payload not in (0, number):
                    raise WireError(f"the attribute '{name}' has values of two kinds")
                payload = number
            if number == 1:
                name = text(buffer, start, stop)
            elif number == 20:
                kind_of = start
            elif number == 3:
                single = signed(start)
            elif number in _LISTS:
                count = count_list(number, buffer, kind, start, stop)
                if name.startswith(_OF_FORESTS) and name not in _READ_OF_FORESTS:
                    counted += count
                    continue
                budget.add_listed(count)
                if number == INTS:
                    many += read_integers(buffer, kind, start, stop)
                elif number == FLOATS:
                    many += read_floats(buffer, kind, start, stop)
                else:
                    budget.add_text(stop - start)
                    many += read_texts(buffer, kind, start, stop)
            elif number == 2:
                (single,) = floats(buffer, kind, start, stop)
            elif number == 4:
                budget.add_text(stop - start)
                single = buffer[start:stop].decode("utf-8", "replace")
            elif number == 5:
                budget.add_bytes(start - stop)  # it was counted with its node, and is passed over
                single = self._tensor(buffer, start, stop)
            elif number == 6:
                single = self.graph(buffer, start, stop)
            elif number == 10:
                budget.add_bytes(OBJECT_BYTES)
                many.append(self._tensor(buffer, start, stop))
            elif number == 11:
                budget.add_bytes(OBJECT_BYTES)
                many.append(self.graph(buffer, start, stop))
            elif number == 21:
                reference = text(buffer, start, stop)
            elif number == 22:
                single = scan_sparse_tensor(buffer, start, stop)
            elif number == 23:
                budget.add_bytes(OBJECT_BYTES)
                many.append(scan_sparse_tensor(buffer, start, stop))
            elif number == 14:
                single = scan_type(name, buffer, start, stop)
        if len(many) > 2 * MAX_RANK and name in _PER_AXIS:
            raise WireError(f"the attribute '{name}' has {len(many)} elements, more than {2 * MAX_RANK}")
        if reference:
            return name, Reference(reference)
        check_kind(name, kind_of, payload)
        if counted:
            return name, TensorType("float32", (counted,))
        if kind_of in _REPEATED or (single is None and many):
            return name, many if many and isinstance(many[0], StoredTensor | ScannedGraph) else tuple(many)
        return name, _ABSENT.get(kind_of) if single is None else single

    def function(self, buffer: Buffer, at: int, end: int) -> ScannedFunction:
        """Read a FunctionProto."""
        function = ScannedFunction()
        overload = ""
        for number, kind, start, stop in fields(buffer, at, end):
            if kind != LENGTH:
                continue
            if number == 7:
                function.nodes.append(self.node(buffer[start:stop], 0, stop - start))
            elif number == 1:
                function.name = text(buffer, start, stop)
            elif number == 4:
                self._budget.add_edges(1)
                function.inputs.append(text(buffer, start, stop))
            elif number == 5:
                self._budget.add_edges(1)
                function.outputs.append(text(buffer, start, stop))
            elif number == 9:
                function.opsets.update([scan_opset(buffer, start, stop)])
                check_domains(function.opsets)
            elif number == 10:
                function.domain = text(buffer, start, stop)
            elif number == 11:
                self._budget.add_edges(1)
                function.defaults.update([self.attribute(buffer, start, stop)])
            elif number == 13:
                overload = text(buffer, start, stop)
        if function.domain == "ai.onnx":
            function.domain = ""
        if overload:
            function.name = f"{function.name}:{overload}"
        return function


# Wire types of AttributeProto's fields; `ints` and `floats` may be packed or not and are checked where they are read.
_ATTRIBUTE_KINDS: dict[int, int] = {
    **dict.fromkeys((1, 4, 5, 6, 9, 10, 11, 14, 21, 22, 23), LENGTH), 2: FIXED32, 3: VARINT, 20: VARINT,
}  # fmt: skip

# Fields of AttributeProto that are a value, one of which an attribute has, and the AttributeType that goes with each.
KIND_OF_VALUE: dict[int, int] = {
    2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 9: 8, 10: 9, 11: 10, 14: 13, 15: 14, 22: 11, 23: 12,
}  # fmt: skip

# AttributeProto.AttributeType: FLOATS, INTS, STRINGS, TENSORS, GRAPHS, SPARSE_TENSORS, TYPE_PROTOS; and what a single
# one without a payload means, as proto3 writers drop zeros.
_REPEATED = frozenset({6, 7, 8, 9, 10, 12, 14})
_ABSENT: dict[int, Any] = {1: 0.0, 2: 0, 3: ""}


def check_kind(name: str, kind_of: int, payload: int) -> None:
    """Refuse an attribute whose value is not of the kind that it states; runtimes go by the kind, and refuse it, too.

    Args:
        name: of the attribute.
        kind_of: its AttributeType.
        payload: the field that holds its value, 0 for none.

    Raises:
        WireError: it states another kind, or none.
    """
    if payload and kind_of != KIND_OF_VALUE[payload]:
        said = "of another kind than it states" if kind_of else "without a kind"
        raise WireError(f"the attribute '{name}' has a value {said}")


def scan_scope(buffer: Buffer, at: int, end: int) -> str:
    """Read the value of a StringStringEntryProto; "" for one that is longer than a name may be. It is only a hint."""
    for number, kind, start, stop in fields(buffer, at, end):
        if number == 2 and kind == LENGTH and stop - start <= MAX_NAME:
            return buffer[start:stop].decode("utf-8", "replace")
    return ""
