"""Work that costs nothing because a runtime only looks at memory in another way, and copies where it cannot.

Fields of an `in_place` pass: `views` (operators that are always free), `concats`, `splits` and `gathers` (operators
that are free where what they join or cut lies in one piece), `overwriting` (operators that write over their first
input), `copied_after` (operators whose results such operators never write over), `sums` (operators that a residual is
added in), `copy` (the operator that copies), `moved` (attributes of nodes whose data or result do not lie in the order
of their dimensions).

1. A view is free.
2. A split is free if all dimensions before its axis are 1, a gather if, besides, it takes one index that is known.
3. A concatenation is free if all dimensions before its axis are 1 and all its inputs are computed. An input that is a
   piece of a free split or gather, or that something else reads, is copied.
4. Rules 2 and 3 hold only where the dimensions lie in their order.
5. A node of `overwriting` does so if its first input and its result have one type and shape and are no input of the
   graph, and if each node that writes one of its inputs is read once. Where that first input is a view of a tensor
   that others read, that tensor is copied before the view; where it is a piece of a free split or gather, the piece is
   copied; and so is the result of an operator of `copied_after` that has the shape of its own first input, and that of
   an operator of `sums` with a residual, which it is written over itself.
6. What is free is dropped; its results keep their types, so that kernels see the shapes that they work on.
"""

from __future__ import annotations

import math

from nnmeter.fusion.engine.neighbours import computed_inputs, only_reader
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.passes.openvino.post_operators import FIRST_EXTRA_INPUT


def drop_in_place(graph: WorkingGraph, fields: Fields) -> bool:
    """Drop what is free and add the copies that this takes; whether anything was free."""
    return _InPlace(graph, fields).run()


class _InPlace:
    """One application to one graph."""

    def __init__(self, graph: WorkingGraph, fields: Fields) -> None:
        self.graph = graph
        self.views = frozenset(fields["views"])
        self.splits = frozenset(fields["splits"])
        self.gathers = frozenset(fields["gathers"])
        self.concats = frozenset(fields["concats"])
        self.overwriting = frozenset(fields["overwriting"])
        self.copied_after = frozenset(fields["copied_after"])
        self.sums = frozenset(fields["sums"])
        self.copy = fields["copy"]
        self.moved = frozenset(fields["moved"])
        self.free: set[WorkNode] = set()

    def run(self) -> bool:
        nodes = list(self.graph.ordered())
        self.free = {node for node in nodes if self._is_free(node)}
        for node in nodes:
            if node.kind in self.overwriting and self._overwrites(node):
                self._copy_what_is_shared(node)
            elif node in self.free and node.kind in self.concats:
                for tensor in node.inputs:
                    if only_reader(self.graph, tensor) is None or self._is_piece(tensor):
                        self._add_copy(tensor, node.position)
        for node in self.free:
            self.graph.remove_node(node)
        return bool(self.free)

    def _is_free(self, node: WorkNode) -> bool:
        """Rules 1 to 4."""
        graph = self.graph
        if node.kind in self.views:
            return True
        if self.moved & node.attributes.keys():
            return False
        if node.kind in self.splits:
            return self._is_outermost(node, node.inputs[0])
        if node.kind in self.gathers:
            index = node.inputs[1]
            one = index in graph.constants and graph.types[index].elements == 1
            return one and node.inputs[0] not in graph.constants and self._is_outermost(node, node.inputs[0])
        if node.kind in self.concats:
            computed = all(tensor in graph.producer for tensor in node.inputs)
            return computed and self._is_outermost(node, node.outputs[0])
        return False

    def _is_outermost(self, node: WorkNode, tensor: str) -> bool:
        shape = self.graph.types[tensor].shape
        return bool(shape) and math.prod(shape[: node.attributes.get("axis", 0) % len(shape)]) == 1

    def _is_piece(self, tensor: str) -> bool:
        writer = self.graph.producer.get(tensor)
        return writer is not None and writer in self.free and self._cuts(writer)

    def _cuts(self, node: WorkNode) -> bool:
        return node.kind in self.splits or node.kind in self.gathers

    def _overwrites(self, node: WorkNode) -> bool:
        """Rule 5, its first sentence."""
        graph, first = self.graph, node.inputs[0]
        if first not in graph.producer or graph.types[first] != graph.types[node.outputs[0]]:
            return False
        for tensor in computed_inputs(graph, node):
            writer = graph.producer.get(tensor)
            if writer is None or sum(graph.uses(output) for output in writer.outputs if output) != 1:
                return False
        return True

    def _copy_what_is_shared(self, node: WorkNode) -> None:
        """Rule 5, behind its first sentence."""
        graph, tensor = self.graph, node.inputs[0]
        before = graph.producer.get(tensor)
        if before is not None and before.kind in self.copied_after:
            if graph.types[before.inputs[0]].shape == graph.types[tensor].shape:
                self._add_copy(tensor, node.position)
            return
        if before is not None and before.kind in self.sums and len(before.inputs) > FIRST_EXTRA_INPUT:
            self._add_copy(tensor, node.position)
            return
        while (writer := graph.producer.get(tensor)) is not None and writer in self.free:
            if self._cuts(writer):
                self._add_copy(node.inputs[0], node.position)
            if writer.kind not in self.views:
                return
            tensor = writer.inputs[0]
            if graph.uses(tensor) > 1:
                self._add_copy(tensor, node.position)
                return

    def _add_copy(self, tensor: str, position: float) -> None:
        graph = self.graph
        result = graph.fresh("copy")
        graph.types[result] = graph.types[tensor]
        graph.add_node(self.copy, result, [tensor], [result], {}, position - 1e-6)


PASSES = (
    PassKind(
        "in_place",
        procedure(drop_in_place),
        {
            "views": Field(texts),
            "concats": Field(texts),
            "splits": Field(texts),
            "gathers": Field(texts),
            "overwriting": Field(texts),
            "copied_after": Field(texts),
            "sums": Field(texts, ()),
            "copy": Field(text),
            "moved": Field(texts),
        },
    ),
)
