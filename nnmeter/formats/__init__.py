"""Readers of model files and objects.

A file is told by its content, not by its name: one that begins with a brace is a JSON graph of nn-Meter (no ONNX file
can), one with TensorFlow Lite's mark is of that, any other is ONNX. A file that is none of these is named by what it
begins with, where that tells.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from nnmeter.errors import ModelError
from nnmeter.files import open_regular
from nnmeter.formats.foreign import LOOK, what_else
from nnmeter.formats.onnx_reader import NEWEST_OPSET, OLDEST_OPSET, read_bytes, read_file, read_proto
from nnmeter.graph.unbound import UnboundModel
from nnmeter.limits import MAX_JSON_BYTES

if TYPE_CHECKING:
    import onnx

    from nnmeter.formats.examples import Examples

__all__ = ["NEWEST_OPSET", "OLDEST_OPSET", "UnboundModel", "read_model"]

_SPACE = b" \t\r\n\xef\xbb\xbf"  # what may come before the brace: white space, the mark of UTF-8
_TFLITE = b"TFL3"  # from the fourth byte of a file of TensorFlow Lite on
_MEMORY = "model"  # what errors call a model without a path and a name


def read_model(
    source: str | os.PathLike[str] | bytes | BinaryIO | onnx.ModelProto | UnboundModel | Any,
    name: str | None = None,
    examples: Examples | None = None,
) -> UnboundModel:
    """Read a model: its operators, the types of its weights and the dimensions that it leaves free.

    Args:
        source: path of an ONNX file, of a TensorFlow Lite file or of a JSON graph of nn-Meter, the bytes of one, a
            binary file object, or an `onnx.ModelProto`. Weights are passed over in all of them, but a file object is
            read whole. A module of
            torch, a `torch.export.ExportedProgram`, a `torch.onnx.ONNXProgram` and an `onnx_ir.Model` are read as well
            (`nnmeter.formats.torch_models`), and so is a model of Keras 3 (`nnmeter.formats.keras_models`).
        name: what to call the model, in place of the stem of its path or of the name of its graph; errors call a model
            without a path so, too.
        examples: what a module of torch is called with; nothing that is read from a file needs it.

    Raises:
        ModelError: it cannot be read as a model.
    """
    if isinstance(source, UnboundModel):
        return source if name is None else replace(source, name=name)
    model = _read(source, name, examples)
    if name is not None:
        model.name = name
    return model


def _read(source: Any, name: str | None, examples: Examples | None) -> UnboundModel:
    if isinstance(source, str | os.PathLike):
        first = _first_bytes(source)
        if _begins_json(first):
            return _read_json(source)
        if first[4:8] == _TFLITE:
            from nnmeter.formats.tflite_reader import read_tflite_file

            return read_tflite_file(source)
        try:
            return read_file(source)
        except ModelError as fault:
            _raise_named(os.fspath(source), _first_bytes(source), fault)
    called = name or _MEMORY
    if isinstance(source, bytes | bytearray | memoryview):
        return _read_bytes(bytes(source), called)
    if _is_proto(source):
        return read_proto(source, called)
    if hasattr(source, "read"):
        data = source.read()
        if not isinstance(data, bytes):
            raise ModelError(f"{called}: a file object that gives {type(data).__name__}; open it in binary mode, 'rb'")
        return _read_bytes(data, called)
    from nnmeter.formats.keras_models import is_keras, read_keras
    from nnmeter.formats.torch_models import kind_of, name_of, torch_proto

    if is_keras(source):
        return read_keras(source, name, examples)

    kind = kind_of(source)
    if kind is not None:
        called = name or name_of(source, kind)
        model = read_proto(torch_proto(source, kind, examples, called), called)
        model.name = called
        return model
    raise ModelError(
        f"{called}: a {type(source).__name__} is no model; give a path, bytes, a binary file object, an "
        "onnx.ModelProto, or a model of torch or Keras"
    )


def _read_bytes(data: bytes, called: str) -> UnboundModel:
    if _begins_json(data[:LOOK]):
        from nnmeter.formats.nnmeter_ir import read_nnmeter_ir

        return read_nnmeter_ir(data, called, called)
    if data[4:8] == _TFLITE:
        from nnmeter.formats.tflite_reader import read_tflite

        return read_tflite(data, called)
    try:
        return read_bytes(data, called)
    except ModelError as fault:
        _raise_named(called, data[:LOOK], fault)


def _raise_named(source: str, first: bytes, fault: ModelError) -> NoReturn:
    """Raise the fault of a file that is no ONNX model: by its first bytes, where they tell what it is."""
    found = what_else(first)
    if found is None:
        raise fault  # and not from itself: an error in a circle cannot be sent to another process
    raise ModelError(f"{source}: {found}") from fault


def _is_proto(source: Any) -> bool:
    return hasattr(source, "SerializeToString") and hasattr(source, "graph") and hasattr(source, "opset_import")


def _first_bytes(path: str | os.PathLike[str]) -> bytes:
    try:
        with open_regular(path) as stream:
            return stream.read(LOOK)
    except (OSError, ValueError):
        return b""  # the reader of ONNX says what is wrong


def _begins_json(data: bytes) -> bool:
    return data.lstrip(_SPACE)[:1] == b"{"


def _read_json(path: str | os.PathLike[str]) -> UnboundModel:
    from nnmeter.formats.nnmeter_ir import read_nnmeter_ir

    with open_regular(path) as stream:
        data = stream.read(MAX_JSON_BYTES + 1)
    return read_nnmeter_ir(data, os.fspath(path), Path(path).stem)
