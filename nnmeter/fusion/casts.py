"""Casts around operators for which a runtime has no kernel of an element type.

Fields of an `insert_casts` pass: `from` and `to` (element types), `cast` (the operator), and `supported` (operators
that have kernels of `from`).

1. An operator that reads or writes `from` and is not in `supported` runs in `to`.
2. So does a supported operator between such operators: all writers of what it reads of that type, and all readers of
   what it writes, run in `to`, and the graph neither gives nor returns any of it. Only operators of rule 1 count here.
3. A tensor is cast once for all who need it in the other type; from one operator that runs in `to` to the next there is
   no cast.
4. A constant that only one operator reads is cast before the run; one that several read is cast in every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.fusion.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import TensorType

# Numbers of element types in ONNX (TensorProto.DataType), as the attribute `to` of a cast has them.
_CODES = {"float32": 1, "float16": 10, "float64": 11, "bfloat16": 16}


def insert_casts(graph: WorkingGraph, fields: Mapping[str, Any]) -> bool:
    """Let operators without kernels of one type run in another; whether any had to."""
    if not any(kind.dtype == fields["from"] for kind in graph.types.values()):
        return False
    casting = _Casting(graph, fields)
    casting.run()
    return bool(casting.converted)


class _Casting:
    """One application to one graph."""

    def __init__(self, graph: WorkingGraph, fields: Mapping[str, Any]) -> None:
        self.graph = graph
        self.narrow, self.wide = fields["from"], fields["to"]
        self.cast = fields["cast"]
        self.supported = frozenset(fields["supported"])
        self.widened: dict[str, str] = {}  # tensor -> the same in `to`
        self.converted: list[WorkNode] = []

    def run(self) -> None:
        nodes = list(self.graph.ordered())
        needing = {node for node in nodes if self._lacks_kernel(node)}
        self.converted = [node for node in nodes if node in needing or self._is_between(node, needing)]
        members = set(self.converted)
        for node in self.converted:
            self._widen_outputs(node, members)
        for node in self.converted:
            for index, tensor in enumerate(node.inputs):
                if self._is_narrow(tensor):
                    self.graph.set_input(node, index, self._wide_input(tensor, node.position))

    def _is_narrow(self, tensor: str) -> bool:
        kind = self.graph.types.get(tensor) if tensor else None
        return kind is not None and kind.dtype == self.narrow

    def _lacks_kernel(self, node: WorkNode) -> bool:
        """Rule 1."""
        if node.kind in self.supported or node.kind == self.cast:
            return False
        return any(self._is_narrow(tensor) for tensor in (*node.inputs, *node.outputs))

    def _is_between(self, node: WorkNode, needing: set[WorkNode]) -> bool:
        """Rule 2."""
        graph = self.graph
        if node.kind == self.cast:
            return False
        read = [t for t in node.inputs if self._is_narrow(t) and t not in graph.constants]
        written = [t for t in node.outputs if self._is_narrow(t)]
        if not read or not written or any(t in graph.outputs for t in written):
            return False
        if any(graph.producer.get(t) not in needing for t in read):
            return False
        readers = [reader for t in written for reader in graph.readers.get(t, ())]
        return bool(readers) and all(reader in needing for reader in readers)

    def _widen_outputs(self, node: WorkNode, members: set[WorkNode]) -> None:
        graph = self.graph
        for index, tensor in enumerate(node.outputs):
            if not self._is_narrow(tensor):
                continue
            wide = graph.fresh(tensor)
            graph.types[wide] = TensorType(self.wide, graph.types[tensor].shape)
            graph.set_output(node, index, wide)
            self.widened[tensor] = wide
            readers = graph.readers.get(tensor, ())
            if tensor in graph.outputs or any(reader not in members for reader in readers):
                self._add_cast(wide, tensor, self.narrow, node.position + 1e-6)

    def _wide_input(self, tensor: str, position: float) -> str:
        """Rules 3 and 4: the tensor in `to`."""
        graph = self.graph
        known = self.widened.get(tensor)
        if known is not None:
            return known
        kind = TensorType(self.wide, graph.types[tensor].shape)
        if tensor in graph.constants and graph.uses(tensor) == 1:
            value = graph.values.get(tensor)
            if value is not None:
                return graph.add_constant(tensor, value.astype(self.wide), self.wide)
            return graph.add_weight(tensor, kind)
        wide = self.widened[tensor] = graph.fresh(tensor)
        graph.types[wide] = kind
        writer = graph.producer.get(tensor)
        self._add_cast(tensor, wide, self.wide, position - 1e-6 if writer is None else writer.position + 1e-6)
        return wide

    def _add_cast(self, source: str, result: str, dtype: str, position: float) -> None:
        self.graph.add_node(self.cast, self.graph.fresh("cast"), [source], [result], {"to": _CODES[dtype]}, position)
