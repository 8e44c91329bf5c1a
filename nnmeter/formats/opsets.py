"""The operator sets that a model or a function imports. Field numbers are those of onnx.proto."""

from __future__ import annotations

from nnmeter.formats.wire import LENGTH, VARINT, Buffer, WireError, fields, signed, text
from nnmeter.limits import MAX_DOMAINS


def check_domains(opsets: dict[str, int]) -> None:
    """Refuse a model that imports more operator sets than it may."""
    if len(opsets) > MAX_DOMAINS:
        raise WireError(f"it imports more than {MAX_DOMAINS} operator sets")


def scan_opset(buffer: Buffer, at: int, end: int) -> tuple[str, int]:
    """Read an OperatorSetIdProto: domain ("" for ai.onnx) and version."""
    domain = ""
    version = 0
    for number, kind, start, stop in fields(buffer, at, end):
        if number == 1 and kind == LENGTH:
            domain = text(buffer, start, stop)
        elif number == 2 and kind == VARINT:
            version = signed(start)
    return "" if domain == "ai.onnx" else domain, version
