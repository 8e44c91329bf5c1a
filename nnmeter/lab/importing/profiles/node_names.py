"""Operators of a model by the names that tools have for them.

A tool calls an operator by its name, by the first tensor that it writes (MNN, OpenVINO; TensorRT with `node_of_` in
front, where the operator has no name), or by either with what a file system or a format does not like replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from nnmeter.graph.ir import Graph

_PREFIXES = ("node_of_", "onnx_node_")
_STRANGE = re.compile(r"[^A-Za-z0-9]")


class NodeNames:
    """The operators of a graph by all names that a tool may have for them."""

    def __init__(self, graph: Graph) -> None:
        self._exact: dict[str, str] = {}
        for node in graph.nodes:
            self._exact.setdefault(node.name, node.name)
        for node in graph.nodes:
            for tensor in node.outputs:
                if tensor:
                    self._exact.setdefault(tensor, node.name)
        plain: dict[str, str | None] = {}
        for name, node_name in self._exact.items():
            key = _STRANGE.sub("_", name)
            plain[key] = node_name if plain.get(key, node_name) == node_name else None
        self._plain = {key: name for key, name in plain.items() if name is not None}

    def find(self, name: str) -> str | None:
        """The operator that a name stands for; None if there is none."""
        name = name.strip()
        candidates = [name, *(name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix))]
        for candidate in candidates:
            if candidate in self._exact:
                return self._exact[candidate]
        return next((self._plain[key] for key in map(_plain, candidates) if key in self._plain), None)

    def all_of(self, names: Iterable[str]) -> frozenset[str]:
        """The operators that names stand for; names that stand for none are passed over."""
        return frozenset(found for name in names if (found := self.find(name)) is not None)


def _plain(name: str) -> str:
    return _STRANGE.sub("_", name)
