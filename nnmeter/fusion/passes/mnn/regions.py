"""What MNN moves: regions of memory that become data when an operator reads them, and blocks of channels.

Fields of a `regions` pass: `blocked` (operators that read and write blocks of channels), `products` (operators that run
as pointwise convolutions, with a view of their data before them and one of their result behind them), `following`
(operators that take the layout of their first input), `joining` (operators whose inputs and results have one layout),
`moving` (operators that describe regions, in `nnmeter.kernels.moving`), `gathers` (those of them that do so where their
index is known only), `grouped` (convolutions), `passing` (operators of single elements), `decomposed`
(operators that the converter takes apart).

1. Inputs of the model lie in the order of their dimensions. An operator of `joining` works in blocks where most of its
   inputs lie so; constants, which do not, count but for single numbers. One that is in no list works in the order of
   dimensions.
2. What an operator of `moving` gives is a region. So is what an operator of `products` gives.
3. Where an operator that is none of `moving` reads a region, or a tensor of another layout than its own, or is one of
   `products`, all of the chain before it is moved by one kernel (`nnmeter.kernels.moving`), once for each layout. So
   are results of the model, which lie in the order of their dimensions.
4. A convolution of `grouped` in several groups of several channels runs group by group: it takes its data apart itself,
   and its result is a region of what the groups give.
5. An operator of `passing` that alone reads the result of one of `products` runs before the view behind it.
6. An operator of `decomposed` runs as several, in whatever layout its data have; its result lies in the order of its
   dimensions.
7. Operators of `moving` whose results nobody reads any more are dropped.
"""

from __future__ import annotations

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.kernels.moving import FROM_BLOCKS, TO_BLOCKS, moving_kernel

_STEP = 1e-6


def move_regions(graph: WorkingGraph, fields: Fields) -> bool:
    """Apply the rules; whether anything is moved."""
    return _Regions(graph, fields).run()


