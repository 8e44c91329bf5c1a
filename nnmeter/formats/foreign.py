"""What a file is that is no ONNX model, by its first bytes, and what to do with it.

Rules:
1. A mark at the beginning of the file tells (`_BEGINNINGS`), or one at its place behind it (`_MARKS`).
2. An archive is told by the first names in it (`_ZIPPED`).
3. Text is told by its first words (`_TEXTS`); any other text is called text.
4. A directory is told by a file in it (`_DIRECTORIES`).
5. A protobuf message of another format is told by its first fields (`nnmeter.formats.foreign_messages`).
6. JSON is told by the names of its members (`_JSON`).
"""

from __future__ import annotations

import codecs
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnmeter.formats.foreign_messages import what_message

LOOK = 512  # bytes that are looked at; the mark of a tar archive is the last of them
_SAFETENSORS_HEADER = 100_000_000  # bytes of JSON that it may have, by its own reader

_TO_ONNX = "export the model to ONNX from where it was made"
_ITS_ONNX = "give the ONNX file that it was made from"
_NO_MODEL = "give an ONNX file"
_PYTORCH = "is a PyTorch file, which holds no graph to read; export the model with torch.onnx.export"
_ANSWER = "is an answer of a web server, not a model: the download failed; fetch the file itself"
_PICKLE = "is a Python pickle (PyTorch, scikit-learn or joblib), which is never opened; export the model to ONNX"

# What a file begins with, and what it is. The order counts where one is the beginning of another.
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself; fetch that with `git lfs pull`"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, as Keras saves models; convert it with tf2onnx or keras.Model.export"),
    (b"\x1f\x8b", "is compressed with gzip; unpack it first (`gunzip`, or `tar xf`)"),
    (b"BZh", "is compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ\x00", "is compressed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it first"),
    (b"\x04\x22\x4d\x18", "is compressed with lz4; unpack it first"),
    (b"\x5d\x00\x00", "is compressed with lzma; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive; unpack it first"),
    (b"Rar!\x1a\x07", "is a RAR archive; unpack it first"),
    (b"PK\x05\x06", "is a zip archive with nothing in it; " + _NO_MODEL),
    (b"GGUF", "is a GGUF file of llama.cpp, weights without a graph; " + _TO_ONNX),
    (b"lmgg", "is a GGML file of llama.cpp, weights without a graph; " + _TO_ONNX),
    (b"tjgg", "is a GGML file of llama.cpp, weights without a graph; " + _TO_ONNX),
    (b"fmgg", "is a GGML file of llama.cpp, weights without a graph; " + _TO_ONNX),
    (b"ftrt", "is an engine of TensorRT, which holds no graph to read; give the ONNX file that it was built from"),
    (b"ptrt", "is an engine of TensorRT, which holds no graph to read; give the ONNX file that it was built from"),
    (b"MATLAB", "is a file of MATLAB; write the network with exportONNXNetwork"),
    (b"RKNN", "is a model of Rockchip's RKNN toolkit; " + _ITS_ONNX),
    (b"\x93NUMPY", "is an array of NumPy (.npy); " + _NO_MODEL),
    (b"7767517", "is a network of ncnn (.param); " + _ITS_ONNX),
    (b"PAR1", "is a Parquet file, a table; " + _NO_MODEL),
    (b"SQLite format 3\x00", "is a database of SQLite; " + _NO_MODEL),
    (b"ML\xefR", "is byte code of MLIR; " + _ITS_ONNX),
    (b"BC\xc0\xde", "is byte code of LLVM; " + _ITS_ONNX),
    (b"\x7fELF", "is a program or library (ELF), perhaps a compiled model; " + _ITS_ONNX),
    (b"MZ", "is a program or library of Windows, perhaps a compiled model; " + _ITS_ONNX),
    (b"\xcf\xfa\xed\xfe", "is a program or library of macOS, perhaps a compiled model; " + _ITS_ONNX),
    (b"\x01HEF", "is a compiled model of Hailo (.hef); " + _ITS_ONNX),
    (b"\x78\x01", "is compressed with zlib, as joblib writes pickles; export the model to ONNX"),
    (b"\x78\x9c", "is compressed with zlib, as joblib writes pickles; export the model to ONNX"),
    (b"\x89PNG", "is an image (PNG); " + _NO_MODEL),
    (b"\xff\xd8\xff", "is an image (JPEG); " + _NO_MODEL),
    (b"GIF8", "is an image (GIF); " + _NO_MODEL),
    (b"RIFF", "is a picture, sound or video (RIFF); " + _NO_MODEL),
    (b"%PDF", "is a document (PDF); " + _NO_MODEL),
)

# The same at a place behind the beginning.
_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ORTM", "is a model in ONNX Runtime's own format (.ort); " + _ITS_ONNX),
    (4, b"ET1", "is a program of ExecuTorch (.pte); export the model with torch.onnx.export"),
    (4, b"CIR0", "is a model of Circle (.circle); " + _ITS_ONNX),
    (257, b"ustar", "is a tar archive; unpack it first"),
)

