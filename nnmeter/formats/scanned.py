"""What the scanner makes of ONNX's messages, before functions are inlined and the graph is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nnmeter.formats.tensors import StoredTensor
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import DeclaredType


class Reference(NamedTuple):
    """An attribute whose value is an attribute of the function that its node is in."""

    name: str


@dataclass(slots=True)
class ScannedGraph:
    """A GraphProto."""

    name: str = ""
    nodes: list[Node] = field(default_factory=list)
    inputs: list[DeclaredType] = field(default_factory=list)
    outputs: list[DeclaredType] = field(default_factory=list)
    tensors: list[StoredTensor] = field(default_factory=list)
    value_info: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class ScannedFunction:
    """A FunctionProto."""

    domain: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ScannedModel:
    """A ModelProto."""

    graph: ScannedGraph | None = None
    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    functions: list[ScannedFunction] = field(default_factory=list)
