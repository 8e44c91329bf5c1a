"""Where the rules for MNN can be seen: files of its repository, and the version checked.

Every rule reproduces the commands that this version runs (`Interpreter.runSessionWithCallBackInfo`) on the small models
of `tests/fusion/mnn_cases.py` and the zoo.
"""

from __future__ import annotations

VERSION = "3.6"


def merge(file: str) -> str:
    """A file of the converter's merging of operators."""
    return f"tools/converter/source/optimizer/merge/{file}; commands of MNN {VERSION}"


def after(file: str) -> str:
    """A file of what the converter does behind it."""
    return f"tools/converter/source/optimizer/postconvert/{file}; commands of MNN {VERSION}"


def onnx(file: str) -> str:
    """A file of the converter's reading of ONNX."""
    return f"tools/converter/source/{file}; commands of MNN {VERSION}"


def geometry(file: str) -> str:
    """A file of what the runtime makes of operators before the run."""
    return f"source/geometry/{file}; commands of MNN {VERSION}"
