"""Where the rules for phones and accelerators come from."""

from __future__ import annotations

ONE_FORM = "no runtime's own: one way to write what exporters write differently, so that equal work is named equally"


def converter(file: str) -> str:
    """A file of TensorFlow's converter to TFLite."""
    return f"tensorflow/compiler/mlir/lite/transforms/{file}; not checked against a dump"
