"""Kernels of blocks that were seen before: candidates of a search are made of the same blocks in other orders.

Rules:

1. A network is cut where all that comes is computed from one tensor; a block has `_LEAST` operators or more. Only
   networks of one input are cut, whose operators are `_PLAIN`, in float32, with no dimension free, each weight read in
   one block.
2. What such operators become is decided by what stands around them: patterns are shorter than a block, and a layout
   goes from a kernel to those that read it. So the kernels of a block follow from the operators, types, attributes and
   small constants of the block and of the first `HEAD` operators behind it, and from its *border*: the kernel before
   that writes what the block reads.
3. They are learned from whole networks. A kernel belongs to the block of its first operator; of the next block it may
   have absorbed the first operators, without the last of the head. What the runtime adds for a tensor belongs to the
   block that reads it. Where kernels are not so, nothing is learned of the network.
4. Networks teach only if all passes that changed them are of kinds that keep rule 2 (`_LOCAL`).
5. Should two networks have taught different kernels for the same, rule 2 does not hold for the rule set: all is
   forgotten, and nothing learned any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.graph.ir import Graph
from nnmeter.kernels.kernel import Kernel, KernelSignature

_LEAST = 5
HEAD = 2
_LONGEST = 20_000  # operators of a network that is cut
_MOST_CELLS = 2_000_000  # of what contents are told apart by
_MOST_KNOWN = 50_000  # results

_REORDER = "~reorder"  # in the name of a kernel that is added for a tensor
_OF_TENSORS = frozenset({"reorder", "squeeze"})  # what passes add for tensors

_PLAIN = frozenset(
    "Add AveragePool BatchNormalization Clip Concat Conv Div Elu Erf Flatten Gather Gelu Gemm GlobalAveragePool "
    "GlobalMaxPool HardSigmoid HardSwish LayerNormalization LeakyRelu MatMul MaxPool Mul PRelu Pow ReduceMean Relu "
    "Reshape RMSNormalization Sigmoid Slice Softmax Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze".split()
)

_LOCAL = frozenset(
    "rewrite eliminate fold_constants deduplicate layout link free_operators plain_attributes split_slices".split()
)


class Block(NamedTuple):
    """A block of a network.

    Attributes:
        start, end: its first operator, and the one behind its last.
        contents, head: numbers of all that it is made of, and of what its first operators are.
    """

    start: int
    end: int
    contents: int
    head: int


class _Named(NamedTuple):
    """A kernel's name: that of an operator, or of one of its results, and what was added to it.

    Attributes:
        at: the operator, counted from the first of the block; None for the network's input.
        output: which of its results; None for the operator itself.
        suffix: what was added.
    """

    at: int | None
    output: int | None
    suffix: str

    def of(self, entry: str, called: str, result: str) -> str:
        """The name in a network, given that of its input, of the operator and of the result."""
        base = entry if self.at is None else called if self.output is None else result
        return base + self.suffix


class BlockKernel(NamedTuple):
    """A kernel of a block.

    Attributes:
        signature: all that prices it.
        named: how its name is made.
        sources: the operators that it absorbed, counted from the first of the block.
    """

    signature: KernelSignature
    named: _Named
    sources: tuple[int, ...]


class BlockMemory:
    """What the blocks of networks became, by one rule set.

    Attributes:
        by_names: whether the order of the names of a block's tensors counts.
    """

    def __init__(self, rules: FusionRules) -> None:
        """Begin with nothing.

        Args:
            rules: of the device.
        """
        kinds = {item.kind for stage in rules.stages for item in stage.passes}
        self.by_names = "link" in kinds  # which of two branches a sum joins may go by the names of their results
        self._closed = False
        self._counter = count()  # of numbers that are never used again, whichever thread asks
        self._forget()

    def _forget(self) -> None:
        self._cells = 0
        self._contents: dict[tuple[Any, ...], tuple[int, list[Any]]] = {}
        self._borders: dict[tuple[Any, ...], int] = {}
        self._known: dict[tuple[int, int, int], tuple[tuple[BlockKernel, ...], int]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process begins with nothing: contents are known by the addresses of attributes."""
        return _begun, (self.by_names, self._closed)

    def cut(self, graph: Graph) -> list[Block] | None:
        """The blocks of a network; None where it is not cut (rule 1)."""
        nodes, constants = graph.nodes, graph.initializers
        if self._closed or not 2 * _LEAST <= len(nodes) <= _LONGEST or graph.free or len(graph.inputs) != 1:
            return None
        last: dict[str, int] = {}
        for at, node in enumerate(nodes):
            if node.op_type not in _PLAIN or node.domain:
                return None
            for name in node.inputs:
                last[name] = at
        for name in graph.outputs:
            last[name] = len(nodes)
        last.pop("", None)
        if self._cells > _MOST_CELLS or len(self._known) > _MOST_KNOWN:
            self._forget()
        found: list[Block] = []
        owners: dict[str, int] = {}
        entry, start, live = graph.inputs[0], 0, 1
        for at, node in enumerate(nodes):
            for name in node.outputs:
                if last.get(name, -1) > at:
                    live += 1
            for name in node.inputs:
                if last.get(name) == at and name not in constants:
                    live -= 1
                    last[name] = -1
            whole = at + 1 - start >= _LEAST and live == 1 and at + 1 < len(nodes)
            if whole or at + 1 == len(nodes):
                numbers = self._contents_of(graph, start, at + 1, entry, owners, len(found))
                if numbers is None:
                    return None
                found.append(Block(start, at + 1, *numbers))
                start, entry = at + 1, node.outputs[0]
        return found if len(found) > 1 else None

    def _contents_of(
        self, graph: Graph, start: int, end: int, entry: str, owners: dict[str, int], number: int
    ) -> tuple[int, int] | None:
        """The numbers of a block's contents and head (rule 2); None for one that breaks rule 1."""
        types, constants, values, outputs = graph.types, graph.initializers, graph.values, graph.outputs
        if types[entry].dtype != "float32":
            return None
        places = {entry: 0, "": -1}
        key: list[Any] = [graph.opsets.get("", 0), types[entry].shape]
        kept: list[Any] = []
        head: int | None = None
        for at in range(start, end):
            node = graph.nodes[at]
            attributes = node.attributes
            key += (node.op_type, id(attributes) if attributes else 0, len(node.inputs), len(node.outputs))
            kept.append(attributes)
            for name in node.inputs:
                place = places.get(name)
                if place is None:
                    if name not in constants or owners.setdefault(name, number) != number:
                        return None
                    place = places[name] = len(places)
                    kind, value = types[name], values.get(name)
                    if kind.dtype != "float32" and value is None:
                        return None
                    key += (kind.dtype, kind.shape, None if value is None else value.tobytes())
                key.append(place)
            for name in node.outputs:
                if not name:
                    key.append(None)
                    continue
                places[name] = len(places)
                kind = types[name]
                if kind.dtype != "float32":
                    return None
                key += (kind.shape, name in outputs)
            if at - start == HEAD - 1:
                head = self._number(tuple(key), kept)
        if self.by_names:
            key += [places[name] for name in sorted(places)]
        whole = self._number(tuple(key), kept)
        return whole, whole if head is None else head

    def _number(self, key: tuple[Any, ...], kept: list[Any]) -> int:
        """The number of some contents; the attributes that they have are kept, so that no others get their address."""
        known = self._contents.get(key)
        if known is None:
            self._cells += len(key)
            known = self._contents.setdefault(key, (next(self._counter), list(kept)))
        return known[0]

    @property
    def closed(self) -> bool:
        """Whether nothing is remembered any more (rule 5)."""
        return self._closed

    def find(self, graph: Graph, blocks: Sequence[Block]) -> list[Kernel] | None:
        """The kernels of a network; None where those of a block are not known."""
        found = self.results(blocks)
        if found is None:
            return None
        nodes = graph.nodes
        kernels = []
        for block, (parts, _) in zip(blocks, found, strict=True):
            start = block.start
            for signature, named, sources in parts:
                node = nodes[start + (named.at or 0)]
                name = named.of(graph.inputs[0], node.name, node.outputs[named.output or 0])
                kernels.append(Kernel(name, signature, tuple([nodes[start + at].name for at in sources])))
        return kernels

    def results(self, blocks: Sequence[Block]) -> list[tuple[tuple[BlockKernel, ...], int]] | None:
        """What each block became, and the number of the border behind it; None as in `find`."""
        known, found = self._known, []
        border = -1
        for block, head in zip(blocks, _heads(blocks), strict=True):
            result = known.get((block.contents, border, head))
            if result is None:
                return None
            found.append(result)
            border = result[1]
        return found

    def learn(self, graph: Graph, blocks: Sequence[Block], kernels: Sequence[Kernel], changed: set[str]) -> None:
        """Remember what the blocks of a network became (rules 3 to 5).

        Args:
            graph: the network.
            blocks: as it was cut.
            kernels: those of the whole network.
            changed: the kinds of the passes that changed it.
        """
        if self._closed or not changed <= _LOCAL:
            return
        learned = _parts_of(graph, blocks, kernels)
        if learned is None:
            return
        border = -1
        for block, head, parts in zip(blocks, _heads(blocks), learned, strict=True):
            described = () if head < 0 else _border_of(parts, block.end - block.start)
            if described is None:
                return
            number = self._borders.get(described)
            if number is None:
                number = self._borders.setdefault(described, next(self._counter))
            key = (block.contents, border, head)
            if self._known.setdefault(key, (parts, number)) != (parts, number):
                self._closed = True
                self._forget()
                return
            border = number


