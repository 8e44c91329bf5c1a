"""Keras models: written as ONNX by Keras itself (`keras.Model.export`), which takes tf2onnx for TensorFlow's backend.

The file lies in a temporary directory while it is read. Keras is not imported here: whoever has a model has imported
it.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

from nnmeter.errors import ModelError, brief
from nnmeter.formats.onnx_reader import read_file
from nnmeter.graph.unbound import UnboundModel


def is_keras(source: Any) -> bool:
    """Whether an object is a model of Keras 3."""
    return any(
        kind.__name__ == "Model" and kind.__module__.partition(".")[0] == "keras" for kind in type(source).__mro__
    )


def read_keras(source: Any, name: str) -> UnboundModel:
    """Read a model of Keras.

    Args:
        source: the model, built, so that it knows its inputs.
        name: what errors call it.

    Raises:
        ModelError: Keras cannot export it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                source.export(str(path), format="onnx", verbose=False)
        except ModuleNotFoundError as fault:
            raise ModelError(
                f"{name}: Keras needs {fault.name} to export to ONNX, which is not installed; pip install {fault.name}"
            ) from None
        except Exception as fault:  # of Keras, its backend, or the model itself
            said = next((line for line in str(fault).splitlines() if line.strip()), type(fault).__name__)
            raise ModelError(f"{name}: keras.Model.export fails: {type(fault).__name__}: {brief(said, 300)}") from fault
        model = read_file(path)
    model.name, model.source = name, name
    return model
