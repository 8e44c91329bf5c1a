"""Predictions put together from parts that were seen before: candidates of a search have most of their parts in common.

Rules:
1. A part is a block of `nnmeter.fusion.blocks`, known by the bytes of its operators, of the initializers that they
   read, and by the type of the tensor that leads to it. A last part is known by what the model returns, too.
2. What a part became is known by what its block is known by there: by the part, the border before it, and the head of
   the part behind it, here byte by byte, names included. So kernels, with their names and prices, are the same as those
   that the whole model would be given.
3. Parts are learned from models that were predicted in full, of which nothing was to be said, whose every dimension is
   declared, and whose initializers each serve one part.
4. A model is put together if it is made of known parts one behind the other, with nothing left over; if no name is
   there twice; and if its declared types are those that were found right with the parts. Any other is predicted in
   full.
5. Where the blocks of the rule set are closed (rule 5 there), nothing is put together any more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain, count, groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from nnmeter.files import open_regular
from nnmeter.formats.declared import scan_declared
from nnmeter.formats.outline import DECLARED, LARGEST, NODE, TENSOR, Around, Runs, around, interface, messages, outline
from nnmeter.formats.scan import Scanner
from nnmeter.formats.tensors import scan_tensor
from nnmeter.formats.wire import WireError
from nnmeter.fusion.blocks import HEAD

if TYPE_CHECKING:
    from nnmeter.fusion.blocks import Block, BlockMemory
    from nnmeter.fusion.engine.rules import FusionRules
    from nnmeter.graph.ir import Graph
    from nnmeter.prediction.priced_kernel import PricedKernel

_MOST_BYTES = 64 << 20  # of runs
_MOST_RESULTS = 50_000
_TRIED = 256  # models that parts are learned of at first
_SELDOM = 16  # of so many more one, where no model was put together yet


class _Operators(NamedTuple):
    """A run of operators.

    Attributes:
        number: its own.
        entry, exit: the tensors that it reads and that the next part reads.
        names: of its operators, marked, and of what they write.
        size: how many names these are.
        owner: what its initializers are known to belong to: the first tensor that it writes.
    """

    number: int
    entry: str
    exit: str
    names: frozenset[str]
    size: int
    owner: str


class _Constants(NamedTuple):
    """A run of initializers that one part reads."""

    number: int
    names: frozenset[str]
    owner: str


class _Part(NamedTuple):
    """A part (rule 1): the type of what it leads to, its head, and the declared types that are right of it."""

    number: int
    exit_type: int
    head: int
    declared: set[bytes]


class _Frame(NamedTuple):
    """A frame of models: its number, the input, and the number of its type."""

    number: int
    entry: str
    entry_type: int


class Whole(NamedTuple):
    """A model that was put together: the name of its graph, and its kernels."""

    name: str
    kernels: tuple[PricedKernel, ...]


def bytes_of(model: Any) -> bytes | None:
    """The bytes of a small model in memory or of a small file; None for any other."""
    if isinstance(model, bytes):
        return model if len(model) <= LARGEST else None
    if isinstance(model, str | os.PathLike):
        try:
            with open_regular(model) as stream:
                data = stream.read(LARGEST + 1)
        except (OSError, ValueError):
            return None  # the reader says what is wrong
        return data if len(data) <= LARGEST else None
    if hasattr(model, "SerializeToString") and hasattr(model, "graph") and hasattr(model, "opset_import"):
        return bytes(model.SerializeToString()) if model.ByteSize() <= LARGEST else None
    return None


class KnownParts:
    """The parts of models that one predictor saw."""

    def __init__(self) -> None:
        self._counter = count(1)
        self._learned = self._used = 0
        self._memory: BlockMemory | None = None  # whose borders the results are known by
        self._forget()

    def _forget(self) -> None:
        self._operators: Runs[_Operators] = Runs()
        self._constants: Runs[_Constants] = Runs()
        self._frames: dict[tuple[bytes, bytes], _Frame] = {}
        self._numbers: dict[Any, int] = {}
        self._parts: dict[tuple[Any, ...], _Part] = {}
        self._results: dict[tuple[int, int, int], tuple[tuple[PricedKernel, ...], int]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process begins with nothing."""
        return KnownParts, ()

    def __bool__(self) -> bool:
        return bool(self._results)

    def put_together(self, data: bytes, rules: FusionRules) -> Whole | None:
        """The kernels of a model that is made of known parts; None for any other (rule 4)."""
        memory = _memory_of(rules)
        if memory is None or memory is not self._memory or memory.closed or len(data) > LARGEST:
            return None
        whole = around(data)
        made = None if whole is None else outline(data, whole, self._operators, self._constants)
        frame = None if made is None else self._frames.get(made.frame)
        if made is None or frame is None or not made.nodes:
            return None
        owned: dict[str, list[int]] = {}
        for constants in made.tensors:
            owned.setdefault(constants.owner, []).append(constants.number)
        parts = []
        entry, entry_type = frame.entry, frame.entry_type
        last = made.nodes[-1]
        for operators in made.nodes:
            if operators.entry != entry:
                return None
            own = tuple(owned.pop(operators.owner, ()))
            part = self._parts.get((operators.number, own, entry_type, frame.number if operators is last else 0))
            if part is None:
                return None
            parts.append(part)
            entry, entry_type = operators.exit, part.exit_type
        if owned or not _are_different(frame.entry, made.nodes, made.tensors):
            return None
        if made.declared and not set().union(*[part.declared for part in parts]).issuperset(made.declared):
            return None
        found = []
        border = -1
        for part, head in zip(parts, _heads(parts), strict=True):
            result = self._results.get((part.number, border, head))
            if result is None:
                return None
            kernels, border = result
            found.append(kernels)
        try:
            name = made.name.decode()
        except UnicodeDecodeError:
            return None
        self._used += 1
        return Whole(name or "model", tuple(chain.from_iterable(found)))

    def wants(self) -> bool:
        """Whether parts are to be learned of the next model: the first is none of a search, and some have none."""
        self._learned += 1
        if self._learned == 1:
            return False
        return bool(self._used) or self._learned < _TRIED or self._learned % _SELDOM == 0

    def learn(self, data: bytes, graph: Graph, rules: FusionRules, kernels: Sequence[PricedKernel]) -> None:
        """Note the parts of a model that was predicted in full (rule 3).

        Args:
            data: its bytes.
            graph: the model.
            rules: of the device.
            kernels: of the model, with their prices.
        """
        memory = _memory_of(rules)
        whole = around(data) if len(data) <= LARGEST else None
        if memory is None or whole is None or len(graph.inputs) != 1:
            return
        blocks = memory.cut(graph)
        became = None if blocks is None else memory.results(blocks)
        if blocks is None or became is None or sum(size for size, _ in became) != len(kernels):
            return
        full = len(self._results) > _MOST_RESULTS or self._operators.bytes + self._constants.bytes > _MOST_BYTES
        if full or memory is not self._memory:
            self._forget()
            self._memory = memory
        try:
            raw = _Raw(data, whole, graph)
            owned = raw.owned(blocks)
            if owned is not None:
                self._note(raw, (whole.raw, interface(data, whole)), graph, blocks, owned, became, kernels)
        except (WireError, IndexError, UnicodeDecodeError):
            return  # it was read, but not by these bytes alone

    def _note(
        self,
        raw: _Raw,
        around_it: tuple[bytes, bytes],
        graph: Graph,
        blocks: Sequence[Block],
        owned: Sequence[tuple[int, int, int]],
        became: Sequence[tuple[int, int]],
        kernels: Sequence[PricedKernel],
    ) -> None:
        nodes, first = graph.nodes, graph.inputs[0]
        written = [[n for node in nodes[b.start : b.end] for n in node.outputs if n] for b in blocks]
        exits = [nodes[block.end - 1].outputs[0] for block in blocks]
        if "" in exits or not set(graph.outputs) <= set(written[-1]):
            return
        frame = self._frames.setdefault(around_it, _Frame(next(self._counter), first, self._type(graph, first)))
        own: list[list[int]] = [[] for _ in blocks]
        for at, end, owner in owned:
            constants = _Constants(next(self._counter), frozenset(raw.constants[at:end]), written[owner][0])
            own[owner].append(self._constants.add(*raw.initializers(at, end), constants).number)
        parts: list[_Part] = []
        entry = first
        for number, block in enumerate(blocks):
            inside = nodes[block.start : block.end]
            names = frozenset([*written[number], *[f"\0{node.name}" for node in inside]])
            run = _Operators(
                next(self._counter), entry, exits[number], names, len(written[number]) + len(inside), written[number][0]
            )
            run = self._operators.add(*raw.operators(block.start, block.end), run)
            last = frame.number if number == len(blocks) - 1 else 0
            entry_type = self._type(graph, entry)
            place = (run.number, tuple(own[number]), entry_type, last)
            part = self._parts.get(place)
            if part is None:
                head = self._number((raw.head(block), entry_type, last))
                part = _Part(next(self._counter), self._type(graph, run.exit), head, set())
                self._parts[place] = part
            part.declared.update([raw.declared[name] for name in written[number] if name in raw.declared])
            parts.append(part)
            entry = run.exit
        at, border = 0, -1
        for part, head, (size, next_border) in zip(parts, _heads(parts), became, strict=True):
            self._results[part.number, border, head] = (tuple(kernels[at : at + size]), next_border)
            at, border = at + size, next_border

    def _type(self, graph: Graph, name: str) -> int:
        kind = graph.types[name]
        return self._number((kind.dtype, kind.shape))

    def _number(self, key: Any) -> int:
        known = self._numbers.get(key)
        return self._numbers.setdefault(key, next(self._counter)) if known is None else known