def _begun(by_names: bool, closed: bool) -> BlockMemory:
    memory = BlockMemory.__new__(BlockMemory)
    memory.by_names, memory._closed, memory._counter = by_names, closed, count()
    memory._forget()
    return memory


def _heads(blocks: Sequence[Block]) -> list[int]:
    """The head behind each block; -1 behind the last."""
    return [*(block.head for block in blocks[1:]), -1]


def _border_of(parts: Sequence[BlockKernel], length: int) -> tuple[Any, ...] | None:
    """What the next block sees of a block's kernels: the one that writes what it reads; None if there is none."""
    for signature, _, sources in parts:
        if length - 1 in sources:
            read = tuple([kind is not None for kind in signature.inputs])
            beyond = tuple([at - length for at in sources if at >= length])
            return signature.type, signature.domain, signature.attributes, read, signature.outputs, beyond
    return None


def _parts_of(graph: Graph, blocks: Sequence[Block], kernels: Sequence[Kernel]) -> list[tuple[BlockKernel, ...]] | None:
    """The kernels of each block (rule 3); None where they do not belong to blocks."""
    places = {node.name: at for at, node in enumerate(graph.nodes)}
    results: dict[str, tuple[int | None, int | None]] = {
        name: (at, output) for at, node in enumerate(graph.nodes) for output, name in enumerate(node.outputs)
    }
    results[graph.inputs[0]] = (None, None)
    owner = [number for number, block in enumerate(blocks) for _ in range(block.start, block.end)]
    found: list[list[BlockKernel]] = [[] for _ in blocks]
    cursor = 0
    for kernel in kernels:
        sources = [places.get(name, -1) for name in kernel.nodes]
        if sources:
            first, last = min(sources), max(sources)
            if first < 0 or owner[first] < cursor or last > blocks[owner[first]].end + HEAD - 2:
                return None
            cursor = owner[first]
        named = _named(kernel.name, places, results)
        if named is None or kernel.count != 1:
            return None
        if not sources and named.suffix.startswith(_REORDER) and named.at == blocks[cursor].end - 1:
            cursor = min(cursor + 1, len(blocks) - 1)
        if not sources and named.at is not None:
            if named.output is None:
                cursor = max(cursor, owner[named.at])
            elif named.at > blocks[cursor].end + HEAD - 2:
                return None
        start = blocks[cursor].start
        if named.at is not None:
            named = named._replace(at=named.at - start)
        found[cursor].append(BlockKernel(kernel.signature, named, tuple([at - start for at in sources])))
    return [tuple(part) for part in found]


def _named(name: str, places: dict[str, int], results: dict[str, tuple[int | None, int | None]]) -> _Named | None:
    """A kernel's name by that of an operator or tensor, the longest that it begins with; operators by their number.

    Where both are called so, what was added tells: what passes add for a tensor is named after that.
    """
    at = places.get(name)
    if at is not None:
        return _Named(at, None, "")
    base = name
    while "~" in base:
        base = base.rpartition("~")[0]
        suffix = name[len(base) :]
        word = suffix.split("~")[1]
        if base in results and (base not in places or word in _OF_TENSORS or word.isdigit()):
            return _Named(*results[base], suffix)
        if base in places:
            return _Named(places[base], None, suffix)
    return None
