"""ONNX messages as Python values: model, graph, node, attribute, function and value info, scanned in place.

Rules:
1. Documentation, metadata, training information and quantization annotations are passed over, but for the one entry of
   a node's metadata that says which module of the exporting framework it is of: `_NAME_SCOPES`, else `_NAMESPACE`.
2. A node or an attribute of moderate size is copied out of the file first: plain bytes are faster to read than a map.
3. Equal attributes are read once: a model of hundreds of nodes has few different ones.
4. Types that the file declares for inner tensors are kept as bytes and parsed only if they are asked for.
5. The overload of a function is part of its name (`op:overload`), in the function and in the nodes that call it.
6. A node's attribute is an int, a float, a str, a tuple of these, a `StoredTensor`, a `ScannedGraph`, a list of either,
   or a `Reference`.
7. What is kept is counted while it is read, and is refused beyond the limits (`nnmeter.limits`, 1 and 2).
Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nnmeter.formats.declared import scan_declared, scan_type
from nnmeter.formats.tensors import StoredTensor, scan_sparse_tensor, scan_tensor
from nnmeter.formats.wire import (
    FIXED32,
    LENGTH,
    VARINT,
    Buffer,
    LimitError,
    WireError,
    count_integers,
    fields,
    floats,
    integers,
    signed,
    skip,
    text,
    varint,
)
from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.unbound import MAX_RANK, DeclaredType
from nnmeter.limits import MAX_DEPTH, MAX_DOMAINS, MAX_EDGES, MAX_GRAPH_BYTES, MAX_LISTED, MAX_NAME, MAX_NODES

_COPIED_BYTES = 65_536
_SHARED_BYTES = 256
_RELEASED_AFTER = 128
_HEADER_BYTES = 512  # what a tensor counts, whatever its payload (rule 7): about what it takes here

# Keys of NodeProto's names: inputs, outputs, name, operator, domain, overload.
_NAMES = frozenset({0x0A, 0x12, 0x1A, 0x22, 0x3A, 0x42})

# Attributes with an entry or two for each axis: none has more of them than a tensor can have axes, begin and end.
_PER_AXIS = frozenset(
    "axes border dilations ends kernel_shape output_padding output_shape paddings pads perm pooled_shape repeats "
    "scales shape starts steps strides".split()
)


# Attributes of forests with an entry a node or leaf. Of most only the number matters, so that a forest of millions of
# nodes costs one list.
_OF_FORESTS = ("nodes_", "class_", "target_", "leaf_")
_READ_OF_FORESTS = frozenset({"nodes_treeids"})
# How many elements a field of a repeated attribute has: integers, floats, texts.
_LISTS: dict[int, Callable[[Buffer, int, int, int], int]] = {
    8: count_integers,
    7: lambda buffer, kind, start, stop: (stop - start) // 4,
    9: lambda buffer, kind, start, stop: 1,
}

# How the entries of a node's metadata begin that name the modules around it: the key, and the tag of the value. Torch's
# exporter (2.5 and newer) writes both among others that are far longer, such as the stack of calls.
_NAME_SCOPES = b"\x0a\x1apkg.torch.onnx.name_scopes\x12"
_NAMESPACE = b"\x0a\x09namespace\x12"


class Reference(NamedTuple):
    """An attribute whose value is an attribute of the function that its node is in."""

    name: str


@dataclass(slots=True)
class ScannedGraph:
    """A GraphProto."""

    name: str = ""
    nodes: list[Node] = field(default_factory=list)
    inputs: list[DeclaredType] = field(default_factory=list)
    outputs: list[DeclaredType] = field(default_factory=list)
    tensors: list[StoredTensor] = field(default_factory=list)
    value_info: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class ScannedFunction:
    """A FunctionProto."""

    domain: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ScannedModel:
    """A ModelProto."""

    graph: ScannedGraph | None = None
    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    functions: list[ScannedFunction] = field(default_factory=list)


class Scanner:
    """Reads messages; one object serves one model, because it counts nodes and shares equal attributes.

    Args:
        release: called now and then while large tensors are passed over, to give mapped pages back: the kernel maps
            some 64 kB around each header that is touched.
    """

    def __init__(self, release: Callable[[], None] = lambda: None) -> None:
        self._release = release
        self._large = 0
        self._shared: dict[bytes, tuple[str, Any]] = {}
        self._nodes = 0
        self._edges = 0
        self._listed = 0
        self._bytes = 0
        self._texts = 0
        self._depth = 0

    def _charge(self, size: int) -> None:
        """Count bytes that are kept (rule 7)."""
        self._bytes += size
        if self._bytes > MAX_GRAPH_BYTES:
            raise LimitError(
                f"its graph has more than {MAX_GRAPH_BYTES >> 20} MiB without its weights (the limit MAX_GRAPH_BYTES)"
            )

    def _list(self, count: int) -> None:
        """Count elements of attributes (rule 7)."""
        self._listed += count
        if self._listed > MAX_LISTED:
            raise LimitError(f"its attributes have more than {MAX_LISTED} elements (the limit MAX_LISTED)")

    def _text(self, size: int) -> None:
        """Count characters of attributes (rule 7)."""
        self._texts += size
        if self._texts > MAX_GRAPH_BYTES:
            raise LimitError(
                f"its attributes have more than {MAX_GRAPH_BYTES >> 20} MiB of text (the limit MAX_GRAPH_BYTES)"
            )

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
                    self._charge(stop - start)
                    model.functions.append(self.function(buffer, start, stop))
        return model

    def graph(self, buffer: Buffer, at: int, end: int) -> ScannedGraph:
        """Read a GraphProto."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise WireError(f"graphs are nested more than {MAX_DEPTH} deep")
        graph = ScannedGraph()
        nodes = graph.nodes
        outermost = self._depth == 1
        for number, kind, start, stop in fields(buffer, at, end):
            if kind != LENGTH:
                continue
            tensor = number in (5, 15)
            if outermost or tensor:
                self._charge(_HEADER_BYTES if tensor else 0 if stop - start > _COPIED_BYTES else stop - start)
            if number == 1:
                if stop - start <= _COPIED_BYTES:
                    nodes.append(self.node(buffer[start:stop], 0, stop - start))
                else:
                    nodes.append(self.node(buffer, start, stop))
                    self._charge(stop - start)  # only now, for the tensors in it are taken off
            elif number == 5:
                graph.tensors.append(scan_tensor(buffer, start, stop))
                if stop - start > _COPIED_BYTES:
                    self._large += 1
                    if self._large % _RELEASED_AFTER == 0:
                        self._release()
            elif number == 13:
                graph.value_info.append(buffer[start:stop])
            elif number == 11:
                graph.inputs.append(scan_declared(buffer, start, stop))
            elif number == 12:
                graph.outputs.append(scan_declared(buffer, start, stop))
            elif number == 2:
                graph.name = text(buffer, start, stop)
            elif number == 15:
                graph.tensors.append(scan_sparse_tensor(buffer, start, stop))
        self._depth -= 1
        return graph

    def node(self, buffer: Buffer, at: int, end: int) -> Node:
        """Read a NodeProto; the loop of `fields` is repeated here, because here most of the time is spent."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise WireError(f"there are more than {MAX_NODES} nodes")
        inputs: list[str] = []
        outputs: list[str] = []
        attributes: dict[str, Any] = {}
        name = op_type = domain = overload = scope = ""
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
        self._edges += len(inputs) + len(outputs)
        if self._edges > MAX_EDGES:
            raise WireError(f"its operators have more than {MAX_EDGES} inputs and outputs")
        if end > MAX_NAME and max(map(len, (name, op_type, domain, *inputs, *outputs))) > MAX_NAME:
            raise WireError(f"a name has more than {MAX_NAME} characters")
        if domain == "ai.onnx":
            domain = ""
        if overload:
            op_type = f"{op_type}:{overload}"
        return Node(op_type, domain, name, tuple(inputs), tuple(outputs), attributes, scope)

    def attribute(self, buffer: Buffer, at: int, end: int) -> tuple[str, Any]:
        """Read an AttributeProto: its name and value."""
        if end - at > _SHARED_BYTES:
            return self._attribute(buffer, at, end)
        raw = buffer[at:end]
        known = self._shared.get(raw)
        if known is None:
            known = self._attribute(raw, 0, len(raw))
            if not isinstance(known[1], ScannedGraph | list):
                self._shared[raw] = known
        return known

    def _attribute(self, buffer: Buffer, at: int, end: int) -> tuple[str, Any]:
        name = ""
        kind_of = 0
        reference = ""
        single: Any = None
        many: list[Any] = []
        counted = 0
        for number, kind, start, stop in fields(buffer, at, end):
            if kind != _ATTRIBUTE_KINDS.get(number, kind):
                raise WireError("an attribute's value has a wrong wire type")
            if number == 1:
                name = text(buffer, start, stop)
            elif number == 20:
                kind_of = start
            elif number == 3:
                single = signed(start)
            elif number in _LISTS and name.startswith(_OF_FORESTS) and name not in _READ_OF_FORESTS:
                counted += _LISTS[number](buffer, kind, start, stop)
            elif number == 8:
                self._list(count_integers(buffer, kind, start, stop))
                many += integers(buffer, kind, start, stop)
            elif number == 2:
                (single,) = floats(buffer, kind, start, stop)
            elif number == 7:
                self._list((stop - start) // 4)
                many += floats(buffer, kind, start, stop)
            elif number == 4:
                self._text(stop - start)
                single = buffer[start:stop].decode("utf-8", "replace")
            elif number == 9:
                self._list(1)
                self._text(stop - start)
                many.append(buffer[start:stop].decode("utf-8", "replace"))
            elif number == 5:
                self._bytes -= stop - start  # it was counted with its node, and is passed over
                single = scan_tensor(buffer, start, stop)
            elif number == 6:
                single = self.graph(buffer, start, stop)
            elif number == 10:
                self._list(1)
                many.append(scan_tensor(buffer, start, stop))
            elif number == 11:
                many.append(self.graph(buffer, start, stop))
            elif number == 21:
                reference = text(buffer, start, stop)
            elif number == 22:
                single = scan_sparse_tensor(buffer, start, stop)
            elif number == 23:
                many.append(scan_sparse_tensor(buffer, start, stop))
            elif number == 14:
                single = scan_type(name, buffer, start, stop)
        if len(many) > 2 * MAX_RANK and name in _PER_AXIS:
            raise WireError(f"the attribute '{name}' has {len(many)} elements, more than {2 * MAX_RANK}")
        if reference:
            return name, Reference(reference)
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
                function.inputs.append(text(buffer, start, stop))
            elif number == 5:
                function.outputs.append(text(buffer, start, stop))
            elif number == 9:
                function.opsets.update([scan_opset(buffer, start, stop)])
                check_domains(function.opsets)
            elif number == 10:
                function.domain = text(buffer, start, stop)
            elif number == 11:
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

# AttributeProto.AttributeType: FLOATS, INTS, STRINGS, TENSORS, GRAPHS, SPARSE_TENSORS, TYPE_PROTOS; and what a single
# one without a payload means, as proto3 writers drop zeros.
_REPEATED = frozenset({6, 7, 8, 9, 10, 12, 14})
_ABSENT: dict[int, Any] = {1: 0.0, 2: 0, 3: ""}


def check_domains(opsets: dict[str, int]) -> None:
    """Refuse a model that imports more operator sets than it may."""
    if len(opsets) > MAX_DOMAINS:
        raise WireError(f"it imports more than {MAX_DOMAINS} operator sets")


def scan_opset(buffer: Buffer, at: int, end: int) -> tuple[str, int]:
    """Read an OperatorSetIdProto: domain ("" for ai.onnx) and version."""
    domain = ""
    version = 0
    for number, kind, start, stop in fields(buffer, at, end):
        if number == 1 and kind == LENGTH:
            domain = text(buffer, start, stop)
        elif number == 2 and kind == VARINT:
            version = signed(start)
    return "" if domain == "ai.onnx" else domain, version


def scan_scope(buffer: Buffer, at: int, end: int) -> str:
    """Read the value of a StringStringEntryProto; "" for one that is longer than a name may be. It is only a hint."""
    for number, kind, start, stop in fields(buffer, at, end):
        if number == 2 and kind == LENGTH and stop - start <= MAX_NAME:
            return buffer[start:stop].decode("utf-8", "replace")
    return ""
