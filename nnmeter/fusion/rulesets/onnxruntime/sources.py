"""Where the rules for ONNX Runtime can be seen: files of its repository, and the version that they were checked with.

Every rule reproduces the optimized models that this version writes (`optimized_model_filepath`): the kernels of
`benchmarks/fusion_truth.py`, and the small models of `tests/fusion/*_cases.py`.
"""

from __future__ import annotations

VERSION = "1.32"


def optimizer(file: str) -> str:
    """A file of ONNX Runtime's graph optimizer."""
    return f"onnxruntime/core/optimizer/{file}; dumps of {VERSION}"


def function_body(file: str) -> str:
    """A file of ONNX that holds the body of an operator that is a function."""
    return f"onnx/defs/{file}, function body; dumps of ONNX Runtime {VERSION}"
