"""Operators that run inside of the kernel before them: activations, and sums with what another kernel computed.

Fields of a `link` pass: `links`, a list of objects with

- `into` (operators that lead a kernel) and `operators` (what may join them),
- `if` (a parameter of the rule set without which the link does not hold), `most` (how many operators may have joined
  the kernel before; none where not given),
- `sums` (whether operators of two computed inputs join, rule 3), `late` (whether such a sum joins, of two kernels, the
  one with more operators before it, not with fewer), `peers` (operators one of which must lead the kernel of the other
  input; any where not given),
- `alike` (whether what else it reads must have the shape of the kernel's result; constants may also have one element,
  or as many as one of its dimensions), `first` (whether the kernel must be the first of its computed inputs),
- `silent` (whether the kernel keeps its name: what joins costs nothing).

1. Kernels are visited in an order of execution. The only reader of a kernel's result joins the kernel where a link
   allows it and its result has the shape of the kernel's; then the reader of that, and so on.
2. An operator of one computed input joins; its constants go away with it.
3. With `sums`, one of two computed inputs joins, too. The other becomes an input of the kernel, from the fourth on,
   and is computed before it. Where both inputs are computed by kernels that it could join, it joins the one with fewer
   operators before it: the shortcut of a residual block. (Runtimes go by the order of operators in the file, which
   exporters choose; TFLite's converter puts the shortcut last.)
4. The names of what joined stand in the attribute `fused` of the leader, in order, with `+` between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnmeter.fusion.engine.neighbours import computed_inputs, only_reader
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, Prepared, count, flag, list_of, object_of, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode, split_kind

_FIRST_EXTRA_INPUT = 3
_JOINED = "fused"


@dataclass(frozen=True)
class _Link:
    operators: frozenset[str]
    parameter: str
    most: int
    sums: bool
    silent: bool
    first: bool
    alike: bool
    late: bool
    peers: frozenset[str]


class Linker:
    """A `link` pass, prepared."""

    def __init__(self, fields: Fields) -> None:
        self.links: dict[str, list[_Link]] = {}
        for item in fields["links"]:
            link = _Link(
                frozenset(item["operators"]),
                item["if"],
                item["most"],
                item["sums"],
                item["silent"],
                item["first"],
                item["alike"],
                item["late"],
                frozenset(item["peers"]),
            )
            for kind in item["into"]:
                self.links.setdefault(kind, []).append(link)

    def apply(self, graph: WorkingGraph) -> bool:
        """Join what may be joined; whether anything was."""
        before = graph.version
        depth: dict[str, int] = {}  # operators on the longest way to a tensor
        leaders = []
        for node in graph.ordered():
            place = 1 + max([depth.get(tensor, 0) for tensor in node.inputs], default=0)
            for tensor in node.outputs:
                depth[tensor] = place
            if node.kind in self.links:
                leaders.append(node)
        for leader in leaders:
            count = 0
            while leader.alive and self._join_next(graph, leader, count, depth):
                count += 1
        return graph.version != before

    def _join_next(self, graph: WorkingGraph, leader: WorkNode, count: int, depth: Mapping[str, int]) -> bool:
        if len(leader.outputs) != 1:
            return False
        result = leader.outputs[0]
        reader = only_reader(graph, result)
        if reader is None or len(reader.outputs) != 1:
            return False
        if graph.types[result].shape != graph.types[reader.outputs[0]].shape:
            return False
        link = self._link(graph, leader, reader, count)
        if link is None:
            return False
        others = [tensor for tensor in computed_inputs(graph, reader) if tensor != result]
        if others and not (link.sums and len(others) == 1 and self._leads(graph, result, others[0], reader, depth)):
            return False
        self._join(graph, leader, reader, others, link)
        return True

    def _link(self, graph: WorkingGraph, leader: WorkNode, reader: WorkNode, count: int) -> _Link | None:
        for link in self.links.get(leader.kind, ()):
            allowed = not link.parameter or graph.parameters.get(link.parameter)
            if (
                reader.kind in link.operators
                and count <= link.most
                and allowed
                and self._fits(graph, leader, reader, link)
            ):
                return link
        return None

    def _fits(self, graph: WorkingGraph, leader: WorkNode, reader: WorkNode, link: _Link) -> bool:
        """What `first`, `alike` and `peers` ask for."""
        computed = computed_inputs(graph, reader)
        if link.first and computed[0] not in leader.outputs:
            return False
        others = [tensor for tensor in computed if tensor not in leader.outputs]
        if link.alike and not self._alike(graph, leader.outputs[0], reader, others):
            return False
        writers = [graph.producer.get(tensor) for tensor in others]
        return not link.peers or all(writer is not None and writer.kind in link.peers for writer in writers)

    def _alike(self, graph: WorkingGraph, result: str, reader: WorkNode, computed: Sequence[str]) -> bool:
        shape = graph.types[result].shape
        fixed = [tensor for tensor in reader.inputs if tensor and tensor not in computed and tensor != result]
        return all(graph.types[tensor].shape == shape for tensor in computed) and all(
            graph.types[tensor].shape == shape or graph.types[tensor].elements in (1, *shape) for tensor in fixed
        )

    def _leads(self, graph: WorkingGraph, result: str, other: str, reader: WorkNode, depth: Mapping[str, int]) -> bool:
        """Whether a sum joins the kernel of one input, not that of the other (rule 3)."""
        writer = graph.producer.get(other)
        if writer is None or only_reader(graph, other) is not reader:
            return True
        link = self._link(graph, writer, reader, 0)
        if link is None or not link.sums or graph.types[other].shape != graph.types[reader.outputs[0]].shape:
            return True
        return ((depth[result], result) < (depth[other], other)) is not link.late

    def _join(
        self, graph: WorkingGraph, leader: WorkNode, reader: WorkNode, others: Sequence[str], link: _Link
    ) -> None:
        """Rule 4, and the inputs of rule 3."""
        if not link.silent:
            name, joined = split_kind(reader.kind)[1], leader.attributes.get(_JOINED, "")
            leader.attributes = {**leader.attributes, _JOINED: f"{joined}+{name}" if joined else name}
        leader.sources += reader.sources
        graph.remove_node(reader)
        graph.set_output(leader, 0, reader.outputs[0])
        for other in others:
            leader.inputs += [""] * max(_FIRST_EXTRA_INPUT - len(leader.inputs), 0) + [""]
            graph.set_input(leader, len(leader.inputs) - 1, other)


def _prepare(fields: Fields) -> Prepared:
    linker = Linker(fields)
    return Prepared(linker.apply, frozenset(linker.links))


_LINK = object_of(
    {
        "into": Field(texts),
        "operators": Field(texts),
        "if": Field(text, ""),
        "most": Field(count, 0),
        "sums": Field(flag, False),
        "silent": Field(flag, False),
        "first": Field(flag, False),
        "alike": Field(flag, False),
        "late": Field(flag, False),
        "peers": Field(texts, ()),
    }
)

PASSES = (PassKind("link", _prepare, {"links": Field(list_of(_LINK))}),)
