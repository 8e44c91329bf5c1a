"""Changes of a seed that leave its outer form whole, so that what lies behind the parser is reached.

Half of the time bytes are changed as libFuzzer does. Else an ONNX file is parsed, changed in one to four places and
written again; JSON likewise; an archive of arrays is made anew with other elements, lengths or types.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, defs

_NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    16,
    63,
    64,
    127,
    255,
    1024,
    1025,
    65536,
    2**31 - 1,
    -(2**31),
    2**40,
    2**62,
    2**63 - 1,
    -(2**63),
)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, float("inf"), float("-inf"), float("nan"))
_TEXTS = ("", "x", "y", "n", "axis", "axes", "../../etc/passwd", "/etc/passwd", "\x00", "\x1b[31m", "é" * 40, "a" * 300)
_OPERATORS = sorted({schema.name for schema in defs.get_all_schemas()} | {"FusedConv", "MatMulNBits", "SkipLayerNorm"})
_JSON_VALUES: tuple[Any, ...] = (
    None, True, False, [], {}, "", "x", [[]], *_NUMBERS, *_FLOATS, 10**400, [1] * 70, {"a": {}}, {"rules": 1},
)  # fmt: skip

Mutate = Callable[[bytes, int], bytes]


def mutate_model(data: bytes, most: int, seed: int, mutate_bytes: Mutate) -> bytes:
    """Another model file of at most `most` bytes."""
    chance = random.Random(seed)
    if data[:1] == b"{" and chance.random() < 0.7:
        return _json(data, chance, most, mutate_bytes)
    if chance.random() < 0.3:
        return mutate_bytes(data, most)
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return mutate_bytes(data, most)
    for _ in range(chance.randint(1, 4)):
        change_once(model, chance)
    try:
        made = model.SerializeToString()
    except (ValueError, DecodeError):
        return mutate_bytes(data, most)
    return made if len(made) <= most else mutate_bytes(data, most)


def change_once(message: Message, chance: random.Random) -> None:
    """Change one field somewhere below a message."""
    while True:
        fields = [field for field, _ in message.ListFields()]
        if not fields or chance.random() < 0.05:
            fields = list(message.DESCRIPTOR.fields)
        field = chance.choice(fields)
        value = getattr(message, field.name)
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            _change_scalar(message, field, value, chance)
            return
        if not _is_repeated(field):
            message = value
            continue
        if not len(value) or chance.random() < 0.1:
            value.add()
            return
        chosen = chance.randrange(len(value))
        kind = chance.random()
        if kind < 0.06:
            del value[chosen]
            return
        if kind < 0.14:
            value.add().CopyFrom(value[chosen])
            return
        if kind < 0.18 and len(value) > 1:
            value[chosen].CopyFrom(value[chance.randrange(len(value))])
            return
        message = value[chosen]


def _is_repeated(field: FieldDescriptor) -> bool:
    known = getattr(field, "is_repeated", None)  # newer protobuf; older ones have a label
    return bool(known) if known is not None else field.label == FieldDescriptor.LABEL_REPEATED


def _change_scalar(message: Message, field: FieldDescriptor, value: Any, chance: random.Random) -> None:
    new = _scalar(field, chance)
    try:
        if not _is_repeated(field):
            setattr(message, field.name, new)
        elif not len(value) or chance.random() < 0.3:
            value.append(new)
        elif chance.random() < 0.2:
            del value[chance.randrange(len(value))]
        elif chance.random() < 0.5:
            value[chance.randrange(len(value))] = value[chance.randrange(len(value))]
        else:
            value[chance.randrange(len(value))] = new
    except (ValueError, TypeError):
        return  # out of the field's range


def _scalar(field: FieldDescriptor, chance: random.Random) -> Any:
    if field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return chance.choice(_FLOATS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return chance.choice((b"", b"\x00" * 8, b"SAME_UPPER", bytes(chance.randrange(64))))
    if field.type == FieldDescriptor.TYPE_STRING:
        return chance.choice(_OPERATORS) if field.name == "op_type" else chance.choice((*_TEXTS, *"abcdefgm"))
    if field.enum_type is not None:
        return chance.choice(field.enum_type.values).number
    return chance.choice((*_NUMBERS, *range(12)))


def change_bytes(data: bytes, most: int) -> bytes:
    """A change of some bytes such as libFuzzer makes; the data decide which."""
    chance = random.Random(data)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed) + 1) :][:1] = bytes([chance.randrange(256)])
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed[:most])


def mutate_part(data: bytes, most: int, seed: int, mutate_bytes: Mutate, trees: int) -> bytes:
    """Another part of a device pack; the first byte says which, and `trees` is that of the archive."""
    chance = random.Random(seed)
    if len(data) < 2 or chance.random() < 0.3:
        return mutate_bytes(data, most)
    if data[0] == trees:
        return data[:1] + (_archive(data[1:], chance) or mutate_bytes(data[1:], most - 1))
    return data[:1] + _json(data[1:], chance, most - 1, mutate_bytes)


def _json(data: bytes, chance: random.Random, most: int, mutate_bytes: Mutate) -> bytes:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_bytes(data, most)
    for _ in range(chance.randint(1, 3)):
        _change_json(content, chance)
    made = json.dumps(content).encode()
    return made if len(made) <= most else mutate_bytes(data, most)


def _change_json(content: Any, chance: random.Random) -> None:
    while isinstance(content, dict | list) and content:
        keys = list(content) if isinstance(content, dict) else range(len(content))
        key = chance.choice(keys)
        inner = content[key]
        if isinstance(inner, dict | list) and inner and chance.random() < 0.85:
            content = inner
            continue
        kind = chance.random()
        if kind < 0.15:
            del content[key]
        elif kind < 0.3 and isinstance(content, list):
            content.append(deepcopy(inner))
        elif kind < 0.4:
            content[key] = deepcopy(content[chance.choice(keys)])
        else:
            content[key] = deepcopy(chance.choice(_JSON_VALUES))
        return


def mutate_measurements(data: bytes, most: int, seed: int, mutate_bytes: Mutate) -> bytes:
    """Another file of measurements: with other bytes, or another table written as one that is whole."""
    import pyarrow as pa
    from pyarrow import parquet

    chance = random.Random(seed)
    if chance.random() < 0.2:
        return mutate_bytes(data, most)
    try:
        table = parquet.read_table(io.BytesIO(data))
        columns = {name: table[name].to_pylist() for name in table.column_names}
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return mutate_bytes(data, most)
    told = dict(table.schema.metadata or {})
    for _ in range(chance.randint(1, 3)):
        _change_table(columns, told, chance)
    stream = io.BytesIO()
    try:
        made = pa.table(columns).replace_schema_metadata(told)
        parquet.write_table(made, stream)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return mutate_bytes(data, most)
    return stream.getvalue() if stream.tell() <= most else mutate_bytes(data, most)


def _change_table(columns: dict[str, list[Any]], told: dict[bytes, bytes], chance: random.Random) -> None:
    kind, name = chance.random(), chance.choice(sorted(columns) or [""])
    if kind < 0.2 or not name:
        key = chance.choice(sorted(told) or [b"x"])
        told[key] = _json(told.get(key, b"{}"), chance, 4096, change_bytes)
    elif kind < 0.25:
        del columns[name]
    elif kind < 0.35:
        columns[name] = [chance.choice(_JSON_VALUES[:12]) for _ in columns[name]]
    elif kind < 0.4:
        for values in columns.values():
            values[:] = values[:1] * chance.choice((0, 1, 2, 9))
    elif columns[name]:
        row = chance.randrange(len(columns[name]))
        value = columns[name][row]
        if isinstance(value, list) and value and chance.random() < 0.8:
            value[chance.randrange(len(value))] = _other(chance.choice(value), chance)
        elif isinstance(value, list):
            columns[name][row] = value[1:] if chance.random() < 0.5 else value * 2
        else:
            columns[name][row] = _other(value, chance)


def _other(value: Any, chance: random.Random) -> Any:
    """Another value of the same type: of a text that is JSON, other JSON."""
    if isinstance(value, str):
        return (
            _json(value.encode(), chance, 4096, change_bytes).decode("utf-8", "replace")
            if value[:1] in "[{"
            else (chance.choice(_TEXTS))
        )
    if isinstance(value, float):
        return chance.choice((*_FLOATS, value * 1e6, value * 1e-6))
    return chance.choice(_NUMBERS)


def _archive(data: bytes, chance: random.Random) -> bytes | None:
    try:
        with np.load(io.BytesIO(data)) as stored:
            arrays = dict(stored)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        return None
    name = chance.choice(sorted(arrays))
    array = arrays[name].copy()
    kind = chance.random()
    if kind < 0.6 and array.size:
        with np.errstate(all="ignore"):
            new = chance.choice(_FLOATS) if array.dtype.kind == "f" else chance.choice((0, 1, 2, 3, 62, 63, 64, 255))
            array.flat[chance.randrange(array.size)] = np.array(new).astype(array.dtype)
    elif kind < 0.75:
        array = np.resize(array, max(array.size + chance.choice((-1, 1, 5)), 0))
    elif kind < 0.9:
        kind_of_number = chance.choice(("u1", "<f4", "<f8", "<i8", ">f4", "?", "U4"))
        with np.errstate(all="ignore"), suppress(ValueError):  # texts may be no numbers
            array = array.astype(kind_of_number)
    else:
        array = array.reshape(1, -1)
    arrays[name] = array
    stream = io.BytesIO()
    (np.savez if chance.random() < 0.5 else np.savez_compressed)(stream, **arrays)
    return stream.getvalue()
