"""Two products with a softmax between them that a runtime compiles into one kernel.

Fields of a `group_attention` pass: `product`, `softmax`, `transpose` and `reshape` (operators), `between` (element-wise
operators that may stand before and behind the softmax), `becomes` (the operator that they make together), `ranks` (of
the products), `transpose_ranks` (of the transposes that join), `most_tensors` (how many tensors the kernel may read and
write), `apart` (the attribute that keeps an operator out), `integers` (the parameter without which products of integers
stay apart).

1. From a product of two computed tensors that one node reads, the way leads through operators of `between`, perhaps a
   reshape that keeps the last dimension, a softmax along the last dimension, the reverse of that reshape, and operators
   of `between` to the first input of a second product. Each of them has one reader. The first factors of both products,
   and the second factor of the second one, do not lie transposed.
2. An operator of `between` with another computed input brings along what computes it, as long as that is element-wise
   itself with constants of one element only and read nowhere else.
3. A transpose of the first factor of the first product, and one of the result, that swaps the two dimensions before the
   last joins; so does one of the other factors that puts its rows where the product wants them.
4. Operators of `between` behind the second product join where there are such; a transpose then does not.
5. The kernel reads the factors of the first product, the last factor, and what the operators between read, except
   constants of one element. The attribute `fused` lists, by name, what is neither a product, the softmax nor a reshape.
6. Where the rule set's parameter `integers` is off, neither product reads integers.
"""

from __future__ import annotations

from nnmeter.fusion.engine.neighbours import bare_constant, computed_inputs, only_reader
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, Prepared, count, list_of, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode, split_kind
from nnmeter.fusion.passes.openvino.quantized_tensors import BYTES
from nnmeter.kernels.naming import operand_order


class AttentionGroups:
    """A `group_attention` pass, prepared."""

    def __init__(self, fields: Fields) -> None:
        self.product = fields["product"]
        self.softmax = fields["softmax"]
        self.transpose = fields["transpose"]
        self.reshape = fields["reshape"]
        self.between = frozenset(fields["between"])
        self.becomes = fields["becomes"]
        self.ranks = frozenset(fields["ranks"])
        self.transpose_ranks = frozenset(fields["transpose_ranks"])
        self.most_tensors = fields["most_tensors"]
        self.apart = fields["apart"]
        self.integers = fields["integers"]

    def apply(self, graph: WorkingGraph) -> bool:
        """Make kernels of products around a softmax; whether there were any."""
        before = graph.version
        for node in list(graph.ordered()):
            if node.kind == self.product and node.alive:
                found = _Attention(self, graph, node)
                if found.grow():
                    found.replace()
        return graph.version != before


