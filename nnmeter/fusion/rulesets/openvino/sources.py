"""Where the rules for OpenVINO's CPU plugin can be seen: files of its repository, and the version checked.

Every rule reproduces the graphs of this version (`CompiledModel.get_runtime_model`) on the small models of
`tests/fusion/openvino_cases.py` and the zoo.
"""

from __future__ import annotations

VERSION = "2026.4"


def common(file: str) -> str:
    """A file of the transformations that all plugins share."""
    return f"src/common/transformations/src/transformations/common_optimizations/{file}; graphs of OpenVINO {VERSION}"


def conversion(file: str) -> str:
    """A file of the transformations that express operators in others."""
    return f"src/common/transformations/src/transformations/op_conversions/{file}; graphs of OpenVINO {VERSION}"


def shared(file: str) -> str:
    """Another file of the transformations that all plugins share."""
    return f"src/common/transformations/src/transformations/{file}; graphs of OpenVINO {VERSION}"


def frontend(file: str) -> str:
    """A file of the reader of ONNX models."""
    return f"src/frontends/onnx/frontend/src/op/{file}; graphs of OpenVINO {VERSION}"


def plugin(file: str) -> str:
    """A file of the CPU plugin."""
    return f"src/plugins/intel_cpu/src/{file}; graphs of OpenVINO {VERSION}"