class _Raw:
    """The messages of a model that was read, in the order of its operators and initializers.

    Raises:
        WireError: they are not those of the graph, one for one.
    """

    def __init__(self, data: bytes, whole: Around, graph: Graph) -> None:
        self._data = data
        self._graph = graph
        self._operators: list[tuple[int, int]] = []
        self._initializers: list[tuple[int, int]] = []
        self.constants: list[str] = []
        self.declared: dict[str, bytes] = {}
        scanner = Scanner()
        named = []
        for key, at, body, stop in messages(data, whole.start, whole.end):
            if key == NODE:
                node = scanner.node(data[body:stop], 0, stop - body)
                named.append((node.name, node.outputs))
                self._operators.append((at, stop))
            elif key == TENSOR:
                self.constants.append(scan_tensor(data, body, stop).name)
                self._initializers.append((at, stop))
            elif key == DECLARED:
                self.declared[scan_declared(data, body, stop).name] = data[body:stop]
        if named != [(node.name, node.outputs) for node in graph.nodes]:
            raise WireError("operators are not as they are written")
        if len(self.constants) != len(graph.initializers) or set(self.constants) != graph.initializers:
            raise WireError("constants are not as they are written")
        self._place = {name: at for at, name in enumerate(self.constants)}

    def operators(self, start: int, end: int) -> tuple[bytes, bytes]:
        """The bytes of operators from one up to another, and of the first of them."""
        return self._run(self._operators, start, end)

    def initializers(self, start: int, end: int) -> tuple[bytes, bytes]:
        """The same of initializers."""
        return self._run(self._initializers, start, end)

    def _run(self, places: Sequence[tuple[int, int]], start: int, end: int) -> tuple[bytes, bytes]:
        first, stop = places[start]
        raw = self._data[first : places[end - 1][1]]
        if sum(stop - at for at, stop in places[start:end]) != len(raw):
            raise WireError("other messages stand between them")
        return raw, self._data[first:stop]

    def owned(self, blocks: Sequence[Block]) -> list[tuple[int, int, int]] | None:
        """Initializers from one up to another, and the block that reads them; None if one is read by none."""
        reader = {
            name: number
            for number, block in enumerate(blocks)
            for node in self._graph.nodes[block.start : block.end]
            for name in node.inputs
        }
        if any(name not in reader for name in self.constants):
            return None
        found: list[tuple[int, int, int]] = []
        for number, names in groupby(self.constants, reader.__getitem__):
            size = len(list(names))
            start = found[-1][1] if found else 0
            found.append((start, start + size, number))
        return found

    def head(self, block: Block) -> bytes:
        """The first operators of a block, and the initializers that they read, as they are written."""
        end = min(block.start + HEAD, block.end)
        places = [self._operators[at] for at in range(block.start, end)]
        for node in self._graph.nodes[block.start : end]:
            places += [self._initializers[self._place[name]] for name in node.inputs if name in self._place]
        return b"".join([self._data[at:stop] for at, stop in places])


def _memory_of(rules: FusionRules) -> BlockMemory | None:
    return rules.remembered.get("blocks")


def _heads(parts: Sequence[_Part]) -> list[int]:
    """The head behind each part; 0 behind the last."""
    return [*(part.head for part in parts[1:]), 0]


def _are_different(entry: str, operators: Sequence[_Operators], constants: Sequence[_Constants]) -> bool:
    """Whether no name is there twice."""
    names = frozenset().union(*[run.names for run in operators], *[run.names for run in constants])
    size = sum([run.size for run in operators]) + sum([len(run.names) for run in constants])
    return len(names) == size and entry not in names