class _Regions:
    """One application to one graph."""

    def __init__(self, graph: WorkingGraph, fields: Fields) -> None:
        self.graph = graph
        self.blocked = frozenset(fields["blocked"])
        self.products = frozenset(fields["products"])
        self.following = frozenset(fields["following"])
        self.joining = frozenset(fields["joining"])
        self.moving = frozenset(fields["moving"])
        self.gathers = frozenset(fields["gathers"])
        self.grouped = frozenset(fields["grouped"])
        self.passing = frozenset(fields["passing"])
        self.decomposed = frozenset(fields["decomposed"])
        self.tails: set[WorkNode] = set()
        self.in_blocks: set[str] = set()
        self.made: dict[tuple[str, bool, bool], str] = {}  # by tensor, layout, and whether it is for a product

    def run(self) -> bool:
        graph = self.graph
        before = graph.version
        nodes = list(graph.ordered())
        for node in nodes:
            if self._runs_before_the_view(node):
                self.tails.add(node)
            if self._works_in_blocks(node):
                self.in_blocks.update(tensor for tensor in node.outputs if tensor)
        for node in nodes:
            if not self._is_moving(node) and node not in self.tails and node.kind not in self.decomposed:
                self._feed(node)
        self._results(max((node.position for node in nodes), default=0.0))
        graph.prune(node for node in reversed(nodes) if node.alive and self._is_moving(node))
        return graph.version != before

    def _is_moving(self, node: WorkNode) -> bool:
        if node.kind not in self.moving:
            return False
        return node.kind not in self.gathers or all(tensor in self.graph.constants for tensor in node.inputs[1:2])

    def _runs_before_the_view(self, node: WorkNode) -> bool:
        """Rule 5."""
        if node.kind not in self.passing or only_reader(self.graph, node.inputs[0]) is None:
            return False
        writer = self.graph.producer.get(node.inputs[0])
        return writer is not None and (writer.kind in self.products or writer in self.tails)

    def _works_in_blocks(self, node: WorkNode) -> bool:
        """Rule 1."""
        if node.kind in self.blocked:
            return True
        if node.kind in self.following and node not in self.tails:
            return node.inputs[0] in self.in_blocks
        if node.kind in self.joining:
            types, constants = self.graph.types, self.graph.constants
            read = [t for t in node.inputs if t and not (t in constants and types[t].elements == 1)]
            return 2 * sum(tensor in self.in_blocks for tensor in read) > len(read)
        return False

    def _is_region(self, tensor: str) -> bool:
        """Rule 2."""
        node = self.graph.producer.get(tensor)
        if node is None:
            return False
        return self._is_moving(node) or self._gives_a_view(node) or self._is_in_groups(node)

    def _gives_a_view(self, node: WorkNode) -> bool:
        return node.kind in self.products or node in self.tails

    def _is_in_groups(self, node: WorkNode) -> bool:
        """Rule 4."""
        group = node.attributes.get("group", 1)
        return node.kind in self.grouped and 1 < group < self.graph.types[node.inputs[0]].shape[1]

    def _wants_blocks(self, node: WorkNode, index: int) -> bool:
        if node.kind in self.products:
            return index == 0
        if node.kind in self.joining or index == 0:
            return node.outputs[0] in self.in_blocks
        return False

    def _feed(self, node: WorkNode) -> None:
        """Rule 3 for what an operator reads."""
        graph = self.graph
        for index, tensor in enumerate(node.inputs):
            if not tensor or tensor in graph.constants:
                continue
            blocks = self._wants_blocks(node, index)
            if index == 0 and self._is_in_groups(node):
                continue
            product = node.kind in self.products and index == 0
            if product or self._is_region(tensor) or (tensor in self.in_blocks) != blocks:
                place = node.position - _STEP * (len(node.inputs) - index)
                graph.set_input(node, index, self._move(tensor, blocks, product, place))

    def _results(self, end: float) -> None:
        """Rule 3 for what the model gives."""
        graph = self.graph
        for count, tensor in enumerate(graph.results):
            if not self._is_region(tensor) and tensor not in self.in_blocks:
                continue
            writer = graph.producer.get(tensor)
            if writer is None:
                continue
            inner = graph.fresh("region")
            graph.types[inner] = graph.types[tensor]
            graph.set_output(writer, writer.outputs.index(tensor), inner)
            graph.redirect(tensor, inner)
            if tensor in self.in_blocks:
                self.in_blocks.add(inner)
                self.in_blocks.discard(tensor)
            self._add(inner, tensor, False, end + 1 + count)

    def _move(self, tensor: str, blocks: bool, product: bool, place: float) -> str:
        key = (tensor, blocks, product)
        if key not in self.made:
            result = self.graph.fresh("moved")
            self.graph.types[result] = self.graph.types[tensor]
            self.made[key] = result
            self._add(tensor, result, blocks, place)
        return self.made[key]

    def _add(self, tensor: str, result: str, blocks: bool, place: float) -> None:
        """The kernel that moves a chain."""
        graph = self.graph
        chain: dict[WorkNode, None] = {}
        sources = list(dict.fromkeys(self._sources(tensor, chain)))
        ordered = sorted(chain, key=lambda node: node.position)
        kind, attributes = moving_kernel(
            [(node.kind, node.attributes) for node in ordered], self._reorder(tensor, blocks)
        )
        names = tuple(dict.fromkeys(name for node in ordered for name in node.sources))
        graph.add_node(kind, result, sources, [result], attributes, place, names)
        if blocks:
            self.in_blocks.add(result)

    def _sources(self, tensor: str, chain: dict[WorkNode, None]) -> list[str]:
        """The tensors in memory that a region is made of; `chain` gets the operators on the way."""
        graph = self.graph
        pending, found = [tensor], []
        while pending:
            tensor = pending.pop()
            node = graph.producer.get(tensor)
            if tensor in graph.constants:
                continue
            if node is None or not self._is_moving(node):
                found.append(tensor)
            elif node not in chain:
                chain[node] = None
                graph.spend(4)
                pending += reversed(node.inputs if node.kind == "Concat" else node.inputs[:1])
        return found

    def _reorder(self, tensor: str, blocks: bool) -> str:
        """The change of layout that is next to the reader."""
        graph = self.graph
        while True:
            if (tensor in self.in_blocks) != blocks:
                return TO_BLOCKS if blocks else FROM_BLOCKS
            node = graph.producer.get(tensor)
            if node is not None and self._gives_a_view(node):
                return FROM_BLOCKS
            if node is None or not self._is_moving(node):
                return ""
            index = next((i for i, read in enumerate(node.inputs) if read and read not in graph.constants), None)
            if index is None:
                return ""
            blocks = self._wants_blocks(node, index)
            tensor = node.inputs[index]
            graph.spend(4)


PASSES = (
    PassKind(
        "regions",
        procedure(move_regions),
        {
            "blocked": Field(texts),
            "products": Field(texts),
            "following": Field(texts),
            "joining": Field(texts),
            "moving": Field(texts),
            "gathers": Field(texts, ()),
            "grouped": Field(texts, ()),
            "passing": Field(texts, ()),
            "decomposed": Field(texts, ()),
        },
    ),
)
