"""Files that are no ONNX models are named by their first bytes."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import pytest

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
    "tar archive": bytes(257) + b"ustar\x0000" + bytes(248),
}


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
    with pytest.raises(ModelError, match=r"not an ONNX model|truncated|wire type"):
        read_model(b"\x07nothing known")
