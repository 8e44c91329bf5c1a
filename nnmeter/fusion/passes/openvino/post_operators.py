"""Operators that run inside of the kernel before them, on its results while they are in registers.

Fields of a `post_operators` pass: `anchors` (operator -> `axis` of its channels; `sums`: whether a residual may be
added, no by default; `scales`: `scalars` if only those of one element may join), `activations` (operators of one
input), `scales` (operators of two inputs), `sum` (the operator that adds a residual), `sum_activations` (what may
follow a sum at once), `pools` (operators past which an activation moves up into the anchor), `apart` (the attribute
that marks an operator which was meant to be fused and could not be), `shared` (the attribute that marks an operator
whose constant others read in another shape), `of_numbers` (activations that join only what writes numbers).

1. From every anchor a chain grows as long as one node alone reads its result, and the graph does not return it; by
   `MOST_FUSED` nodes at a time, many times what real models have.
2. An activation joins the chain; a scale does if its other input is a constant of one element, or one of one element a
   channel that nobody else reads. An anchor whose `scales` are `scalars` takes those of one element only, and a Sub
   behind one of `before_sums`; others are kept apart (rule 5).
3. Behind an anchor that has nothing fused yet, or one of `before_sums` alone that reads or writes integers, a sum with
   a computed tensor of equal shape joins, the first input's anchor before the second's. What else reads the other
   tensor must come before the sum, for the result is written over it; and the anchor must not itself read it.
   Activations of `sum_activations` may follow, then rule 2 holds again.
4. An activation behind a pool behind an anchor joins the anchor.
5. A sum that rule 3 meets and that cannot join, because its other tensor is still needed, and the activations and
   scales behind it get the mark `apart`: a later pass must not make them part of another kernel.
6. The names of what was fused stand in the attribute `fused` of the anchor, in order, joined by `+`. A constant goes
   away with its operator; a computed residual becomes the last input of the anchor, from the fourth on.
7. None of `of_numbers` joins an anchor that writes integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.fusion.engine.neighbours import computed_inputs, leads_to, only_reader
from nnmeter.fusion.engine.passes import (
    Field,
    Fields,
    PassKind,
    Prepared,
    axis,
    flag,
    map_of,
    object_of,
    one_of,
    text,
    texts,
)
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode, split_kind

MOST_FUSED = 256
FIRST_EXTRA_INPUT = 3


class PostOperators:
    """A `post_operators` pass, prepared."""

    def __init__(self, fields: Fields) -> None:
        self.anchors: Mapping[str, Mapping[str, Any]] = fields["anchors"]
        self.activations = frozenset(fields["activations"])
        self.scales = frozenset(fields["scales"])
        self.sum = fields["sum"]
        self.before_sums = frozenset(fields["before_sums"])
        self.pools = frozenset(fields["pools"])
        self.apart = fields["apart"]
        self.shared = fields["shared"]
        self.of_numbers = frozenset(fields["of_numbers"])

    def apply(self, graph: WorkingGraph) -> bool:
        """Fuse what can be fused; whether anything was."""
        before = graph.version
        anchors = [node for node in graph.ordered() if node.kind in self.anchors]
        for anchor in anchors:
            if self.anchors[anchor.kind]["sums"]:
                self._past_pools(graph, anchor)
            self._chain(graph, anchor)
        for node in graph.of_kinds([self.sum]):
            if node.alive:
                self._residual(graph, node)
        return graph.version != before

    def _chain(self, graph: WorkingGraph, anchor: WorkNode) -> None:
        """Rules 1 and 2."""
        for _ in range(MOST_FUSED):
            child = only_reader(graph, anchor.outputs[0])
            if child is None or not self._is_simple(graph, anchor, child):
                return
            if child.kind in self.scales and not self._takes_scale(graph, anchor, child):
                self._keep_apart(graph, anchor, child)
                return
            self._absorb(graph, anchor, child)

    def _is_simple(self, graph: WorkingGraph, anchor: WorkNode, child: WorkNode) -> bool:
        if self.apart in child.attributes or self._stays_behind_integers(graph, anchor, child):
            return False
        if child.kind in self.activations:
            return len(computed_inputs(graph, child)) == 1
        if child.kind not in self.scales or len(child.inputs) != 2 or self.shared in child.attributes:
            return False
        other = child.inputs[1] if child.inputs[0] not in graph.constants else child.inputs[0]
        if other not in graph.constants or (graph.uses(other) != 1 and graph.types[other].elements > 1):
            return False
        axis = self.anchors[anchor.kind]["axis"]
        return is_per_channel(graph.types[child.outputs[0]].shape, graph.types[other].shape, axis)

    def _stays_behind_integers(self, graph: WorkingGraph, anchor: WorkNode, child: WorkNode) -> bool:
        """Rule 7."""
        return child.kind in self.of_numbers and graph.types[anchor.outputs[0]].dtype != "float32"

    def _takes_scale(self, graph: WorkingGraph, anchor: WorkNode, child: WorkNode) -> bool:
        if self.anchors[anchor.kind]["scales"] != "scalars":
            return True
        if child.kind == "Sub" and anchor.attributes.get("fused", "") in self.before_sums:
            return True
        return all(graph.types[t].elements == 1 for t in child.inputs if t in graph.constants)

    def _past_pools(self, graph: WorkingGraph, anchor: WorkNode) -> None:
        """Rule 4."""
        pool = only_reader(graph, anchor.outputs[0])
        if pool is None or pool.kind not in self.pools:
            return
        for _ in range(MOST_FUSED):
            child = only_reader(graph, pool.outputs[0])
            if child is None or child.kind not in self.activations:
                return
            self._add_name(anchor, child)
            anchor.sources += child.sources
            graph.remove_node(child)
            graph.set_output(pool, 0, child.outputs[0])

    def _residual(self, graph: WorkingGraph, node: WorkNode) -> None:
        """Rules 3 and 5."""
        if len(node.inputs) != 2 or any(tensor in graph.constants for tensor in node.inputs):
            return
        writers = [graph.producer.get(tensor) for tensor in node.inputs]
        fit = [writer is not None and self._takes_sum(graph, writer) for writer in writers]
        if not any(fit):
            return
        position = 0 if fit[0] else 1
        anchor, other = writers[position], node.inputs[1 - position]
        assert anchor is not None
        shapes = {graph.types[tensor].shape for tensor in node.inputs}
        if len(shapes) > 1 or other in anchor.inputs or not self._is_free(graph, other, node):
            self._keep_apart(graph, anchor, node)
            return
        self._absorb(graph, anchor, node, other)
        self._chain(graph, anchor)

    def _keep_apart(self, graph: WorkingGraph, anchor: WorkNode, node: WorkNode) -> None:
        """Rule 5."""
        node.attributes = {**node.attributes, self.apart: 1}
        while (child := only_reader(graph, node.outputs[0])) is not None and self._is_simple(graph, anchor, child):
            child.attributes = {**child.attributes, self.apart: 1}
            node = child

    def _takes_sum(self, graph: WorkingGraph, writer: WorkNode) -> bool:
        if writer.kind not in self.anchors or not self.anchors[writer.kind]["sums"]:
            return False
        fused = writer.attributes.get("fused", "")
        of_numbers = graph.types[writer.inputs[0]].dtype == graph.types[writer.outputs[0]].dtype == "float32"
        if fused and (fused not in self.before_sums or of_numbers):
            return False
        return only_reader(graph, writer.outputs[0]) is not None

    def _is_free(self, graph: WorkingGraph, tensor: str, node: WorkNode) -> bool:
        """Whether all other readers of a tensor come before a node, by the flow of data."""
        if tensor in graph.outputs:
            return False
        writer = graph.producer.get(tensor)
        written = [tensor] if writer is None else writer.outputs
        others = [reader for output in written for reader in graph.readers.get(output, ()) if reader is not node]
        return all(leads_to(graph, reader, node) for reader in others)

    def _absorb(self, graph: WorkingGraph, anchor: WorkNode, child: WorkNode, extra: str = "") -> None:
        """Rule 6."""
        self._add_name(anchor, child)
        anchor.sources += child.sources
        graph.remove_node(child)
        graph.set_output(anchor, 0, child.outputs[0])
        if extra:
            anchor.inputs += [""] * (FIRST_EXTRA_INPUT - len(anchor.inputs)) + [""]
            graph.set_input(anchor, len(anchor.inputs) - 1, extra)

    @staticmethod
    def _add_name(anchor: WorkNode, child: WorkNode) -> None:
        fused = anchor.attributes.get("fused", "")
        name = split_kind(child.kind)[1]
        anchor.attributes = {**anchor.attributes, "fused": f"{fused}+{name}" if fused else name}


def is_per_channel(data: tuple[int, ...], constant: tuple[int, ...], axis: int) -> bool:
    """Whether a constant has one element, or one for every channel of data and nothing along other axes."""
    if len(constant) > len(data):
        return False
    axis %= len(data)
    padded = (1,) * (len(data) - len(constant)) + constant
    return all(size == 1 or (at == axis and size == data[axis]) for at, size in enumerate(padded))


def _prepare(fields: Fields) -> Prepared:
    post = PostOperators(fields)
    return Prepared(post.apply, frozenset(post.anchors))


_ANCHOR = object_of({"axis": Field(axis), "sums": Field(flag, False), "scales": Field(one_of("scalars", "any"), "any")})

PASSES = (
    PassKind(
        "post_operators",
        _prepare,
        {
            "anchors": Field(map_of(_ANCHOR)),
            "activations": Field(texts),
            "scales": Field(texts),
            "sum": Field(text),
            "before_sums": Field(texts, ()),
            "pools": Field(texts, ()),
            "apart": Field(text),
            "shared": Field(text),
            "of_numbers": Field(texts, ()),
        },
    ),
)
