"""What a protobuf message is that is no ONNX model, by its first fields.

Rules:
1. Only the first bytes are looked at: a payload that they cut short counts as far as it goes.
2. A format is told by what stands at some places of its message (`_FORMATS`). A place is a path of field numbers:
   (1, 2) is field 2 of the message in field 1. Of fields that are repeated the first counts.
3. What begins with a field that an ONNX model does not have, or has of another wire type (`_OF_ONNX`), is none.
"""

from __future__ import annotations

from collections.abc import Mapping

from nnmeter.formats.wire import FIXED32, FIXED64, LENGTH, VARINT, WireError, varint

_Value = int | float | bytes

NUMBER, REAL, NAME = "number", "real", "name"

_ITS_ONNX = "give the ONNX file that it was made from"
_LONGEST_NAME = 255

# What stands where in the messages of other formats, after their .proto files.
_FORMATS: tuple[tuple[Mapping[tuple[int, ...], str], str], ...] = (
    # onnx.proto, TensorProto: dims, data_type
    ({(2,): NUMBER}, "is a single tensor of ONNX (TensorProto), not a model; give the model itself"),
    # onnx.proto, GraphProto: node.output, node.op_type
    (
        {(1, 2): NAME, (1, 4): NAME, (2,): NAME},
        "is a graph of ONNX without its model; wrap it with onnx.helper.make_model",
    ),
    # saved_model.proto: version, meta_graphs.meta_info_def.stripped_op_list.op.name
    (
        {(1,): NUMBER, (2, 1, 2, 1, 1): NAME},
        "is a SavedModel of TensorFlow; convert its folder with `python -m tf2onnx.convert --saved-model`",
    ),
    # Model.proto of Core ML: specificationVersion, description.input.name
    ({(1,): NUMBER, (2, 1, 1): NAME}, f"is a model of Core ML; {_ITS_ONNX}"),
    # graph.proto of TensorFlow: node.name, node.op
    ({(1, 1): NAME, (1, 2): NAME}, "is a graph of TensorFlow (.pb); convert it with `python -m tf2onnx.convert`"),
    # framework.proto of PaddlePaddle: blocks.idx, blocks.parent_idx
    ({(1, 1): NUMBER, (1, 2): NUMBER}, "is a program of PaddlePaddle (.pdmodel); convert it with paddle2onnx"),
    # sentencepiece_model.proto: pieces.piece, pieces.score
    ({(1, 1): NAME, (1, 2): REAL}, "is a tokenizer of SentencePiece, not a model; give an ONNX file"),
    # caffe.proto: name
    ({(1,): NAME}, "is a message of another format, perhaps a model of Caffe; convert it to ONNX"),
)

# Fields of ModelProto with their wire types.
_OF_ONNX: dict[int, int] = {1: VARINT, 5: VARINT, **dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), LENGTH)}


def what_message(data: bytes) -> str | None:
    """What the message with these first bytes is, and the remedy; None where they may be those of an ONNX model."""
    for places, answer in _FORMATS:
        if all(_is(_at(data, path), kind) for path, kind in places.items()):
            return answer
    if data and _OF_ONNX.get(data[0] >> 3) != data[0] & 7:
        return f"is not an ONNX model: it begins with the bytes {data[:8].hex(' ')}; give an ONNX file"
    return None


def _at(data: bytes, path: tuple[int, ...]) -> _Value | None:
    found: _Value | None = data
    for number in path:
        found = _first(found, number) if isinstance(found, bytes) else None
    return found


def _is(value: _Value | None, kind: str) -> bool:
    if kind == NUMBER:
        return isinstance(value, int)
    if kind == REAL:
        return isinstance(value, float)
    return isinstance(value, bytes) and 0 < len(value) <= _LONGEST_NAME and all(32 <= byte < 127 for byte in value)


def _first(data: bytes, wanted: int) -> _Value | None:
    """The value of the first field of a number, in a message that may be cut (rule 1); any real number is 0."""
    at = 0
    try:
        while at < len(data):
            key, at = varint(data, at)
            number, kind = key >> 3, key & 7
            value: _Value
            if kind == VARINT:
                value, at = varint(data, at)
            elif kind == LENGTH:
                size, at = varint(data, at)
                value = data[at : at + size]
                at += size
            elif kind in (FIXED32, FIXED64):
                value = 0.0
                at += 4 if kind == FIXED32 else 8
            else:
                return None
            if number == wanted:
                return value
    except (WireError, IndexError):
        pass
    return None
