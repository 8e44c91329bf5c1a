"""Tensors that a quantizer keeps as integers, and operators that read floating point between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nnmeter.graph.ir import Node
from nnmeter.transforms.draft import Draft


@dataclass(frozen=True)
class Quantized:
    """A tensor as integers.

    Attributes:
        integers, scale, zero_point: names of the tensors.
        channels: how many scales there are.
    """

    integers: str
    scale: str
    zero_point: str
    channels: int = 1

    @property
    def all(self) -> tuple[str, str, str]:
        """The three names, as operators of integers read them."""
        return self.integers, self.scale, self.zero_point


class IntegerNetwork:
    """A network while it is rewritten: which tensors are there in floating point, and which as integers."""

    def __init__(self, draft: Draft, there: Iterable[str]) -> None:
        """Begin with a draft and the tensors that are there in floating point."""
        self.draft = draft
        self.quantized: dict[str, Quantized] = {}
        self.nodes: list[Node] = []
        self.there = set(there)

    def keep(self, node: Node) -> None:
        """An operator that stays as it is reads floating point."""
        for name in node.inputs:
            self.dequantize(name)
        self.nodes.append(node)

    def dequantize(self, name: str) -> None:
        """Give a tensor back in floating point, if it is there as integers only."""
        if name in self.quantized and name not in self.there:
            found = self.quantized[name]
            attributes: dict[str, Any] = {"axis": 0} if found.channels > 1 else {}
            self.nodes.append(self.draft.node("DequantizeLinear", found.all, (name,), **attributes))
            self.there.add(name)
