"""Writing a network in the format of `description`: nodes are collected with places counted from the front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Place = Any  # a number of a node, or [number, output]
Reference = Any  # a place, or the text of a constant


class Nodes:
    """The nodes of a network that is being written.

    Attributes:
        inputs: the inputs as text (rule 4 of `description`).
        rows: operator, references, attributes and number of outputs of each node; [] for an input, in front.
    """

    def __init__(self) -> None:
        self.inputs: list[str] = []
        self.rows: list[list[Any]] = []

    def add_input(self, text: str) -> Place:
        """Add an input, before any node, and return its place."""
        self.inputs.append(text)
        self.rows.append([])
        return len(self.rows) - 1

    def add(self, operator: str, references: Iterable[Reference], count: int = 1, **attributes: Any) -> Place:
        """Add a node and return its place; an attribute that is None is left out."""
        plain = {name: value for name, value in attributes.items() if value is not None}
        self.rows.append([operator, list(references), plain, count])
        return len(self.rows) - 1

    def line(self, name: str, results: Sequence[Place]) -> dict[str, Any]:
        """The description of the network that returns what is at these places; what they do not need is left out."""
        front = len(self.inputs)
        last = list(dict.fromkeys(map(_number, results)))
        needed = set(last)
        for number in range(len(self.rows) - 1, front - 1, -1):
            if number in needed:
                needed.update(_number(r) for r in self.rows[number][1] if not isinstance(r, str))
        new = {number: number for number in range(front)}
        nodes: list[list[Any]] = []
        for number in range(front, len(self.rows)):
            if number in needed:
                here = new[number] = front + len(nodes)
                operator, references, attributes, count = self.rows[number]
                told = [_distance(reference, here, new) for reference in references]
                nodes.append([operator, told, attributes, *([count] if count > 1 else [])])
        line: dict[str, Any] = {"network": name, "inputs": self.inputs, "nodes": nodes}
        outputs = [new[place] for place in last]
        if outputs != [front + len(nodes) - 1]:
            line["outputs"] = outputs
        return line


def _number(place: Place) -> int:
    number: int = place[0] if isinstance(place, list) else place
    return number


def _distance(reference: Reference, here: int, new: Mapping[int, int]) -> Any:
    if isinstance(reference, str):
        return reference
    return [here - new[reference[0]], reference[1]] if isinstance(reference, list) else here - new[reference]
