"""Keras models: written as ONNX by Keras itself, and read like any other file.

Keras is imported by whoever has such a model, and here only then.

Rules:

1. A model of Keras 3 is told by the names of its classes.
2. `keras.Model.export(format="onnx")` writes it into a folder of its own, which is gone afterwards. With TensorFlow as
   Keras's backend that needs tf2onnx. Weights are written, too, for Keras has no way to leave them out.
3. Keras exports a model only after it was called. Where example inputs are given, it is called with their shapes and
   element types, which computes nothing.
4. What cannot be exported is a `ModelError` of one line: the exporter's own reason, without its stack.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

from nnmeter.errors import ModelError, brief
from nnmeter.formats.examples import Examples
from nnmeter.formats.onnx_reader import read_file
from nnmeter.graph.unbound import UnboundModel

_CLASS, _MODULE = "Model", "keras.src.models."
_LOGGERS = ("tensorflow", "tf2onnx", "absl")


def is_keras(source: Any) -> bool:
    """Whether an object is a model of Keras 3 (rule 1)."""
    return any(kind.__name__ == _CLASS and kind.__module__.startswith(_MODULE) for kind in type(source).__mro__)


def read_keras(model: Any, name: str | None, examples: Examples | None) -> UnboundModel:
    """Read a model of Keras (rules 2 and 3).

    Args:
        model: the model.
        name: what to call it; its own name if not given.
        examples: what it is called with.

    Raises:
        ModelError: Keras cannot write it as ONNX.
    """
    called = name or str(getattr(model, "name", "")) or "model"
    with tempfile.TemporaryDirectory(prefix="nnmeter-") as folder:
        path = Path(folder) / "model.onnx"
        try:
            with _quiet():
                if examples is not None:
                    _call(model, examples)
                model.export(path, format="onnx", verbose=False)
        except ModuleNotFoundError as fault:
            raise ModelError(
                f"{called}: Keras's ONNX export needs {fault.name}, not installed; pip install tf2onnx"
            ) from None
        except Exception as fault:  # of the exporter, or of the model itself
            said = f"{type(fault).__name__}: {next(iter(str(fault).strip().splitlines()), '').strip()}"
            remedy = "" if examples is not None else "; if it was never called, give example_inputs"
            raise ModelError(f"{called}: keras.Model.export fails: {brief(said)}{remedy}") from fault
        unbound = read_file(path)
    unbound.source = unbound.name = called
    return unbound


def _call(model: Any, examples: Examples) -> None:
    """Rule 3."""
    import keras

    def symbolic(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(map(symbolic, value))
        if isinstance(value, dict):
            return {key: symbolic(inner) for key, inner in value.items()}
        return keras.KerasTensor(tuple(value.shape), value.dtype) if hasattr(value, "shape") else value

    args = [symbolic(value) for value in examples.args]
    if not args and examples.kwargs:
        args = [symbolic(dict(examples.kwargs))]  # Keras takes inputs by name as a dict
    model(*(args if len(args) < 2 else [args]))


@contextlib.contextmanager
def _quiet() -> Any:
    """Without what exporters say while all goes well."""
    levels = [(logging.getLogger(name), logging.getLogger(name).level) for name in _LOGGERS]
    try:
        for logger, _ in levels:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)
