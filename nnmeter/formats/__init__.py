"""Readers of model files and objects."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nnmeter.errors import ModelError
from nnmeter.formats.onnx_reader import NEWEST_OPSET, OLDEST_OPSET, read_bytes, read_file, read_proto
from nnmeter.graph.unbound import UnboundModel

if TYPE_CHECKING:
    import onnx

__all__ = ["NEWEST_OPSET", "OLDEST_OPSET", "UnboundModel", "read_model"]


def read_model(source: str | os.PathLike[str] | bytes | onnx.ModelProto) -> UnboundModel:
    """Read a model: its operators, the types of its weights and the dimensions that it leaves free.

    Args:
        source: path of an ONNX file, its bytes, or an `onnx.ModelProto`. Weights are passed over in all of them.

    Raises:
        ModelError: it cannot be read as a model.
    """
    if isinstance(source, str | os.PathLike):
        return read_file(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return read_bytes(bytes(source))
    if _is_proto(source):
        return read_proto(source)
    raise ModelError(f"model: a {type(source).__name__} is no model; give a path, bytes or an onnx.ModelProto")


def _is_proto(source: Any) -> bool:
    return hasattr(source, "SerializeToString") and hasattr(source, "graph") and hasattr(source, "opset_import")
