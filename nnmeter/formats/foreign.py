"""What a file is that is no ONNX model, by its first bytes, and what to do with it."""

from __future__ import annotations

LOOK = 512  # bytes that are looked at; the mark of a tar archive is the last of them

# What a file begins with, and what it is. The order counts where one is the beginning of another.
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself; fetch that with `git lfs pull`"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, as Keras saves models; convert it with tf2onnx or keras.Model.export"),
    (b"\x1f\x8b", "is compressed with gzip; unpack it first (`gunzip`, or `tar xf`)"),
    (b"BZh", "is compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ\x00", "is compressed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive; unpack it first"),
    (b"GGUF", "is a GGUF file of llama.cpp, weights without a graph; export the model to ONNX from where it was made"),
    (b"ftrt", "is an engine of TensorRT, which holds no graph to read; give the ONNX file that it was built from"),
)  # fmt: skip

# The same at a place behind the beginning.
_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ORTM", "is a model in ONNX Runtime's own format (.ort); give the ONNX file that it was made from"),
    (8, b'{"', "is a safetensors file, weights without a graph; export the model to ONNX from where it was made"),
    (257, b"ustar", "is a tar archive; unpack it first"),
)

_TEXTS: tuple[tuple[str, str], ...] = (
    ("<!doctype html", "is a web page, not a model: the download was answered with one; fetch the file itself"),
    ("<html", "is a web page, not a model: the download was answered with one; fetch the file itself"),
    ("<?xml", "is XML, as OpenVINO saves models; give the ONNX file that it was made from"),
    ("ir_version", "is an ONNX model as text; write it in binary with google.protobuf.text_format and onnx.save"),
    ("<", "is text, perhaps XML or an ONNX model as text; give a binary ONNX file"),
)

_PYTORCH = "is a PyTorch file, which holds no graph to read; export the model with torch.onnx.export"
_PICKLE = "is a Python pickle (PyTorch, scikit-learn or joblib), which is never opened; export the model to ONNX"
_ZIPPED: tuple[tuple[bytes, str], ...] = (
    (b"data.pkl", _PYTORCH),
    (b"metadata.json", "is a Keras file (.keras); export the model with keras.Model.export(format='onnx')"),
    (b".npy", "is an archive of NumPy arrays; give an ONNX file"),
)


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
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _PICKLE
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip().decode("latin-1").lower()
    return next((answer for beginning, answer in _TEXTS if text.startswith(beginning)), None)
