"""A match: what the names of a pattern are bound to in a graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode


@dataclass(slots=True)
class Match:
    """Nodes and tensors of a graph by the names that a pattern gives them; "" stands for an absent optional input."""

    graph: WorkingGraph
    nodes: dict[str, WorkNode] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)