_TEXTS: tuple[tuple[str, str], ...] = (
    ("<!doctype html", "is a web page, not a model: the download was answered with one; fetch the file itself"),
    ("<html", "is a web page, not a model: the download was answered with one; fetch the file itself"),
    ("# xet version", "is a pointer of Xet, not the file itself; fetch that with `git xet smudge` or `hf download`"),
    ("hlomodule", "is text of XLA (HLO); " + _ITS_ONNX),
    ("#loc", "is text of MLIR; " + _ITS_ONNX),
    ("#map", "is text of MLIR; " + _ITS_ONNX),
    ("<?xml", "is XML, as OpenVINO saves models; " + _ITS_ONNX),
    ("<net ", "is XML, as OpenVINO saves models; " + _ITS_ONNX),
    ("ir_version", "is an ONNX model as text; write it in binary with google.protobuf.text_format and onnx.save"),
    ("producer_name", "is an ONNX model as text; write it in binary with google.protobuf.text_format and onnx.save"),
    ("<", "is text, perhaps XML or an ONNX model as text; give a binary ONNX file"),
    ("module", "is text of MLIR; " + _ITS_ONNX),
    ("layer {", "is a network of Caffe as text (.prototxt); convert it to ONNX"),
    ("name:", "is text, perhaps a network of Caffe (.prototxt); convert it to ONNX"),
    ("#!", "is a script; run it, or give the ONNX file that it makes"),
)
_TEXT = "is text, not a binary ONNX file; give the model itself"

# Members of JSON, all of which are there, and what it is.
_JSON: tuple[tuple[tuple[str, ...], str], ...] = (
    (("irVersion",), "is an ONNX model as JSON; write it in binary with google.protobuf.json_format and onnx.save"),
    (("modelTopology",), f"is a model of TensorFlow.js; {_ITS_ONNX}"),
    (("class_name", "config"), "is a network of Keras as JSON; load it in Keras and export it to ONNX"),
    (("nodes", "arg_nodes"), "is a graph of MXNet or TVM as JSON; convert it to ONNX"),
    (("weight_map",), f"is the index of files of weights, which hold no graph; {_TO_ONNX}"),
    (("model_type",), "is the configuration of a model of transformers; export it with `optimum-cli export onnx`"),
    (("error",), _ANSWER),
    (("message",), _ANSWER),
)

_ZIPPED: tuple[tuple[bytes, str], ...] = (
    (b"data.pkl", _PYTORCH),
    (b"constants.pkl", _PYTORCH),
    (b"archive_format", _PYTORCH),
    (b"serialized_exported_program", _PYTORCH),
    (b"metadata.json", "is a Keras file (.keras); export the model with keras.Model.export(format='onnx')"),
    (b".npy", "is an archive of NumPy arrays; " + _NO_MODEL),
    (b".mlmodel", "is a package of Core ML; " + _ITS_ONNX),
    (b".tflite", "is an archive with a TensorFlow Lite model in it; unpack it, and give that"),
)

_DIRECTORIES: tuple[tuple[str, str], ...] = (
    ("saved_model.pb", "is a SavedModel of TensorFlow; convert it with `python -m tf2onnx.convert --saved-model`"),
    ("Manifest.json", "is a package of Core ML (.mlpackage); " + _ITS_ONNX),
    ("coremldata.bin", "is a compiled model of Core ML (.mlmodelc); " + _ITS_ONNX),
    ("config.json", "is a model of transformers; export it with `optimum-cli export onnx`"),
)


def what_directory(path: str) -> str:
    """What a directory is that was given as a model, and the remedy."""
    found = next((answer for name, answer in _DIRECTORIES if os.path.lexists(Path(path) / name)), None)
    files = sorted(one.name for one in Path(path).glob("*.onnx")) if found is None else []
    if len(files) == 1:
        return f"is a directory; give the ONNX file in it, {shlex.quote(os.path.join(path, files[0]))}"
    return found or "is a directory; give the ONNX file in it"


def what_else(data: bytes) -> str | None:
    """What the file with these first bytes is, and the remedy; None where they do not tell."""
    for beginning, answer in _BEGINNINGS:
        if data.startswith(beginning):
            return answer
    if data.startswith(b"PK\x03\x04"):
        found = next((answer for mark, answer in _ZIPPED if mark in data), None)
        return found or "is a zip archive; unpack it first, and give the ONNX file in it"
    for place, mark, answer in _MARKS:
        if data[place : place + len(mark)] == mark:
            return answer
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") < _SAFETENSORS_HEADER:
        return f"is a safetensors file, weights without a graph; {_TO_ONNX}"
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _PICKLE
    return _of_text(data) if _is_text(data) else what_message(data)


def what_json(content: Any) -> str | None:
    """What JSON is that is no graph of nn-Meter, and the remedy; None where its members do not tell."""
    if not isinstance(content, Mapping):
        return None
    return next((answer for names, answer in _JSON if all(name in content for name in names)), None)


def _is_text(data: bytes) -> bool:
    """Whether it is text of UTF-8, which may be cut within a character, or is marked as UTF-16."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    try:
        shown = codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return bool(shown.strip()) and all(letter >= " " or letter in "\t\n\r\f" for letter in shown)


def _of_text(data: bytes) -> str:
    shown = data.removeprefix(b"\xef\xbb\xbf").lstrip().decode("latin-1").lower()
    if shown.startswith("<?xml") and "<error>" in shown:
        return _ANSWER
    return next((answer for beginning, answer in _TEXTS if shown.startswith(beginning)), _TEXT)
