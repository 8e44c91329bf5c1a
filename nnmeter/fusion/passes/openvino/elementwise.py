"""Element-wise operators that a runtime compiles into one loop.

Fields of a `group_elementwise` pass: `operators` (that may be in a loop), `dtypes` (element types that it may read and
write), `most_tensors` (how many tensors one loop may read and write), `apart` (the attribute that keeps an operator out
of loops), `chained` (operators that only run one behind another, with what is kept out of loops), `alone` (operators
that run in a loop or by themselves), `shift` (operator -> the name that it has in a loop without any of its readers).

1. Nodes are visited in the order in which a search from the results backwards leaves them, the last result first, the
   inputs of a node in their order. A node of `operators` whose tensors are all of `dtypes` starts a loop, or joins the
   loops that write what it reads, all of them at once.
2. It does not join a loop where something outside of the loop that depends on it would have to run before the node: the
   latest of what both read must come before the earliest of what else reads the loop.
3. The joint loop must read and write at most `most_tensors` (constants of one element do not count, and the four bounds
   of a quantization by channel count as two), have at most one result that the graph returns, and results that can be
   broadcast to one shape. Otherwise the node starts a loop.
4. What is computed in a loop and read outside of it is a result of it, so a loop may have several.
5. Nodes of `chained`, and those of `operators` that rule 1 keeps out, run in chains: one joins the only reader of its
   result where both read different tensors, and none is one of `alone`. Neither loops nor chains have more than
   `MOST_NODES` nodes: those of real models have some ten, and placing a node looks at all that are there.
6. A loop is a node named after its costliest operator, the others in the attribute `fused`
   (`nnmeter.kernels.naming.elementwise_name`). Of constants it reads those of more than one element, without their
   leading dimensions of 1. Its tensors are sorted by size (`operand_order`). One of `shift` is part of its reader, and
   has a name of its own only in a loop without that.
7. A tensor that a node reads twice, or that it reads besides the loops which it joins, counts twice until another
   node joins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.fusion.engine.neighbours import bare_constant, only_reader
from nnmeter.fusion.engine.passes import (
    Field,
    Fields,
    PassKind,
    Prepared,
    count,
    element_type,
    list_of,
    map_of,
    text,
    texts,
)
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode, split_kind
from nnmeter.kernels.naming import elementwise_name, operand_order

MOST_NODES = 128
_BOUNDS = 4  # of the numbers that a quantization by channel reads and writes


class _Loop:
    """Nodes that run in one loop, what they read from outside, and the place of the last of them."""

    __slots__ = ("inputs", "members", "order")

    def __init__(self, members: list[WorkNode], inputs: list[str], order: int) -> None:
        self.members = members
        self.inputs = inputs
        self.order = order


class ElementwiseGroups:
    """A `group_elementwise` pass, prepared."""

    def __init__(self, fields: Fields) -> None:
        self.operators = frozenset(fields["operators"])
        self.dtypes = frozenset(fields["dtypes"])
        self.most_tensors = fields["most_tensors"]
        self.apart = fields["apart"]
        self.chained = frozenset(fields["chained"])
        self.alone = frozenset(fields["alone"])
        self.shift: Mapping[str, str] = fields["shift"]

    def apply(self, graph: WorkingGraph) -> bool:
        """Put element-wise nodes into loops; whether there were any."""
        before = graph.version
        _Grouping(self, graph).run()
        return graph.version != before


class _Grouping:
    """One application to one graph."""

    def __init__(self, rules: ElementwiseGroups, graph: WorkingGraph) -> None:
        self.rules = rules
        self.graph = graph
        self.nodes = _backward_order(graph)
        self.order = {node: index for index, node in enumerate(self.nodes)}
        self.loop_of: dict[WorkNode, _Loop] = {}

    def run(self) -> None:
        for node in self.nodes:
            if self._fits(node):
                self._place(node)
        for node in self.nodes:
            if node not in self.loop_of and (node.kind in self.rules.chained or node.kind in self.rules.operators):
                self.loop_of[node] = self._joined(node, [])
                if node.kind not in self.rules.alone:
                    self._chain(node)
        for loop in {id(loop): loop for loop in self.loop_of.values()}.values():
            self._replace(loop)

    def _fits(self, node: WorkNode) -> bool:
        """Rule 1."""
        rules, graph = self.rules, self.graph
        if node.kind not in rules.operators or rules.apart in node.attributes:
            return False
        tensors = [tensor for tensor in (*node.inputs, *node.outputs) if tensor]
        return all(graph.types[tensor].dtype in rules.dtypes for tensor in tensors)

    def _place(self, node: WorkNode) -> None:
        """Rules 1 to 3."""
        made = self._joined(node, self._loops_before(node))
        self.graph.spend(len(made.members) + len(node.inputs))
        if len(made.members) > MOST_NODES or (len(made.members) > 1 and not self._is_allowed(made)):
            made = self._joined(node, [])
        for member in made.members:
            self.loop_of[member] = made

    def _joined(self, node: WorkNode, loops: list[_Loop]) -> _Loop:
        """A loop of a node and the loops before it (rule 7 tells what it reads)."""
        members: list[WorkNode] = []
        inputs: list[str] = []
        inside = {id(member) for loop in loops for member in loop.members}
        for tensor in node.inputs:
            writer = self.graph.producer.get(tensor)
            if writer is None or id(writer) not in inside:
                if tensor:
                    inputs.append(tensor)
                continue
            loop = self.loop_of[writer]
            if loop.members[0] in members:
                continue
            members += loop.members
            for read in loop.inputs:
                if read not in inputs and id(self.graph.producer.get(read)) not in inside:
                    inputs.append(read)
        return _Loop([*members, node], inputs, self.order[node])

    def _loops_before(self, node: WorkNode) -> list[_Loop]:
        """The loops that write what a node reads and that it can join (rule 2)."""
        graph, found = self.graph, []
        latest = self._latest_writer(node.inputs)
        earliest = len(self.nodes)
        for tensor in node.inputs:
            writer = graph.producer.get(tensor)
            loop = self.loop_of.get(writer) if writer is not None else None
            if (
                loop is None
                or len(loop.members) >= MOST_NODES
                or loop in found
                or self.rules.apart in loop.members[0].attributes
            ):
                continue
            inside = set(loop.members)
            bound = max(
                latest, self._latest_writer(t for m in loop.members for t in m.inputs if not self._in(t, inside))
            )
            others = [
                self._order_of(reader)
                for member in loop.members
                for output in member.outputs
                for reader in graph.readers.get(output, ())
                if reader not in inside and reader is not node
            ]
            first = min([earliest, *others])
            if bound < first:
                latest, earliest = bound, first
                found.append(loop)
        return found

    def _in(self, tensor: str, members: set[WorkNode]) -> bool:
        return self.graph.producer.get(tensor) in members

    def _latest_writer(self, tensors: Any) -> int:
        writers = (self.graph.producer.get(tensor) for tensor in tensors)
        return max((self._order_of(writer) for writer in writers if writer is not None), default=-1)

    def _order_of(self, node: WorkNode) -> int:
        loop = self.loop_of.get(node)
        return self.order[node] if loop is None else loop.order

    def _is_allowed(self, loop: _Loop) -> bool:
        """Rule 3."""
        graph = self.graph
        outputs = self._results(loop.members)
        read = [t for t in loop.inputs if t not in graph.constants or graph.types[t].elements > 1]
        bounds = _BOUNDS * sum(len(member.inputs) > _BOUNDS for member in loop.members)
        if len(read) - bounds // 2 + len(outputs) > self.rules.most_tensors:
            return False
        if sum(tensor in graph.outputs for tensor in outputs) > 1:
            return False
        return _can_broadcast([graph.types[tensor].shape for tensor in outputs])

    def _results(self, members: list[WorkNode]) -> list[str]:
        """What nodes together write that is read outside, each once and in order."""
        graph, inside = self.graph, set(members)
        outputs: dict[str, None] = {}
        for member in members:
            for tensor in member.outputs:
                readers = graph.readers.get(tensor, ())
                if tensor in graph.outputs or any(reader not in inside for reader in readers):
                    outputs[tensor] = None
        return list(outputs)

    def _chain(self, node: WorkNode) -> None:
        """Rule 5: join the node before, where it has no other reader."""
        for tensor in node.inputs:
            writer = self.graph.producer.get(tensor)
            before = self.loop_of.get(writer) if writer is not None else None
            if (
                before is None
                or len(before.members) >= MOST_NODES
                or only_reader(self.graph, tensor) is not node
                or self._fits(before.members[0])
                or before.members[0].kind in self.rules.alone
            ):
                continue
            read = {t for member in before.members for t in member.inputs}
            if read & {t for t in node.inputs if t not in self.graph.constants}:
                continue
            made = self._joined(node, [before])
            for member in made.members:
                self.loop_of[member] = made
            return

    def _replace(self, loop: _Loop) -> None:
        """Rule 6."""
        graph, members = self.graph, loop.members
        members.sort(key=lambda member: self.order[member])
        outputs = self._results(members)
        anchor, _, fused = elementwise_name(self._names(members)).partition("+")
        last = members[-1]
        outputs = outputs or [tensor for tensor in last.outputs if tensor]  # of a loop that nobody needs
        read = []
        for tensor in loop.inputs:
            kind = graph.types[tensor]
            if tensor not in graph.constants:
                read.append(tensor)
            elif kind.elements > 1:
                read.append(bare_constant(graph, tensor))
        read.sort(key=self._operand_order)
        outputs.sort(key=self._operand_order)
        sources = tuple(source for member in members for source in member.sources)
        for member in members:
            graph.remove_node(member)
        graph.add_node(anchor, last.name, read, outputs, {"fused": fused}, last.position, sources)

    def _names(self, members: list[WorkNode]) -> list[str]:
        """What the nodes of a loop are called (rule 6)."""
        inside, shift, names = set(members), self.rules.shift, []
        for member in members:
            name = shift.get(member.kind)
            if name is None:
                names.append(split_kind(member.kind)[1])
            elif not any(reader in inside for reader in self.graph.readers.get(member.outputs[0], ())):
                names.append(name)
        return names

    def _operand_order(self, tensor: str) -> tuple[Any, ...]:
        return operand_order(self.graph.types[tensor], tensor in self.graph.constants)


def _backward_order(graph: WorkingGraph) -> list[WorkNode]:
    """The nodes in the order of rule 1: what the last result needs, inputs first to last, then what the others need."""
    found: list[WorkNode] = []
    done: set[WorkNode] = set()
    leaves = [node for node in graph.nodes() if not any(graph.readers.get(tensor) for tensor in node.outputs)]
    results = [graph.producer[tensor] for tensor in graph.results if tensor in graph.producer]
    pending = [*leaves, *results]
    while pending:
        graph.spend(1)
        node = pending[-1]
        if node in done:
            pending.pop()
            continue
        writers = [writer for tensor in reversed(node.inputs) if (writer := graph.producer.get(tensor)) is not None]
        waiting = [writer for writer in writers if writer not in done]
        if waiting:
            pending += waiting
        else:
            done.add(node)
            found.append(node)
            pending.pop()
    return found


def _can_broadcast(shapes: list[tuple[int, ...]]) -> bool:
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return all(len(set(sizes) - {1}) < 2 for sizes in zip(*padded, strict=True))


def _prepare(fields: Fields) -> Prepared:
    return Prepared(ElementwiseGroups(fields).apply)


PASSES = (
    PassKind(
        "group_elementwise",
        _prepare,
        {
            "operators": Field(texts),
            "dtypes": Field(list_of(element_type)),
            "most_tensors": Field(count),
            "apart": Field(text),
            "chained": Field(texts),
            "alone": Field(texts, ()),
            "shift": Field(map_of(text), {}),
        },
    ),
)
