"""Types that a model declares for its tensors: ValueInfoProto and TypeProto. Field numbers are those of onnx.proto."""

from __future__ import annotations

from nnmeter.formats.wire import LENGTH, VARINT, Buffer, WireError, fields, signed, text
from nnmeter.graph.dtypes import DTYPE_OF_CODE
from nnmeter.graph.unbound import MAX_RANK, DeclaredType, Dimension


def scan_declared(buffer: Buffer, at: int, end: int) -> DeclaredType:
    """Read a ValueInfoProto."""
    name = ""
    where: tuple[int, int] | None = None
    for number, kind, start, stop in fields(buffer, at, end):
        if number == 1 and kind == LENGTH:
            name = text(buffer, start, stop)
        elif number == 2 and kind == LENGTH:
            where = (start, stop)
    if where is None:
        return DeclaredType(name, "", None)
    return scan_type(name, buffer, *where)


def split_name(message: bytes) -> tuple[str, bytes]:
    """The name at the front of a ValueInfoProto and what follows it; "" where it does not stand there, or is long."""
    if message[:1] != b"\x0a" or message[1] > 127:
        return "", message
    end = 2 + message[1]
    return message[2:end].decode(), message[end:]


# Fields of TypeProto.
_CONTAINERS: dict[int, str] = {1: "", 4: "sequence", 5: "map", 8: "sparse", 9: "optional", 7: "opaque"}


# Where the type of the element is in TypeProto.Map; a sequence and an optional have it in field 1.
_ELEMENT: dict[str, int] = {"map": 2}


def scan_type(name: str, buffer: Buffer, at: int, end: int, depth: int = 0) -> DeclaredType:
    """Read a TypeProto; of a sequence, an optional or a map, the type of its element counts."""
    for number, kind, start, stop in fields(buffer, at, end):
        container = _CONTAINERS.get(number)
        if container is None or kind != LENGTH:
            continue
        if container in ("", "sparse"):
            return _scan_tensor_type(name, buffer, start, stop, container)
        if container in ("sequence", "optional", "map") and depth < 4:
            for inner, inner_kind, inner_start, inner_stop in fields(buffer, start, stop):
                if inner == _ELEMENT.get(container, 1) and inner_kind == LENGTH:
                    element = scan_type(name, buffer, inner_start, inner_stop, depth + 1)
                    held = element.container or container  # an optional sequence is a sequence
                    return DeclaredType(name, element.dtype, element.dims, held, is_optional=container == "optional")
        return DeclaredType(name, "", None, container)
    return DeclaredType(name, "", None)


def _scan_tensor_type(name: str, buffer: Buffer, at: int, end: int, container: str) -> DeclaredType:
    code = 0
    dims: list[Dimension] | None = None
    negative = False
    for number, kind, start, stop in fields(buffer, at, end):
        if number == 1 and kind == VARINT:
            code = start
        elif number == 2 and kind == LENGTH:
            dims = []
            for inner, inner_kind, inner_start, inner_stop in fields(buffer, start, stop):
                if inner == 1 and inner_kind == LENGTH:
                    if len(dims) >= MAX_RANK:
                        count = sum(1 for inner, *_ in fields(buffer, start, stop) if inner == 1)
                        raise WireError(f"tensor '{name}' has {count} dimensions, more than {MAX_RANK}")
                    size = _scan_dimension(buffer, inner_start, inner_stop)
                    negative |= size == _NEGATIVE
                    dims.append(None if size == _NEGATIVE else size)
    if code and code not in DTYPE_OF_CODE:
        raise WireError(f"tensor '{name}' has the unknown element type {code}")
    found = None if dims is None else tuple(dims)
    return DeclaredType(name, DTYPE_OF_CODE.get(code, ""), found, container, negative)


_NEGATIVE = -1  # what older exporters write for a free dimension without a name; any number below 0 is read as that
_NO_NAMES = frozenset({"", "?", "-1", "None"})  # what exporters write for a dimension that has no name


def _scan_dimension(buffer: Buffer, at: int, end: int) -> Dimension:
    for number, kind, start, stop in fields(buffer, at, end):
        if number == 1 and kind == VARINT:
            size = signed(start)
            return max(size, _NEGATIVE)
        if number == 2 and kind == LENGTH:
            name = text(buffer, start, stop)
            return None if name in _NO_NAMES else name
    return None