class _Attention:
    """One product and what follows it."""

    def __init__(self, rules: AttentionGroups, graph: WorkingGraph, first: WorkNode) -> None:
        self.rules = rules
        self.graph = graph
        self.first = first
        self.second = first
        self.members: list[WorkNode] = [first]
        self.extras: list[str] = []

    def grow(self) -> bool:
        """Rules 1 to 4; whether the pattern is there."""
        rules, graph, first = self.rules, self.graph, self.first
        rank = len(graph.types[first.outputs[0]].shape)
        if rank not in rules.ranks or len(computed_inputs(graph, first)) != 2 or first.attributes.get("transA"):
            return False
        tensor = self._walk(first.outputs[0])
        tensor, before = self._past_reshape(tensor)
        node = only_reader(graph, tensor)
        if node is None or node.kind != rules.softmax:
            return False
        width = len(graph.types[tensor].shape)
        if node.attributes.get("axis", -1) % width != width - 1:
            return False
        self.members.append(node)
        tensor, behind = self._past_reshape(node.outputs[0])
        if before != behind:
            return False
        tensor = self._walk(tensor)
        second = only_reader(graph, tensor)
        if second is None or second.kind != rules.product or second.inputs[0] != tensor:
            return False
        if second.attributes.get("transA") or second.attributes.get("transB") or second.inputs[1] in graph.constants:
            return False
        if not graph.parameters.get(rules.integers, True) and (self._reads_bytes(first) or self._reads_bytes(second)):
            return False
        self.second = second
        self.members.append(second)
        self._join_transposes(rank)
        return len(self.extras) + 4 <= rules.most_tensors

    def _reads_bytes(self, node: WorkNode) -> bool:
        """Whether a product is one of integers."""
        return any(self.graph.types[tensor].dtype in BYTES for tensor in node.inputs if tensor)

    def _walk(self, tensor: str) -> str:
        """Take element-wise operators along the way; the last tensor."""
        while (node := only_reader(self.graph, tensor)) is not None and self._is_between(node):
            for other in node.inputs:
                if other and other != tensor:
                    self._take_branch(other)
            self.members.append(node)
            tensor = node.outputs[0]
        return tensor

    def _is_between(self, node: WorkNode) -> bool:
        return node.kind in self.rules.between and self.rules.apart not in node.attributes

    def _take_branch(self, tensor: str) -> None:
        """Rule 2."""
        graph = self.graph
        while (writer := graph.producer.get(tensor)) is not None and self._is_between(writer):
            computed = computed_inputs(graph, writer)
            constants = [t for t in writer.inputs if t and t in graph.constants]
            if len(computed) != 1 or only_reader(graph, tensor) is None:
                break
            if any(graph.types[t].elements > 1 for t in constants):
                break
            self.members.append(writer)
            tensor = computed[0]
        if tensor not in graph.constants or graph.types[tensor].elements > 1:
            self.extras.append(tensor)

    def _past_reshape(self, tensor: str) -> tuple[str, tuple[tuple[int, ...], tuple[int, ...]] | None]:
        """The tensor behind a reshape that keeps the last dimension, with both shapes in order of their ranks."""
        graph = self.graph
        node = only_reader(graph, tensor)
        if node is None or node.kind != self.rules.reshape:
            return tensor, None
        shapes = graph.types[tensor].shape, graph.types[node.outputs[0]].shape
        if not shapes[0] or not shapes[1] or shapes[0][-1] != shapes[1][-1]:
            return tensor, None
        self.members.append(node)
        return node.outputs[0], (min(shapes), max(shapes))

    def _join_transposes(self, rank: int) -> None:
        """Rules 3 and 4."""
        graph, rules = self.graph, self.rules
        swap = (*range(rank - 3), rank - 2, rank - 3, rank - 1)
        turned = (*swap[:-2], swap[-1], swap[-2])
        orders = (
            (self.first.inputs[0], swap),
            (self.first.inputs[1], turned if self.first.attributes.get("transB") else swap),
            (self.second.inputs[1], swap),
        )
        if rank in rules.transpose_ranks:
            for tensor, order in orders:
                writer = graph.producer.get(tensor)
                if writer is not None and self._is_transpose(writer, order) and only_reader(graph, tensor) is not None:
                    self.members.append(writer)
        output = self._walk(self.second.outputs[0])
        if output != self.second.outputs[0]:
            return
        reader = only_reader(graph, output)
        if reader is not None and rank in rules.transpose_ranks and self._is_transpose(reader, swap):
            self.members.append(reader)

    def _is_transpose(self, node: WorkNode, order: tuple[int, ...]) -> bool:
        return node.kind == self.rules.transpose and tuple(node.attributes.get("perm", ())) == order

    def replace(self) -> None:
        """Rule 5."""
        graph, members = self.graph, self.members
        inside = set(members)
        factors = []
        for tensor in (self.first.inputs[0], self.first.inputs[1], self.second.inputs[1]):
            writer = graph.producer.get(tensor)
            factors.append(writer.inputs[0] if writer in inside else tensor)
        done = {tensor for member in members for tensor in member.outputs}
        last = next(m for m in members if all(r not in inside for t in m.outputs for r in graph.readers.get(t, ())))
        extras = [tensor for tensor in self.extras if tensor not in done]
        extras = [bare_constant(graph, tensor) if tensor in graph.constants else tensor for tensor in extras]
        extras.sort(key=lambda tensor: operand_order(graph.types[tensor], tensor in graph.constants))
        members.sort(key=lambda member: member.position)
        unnamed = (self.rules.product, self.rules.softmax, self.rules.reshape)
        kept = [split_kind(member.kind)[1] for member in members if member.kind not in unnamed]
        sources = tuple(source for member in members for source in member.sources)
        for member in members:
            graph.remove_node(member)
        attributes = {"fused": "+".join(sorted(kept))}
        graph.add_node(
            self.rules.becomes, last.name, [*factors, *extras], [last.outputs[0]], attributes, last.position, sources
        )


def _prepare(fields: Fields) -> Prepared:
    return Prepared(AttentionGroups(fields).apply, frozenset([fields["softmax"]]))


PASSES = (
    PassKind(
        "group_attention",
        _prepare,
        {
            "product": Field(text),
            "softmax": Field(text),
            "transpose": Field(text),
            "reshape": Field(text),
            "becomes": Field(text),
            "between": Field(texts),
            "ranks": Field(list_of(count)),
            "transpose_ranks": Field(list_of(count)),
            "most_tensors": Field(count),
            "apart": Field(text),
            "integers": Field(text, ""),
        },
    ),
)
