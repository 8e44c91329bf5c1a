"""Files that are no ONNX models are named by their first bytes."""

from __future__ import annotations

import gzip
import io
import lzma
import pickle
import zipfile
import zlib
from pathlib import Path

import pytest
from onnx import helper

from nnmeter.errors import ModelError
from nnmeter.formats import read_model


def zipped(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, b"x")
    return stream.getvalue()


FILES = {
    "PyTorch file": zipped("archive/data.pkl"),
    "Keras file": zipped("metadata.json"),
    "zip archive": zipped("readme.txt"),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "(.ort)": b"\x1c\x00\x00\x00ORTM" + bytes(64),
    "git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "gzip": gzip.compress(b"x"),
    "web page": b"\n<!DOCTYPE html><html></html>",
    "Python pickle": pickle.dumps({"state_dict": 1}),
    "safetensors": (64).to_bytes(8, "little") + b'{"w":{}}',
    "GGUF": b"GGUF" + bytes(64),
    "OpenVINO": b'<?xml version="1.0"?><net name="m"></net>',
    "ONNX model as text": b"ir_version: 8\ngraph {\n}\n",
    "lz4": b"\x04\x22\x4d\x18" + bytes(16),
    "RAR": b"Rar!\x1a\x07\x01\x00",
    "array of NumPy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'}",
    "archive of NumPy": zipped("weights.npy"),
    "ncnn": b"7767517\n3 3\nInput data 0 1 data\n",
    "MLIR;": b"module @jit { func.func @main() }\n",
    "byte code of MLIR": b"ML\xefR\x01",
    "ExecuTorch": b"\x18\x00\x00\x00ET12eh00",
    "RKNN": b"RKNN\x00\x00\x00\x00",
    "(ELF)": b"\x7fELF\x02\x01\x01" + bytes(9),
    "zlib": zlib.compress(b"x" * 99),
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(16),
    "JPEG": b"\xff\xd8\xff\xe0" + bytes(16),
    "PDF": b"%PDF-1.7\n%\xe2\xe3",
    "Parquet": b"PAR1\x15\x04",
    "Caffe as text": b'layer {\n  name: "conv1"\n}\n',
    "is text, not": "model: größe\n".encode()[:9],
    "is text": "hello".encode("utf-16"),
    "is a script": b"#!/usr/bin/env python\nimport torch\n",
    "safetensors file": (10).to_bytes(8, "little") + b'{ "w": {} }',
    "lzma;": lzma.compress(b"x", format=lzma.FORMAT_ALONE),
    "(HLO)": b"HloModule jit_f\n\nENTRY main",
    "text of MLIR": b"#loc = loc(unknown)\nmodule @jit_f {",
    "pointer of Xet": b"# xet version 0\nfilesize = 3\n",
    "answer of a web server": b'<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code></Error>',
    "the download failed": b'{"error": "Repository not found"}',
    "ONNX model as JSON": b'{"irVersion": "8", "graph": {"node": []}}',
    "TensorFlow.js": b'{"format": "graph-model", "modelTopology": {}}',
    "Keras as JSON": b'{"class_name": "Functional", "config": {}}',
    "MXNet or TVM": b'{"nodes": [{"op": "null"}], "arg_nodes": [0], "heads": [[0, 0, 0]]}',
    "index of files of weights": b'{"metadata": {}, "weight_map": {}}',
    "configuration of a model of transformers": b'{"architectures": ["BertModel"], "model_type": "bert"}',
    "no graph of nn-Meter": b'{"nodes": {"a": 1}}',
    "Circle": b"\x1c\x00\x00\x00CIR0" + bytes(40),
    "MATLAB": b"MATLAB 5.0 MAT-file, Platform: GLNXA64",
    "tar archive": bytes(257) + b"ustar\x0000" + bytes(248),
}


def field(number: int, value: int | bytes | float) -> bytes:
    """One field of a protobuf message, its size below 128."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    if isinstance(value, float):
        return bytes([number << 3 | 5]) + bytes(4)
    return bytes([number << 3 | 2, len(value)]) + value


MESSAGES = {
    "(TensorProto)": helper.make_tensor("x", 1, [2, 3], [0.0] * 6).SerializeToString(),
    "graph of ONNX": helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "g", [helper.make_tensor_value_info("x", 1, [2])], []
    ).SerializeToString(),
    "SavedModel": field(1, 1) + field(2, field(1, field(2, field(1, field(1, b"Add")))) + bytes(9)),
    "Core ML": field(1, 4) + field(2, field(1, field(1, b"image") + field(3, b"\x2a\x00"))),
    "graph of TensorFlow": field(1, field(1, b"input") + field(2, b"Placeholder") + field(5, bytes(9))),
    "PaddlePaddle": field(1, field(1, 0) + field(2, 0) + field(3, bytes(9))),
    "SentencePiece": field(1, field(1, b"<unk>") + field(2, 0.5)),
    "Caffe;": field(1, b"GoogleNet") + field(2, bytes(9)),
    "begins with the bytes 1f 2f": bytes.fromhex("1f2f3f4f5f6f7f8f9faf"),
}
FILES.update(MESSAGES)


@pytest.mark.parametrize("word", FILES)
def test_a_file_is_named_by_its_first_bytes(tmp_path: Path, word: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(FILES[word])
    for source in (path, FILES[word]):
        with pytest.raises(ModelError) as caught:
            read_model(source)
        assert word in str(caught.value)
        assert ";" in str(caught.value)  # a remedy
        assert "wire type" not in str(caught.value)


def test_what_is_not_known_keeps_its_own_fault(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"a field reaches over the end of its message; give a complete ONNX file"):
        read_model(b"\x08\x08\x12\x40pytorch")


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("saved_model.pb", r"is a SavedModel of TensorFlow; convert it"),
        ("Manifest.json", r"is a package of Core ML"),
        ("my model.onnx", r"is a directory; give the ONNX file in it, '.*/my model\.onnx'$"),
        ("readme.txt", r"is a directory; give the ONNX file in it$"),
    ],
)
def test_a_directory_is_named_by_what_is_in_it(tmp_path: Path, inside: str, said: str) -> None:
    (tmp_path / inside).touch()
    with pytest.raises(ModelError, match=said):
        read_model(tmp_path)
