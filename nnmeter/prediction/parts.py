"""Predictions put together from parts that were seen before: candidates of a search have most of their parts in common.

Rules:
1. A part is a block of `nnmeter.fusion.blocks`, known by the codes of its operators (`nnmeter.formats.outline`) and by
   the type of the tensor that leads to it. A last part is known by what the model returns, too; and where the names of
   tensors decide what becomes of a block, by the order of theirs.
2. What a part became is known by what its block is known by there: by the part, the border before it, and the head of
   the part behind it. So its kernels are those that the whole model would be given, but for the names of operators and
   tensors, which they get from the model at hand.
3. Parts are learned from models that were predicted in full, of which nothing was to be said, and whose every dimension
   is declared.
4. A model is put together if it is made of known parts one behind the other, with nothing left over. Any other is
   predicted in full.
5. Where the blocks of the rule set are closed (rule 5 there), nothing is put together any more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from nnmeter.files import open_regular
from nnmeter.formats.outline import LARGEST, Codes, Outline
from nnmeter.fusion.blocks import HEAD
from nnmeter.prediction.priced_kernel import PricedKernel

if TYPE_CHECKING:
    from nnmeter.fusion.blocks import Block, BlockKernel, BlockMemory
    from nnmeter.fusion.engine.rules import FusionRules
    from nnmeter.graph.ir import Graph

_MOST_RESULTS = 50_000
_TRIED = 256  # models that parts are learned of at first
_SELDOM = 16  # of so many more one, where no model was put together yet


class _Part(NamedTuple):
    """A part (rule 1): the number of the type of what it leads to, and of its head."""

    number: int
    exit_type: int
    head: int


class _Template(NamedTuple):
    """A kernel of a part without the names of its model.

    Attributes:
        kernel: as it was in the model that it was learned from.
        made: how it is named, and which operators of the block it absorbed.
        at: the operator of the block whose name says where it is in the model; None where the file says so itself.
    """

    kernel: PricedKernel
    made: BlockKernel
    at: int | None


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
        self._codes = Codes()
        self._lengths: dict[int, list[int]] = {}  # of parts by their first code, the longest first
        self._frames: dict[tuple[Any, ...], tuple[int, int]] = {}  # with the numbers of the type of the input
        self._numbers: dict[Any, int] = {}
        self._parts: dict[tuple[Any, ...], _Part] = {}
        self._results: dict[tuple[int, int, int], tuple[tuple[_Template, ...], int]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process begins with nothing."""
        return KnownParts, ()

    def __bool__(self) -> bool:
        return bool(self._results)

    def put_together(self, data: bytes, rules: FusionRules) -> Whole | None:
        """The kernels of a model that is made of known parts; None for any other (rule 4)."""
        memory = _memory_of(rules)
        if memory is None or memory is not self._memory or memory.closed:
            return None
        made = self._codes.outline(data, grow=False)
        frame = None if made is None else self._frames.get(made.frame)
        if made is None or frame is None:
            return None
        codes, known, by_names = made.codes, self._parts, memory.by_names
        number, entry_type = frame
        parts: list[_Part] = []
        starts: list[int] = []
        at, end = 0, len(codes)
        while at < end:
            for length in self._lengths.get(codes[at], ()):
                stop = at + length
                if stop > end:
                    continue
                order = _order(made, at, stop) if by_names else ()
                part = known.get((*codes[at:stop], order, entry_type, number if stop == end else 0))
                if part is not None:
                    break
            else:
                return None
            parts.append(part)
            starts.append(at)
            at, entry_type = stop, part.exit_type
        kernels: list[PricedKernel] = []
        border = -1
        for start, part, head in zip(starts, parts, _heads(parts), strict=True):
            result = self._results.get((part.number, border, head))
            if result is None:
                return None
            templates, border = result
            kernels += [_named(template, made, start) for template in templates]
        self._used += 1
        return Whole(made.name or "model", tuple(kernels))

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
        if memory is None or len(data) > LARGEST or len(graph.inputs) != 1:
            return
        blocks = memory.cut(graph)
        became = None if blocks is None else memory.results(blocks)
        if blocks is None or became is None or sum(len(made) for made, _ in became) != len(kernels):
            return
        if len(self._results) > _MOST_RESULTS or self._codes.full or memory is not self._memory:
            self._forget()
            self._memory = memory
        made = self._codes.outline(data, grow=True)
        if made is None or not _is_of(made, graph):
            return
        last = blocks[-1]
        written = {name for node in graph.nodes[last.start : last.end] for name in node.outputs}
        exits = [graph.nodes[block.end - 1].outputs[0] for block in blocks]
        if "" in exits or not set(graph.outputs) <= written:
            return
        templates, at = [], 0
        for block, (parts, _) in zip(blocks, became, strict=True):
            found = [
                _template(kernel, part, graph, block.start)
                for kernel, part in zip(kernels[at : at + len(parts)], parts, strict=True)
            ]
            at += len(parts)
            templates.append(tuple([template for template in found if template is not None]))
            if len(templates[-1]) != len(parts):
                return
        self._note(made, graph, blocks, exits, templates, [border for _, border in became])

    def _note(
        self,
        made: Outline,
        graph: Graph,
        blocks: Sequence[Block],
        exits: Sequence[str],
        templates: Sequence[tuple[_Template, ...]],
        borders: Sequence[int],
    ) -> None:
        entry_type = self._type(graph, graph.inputs[0])
        frame = self._frames.setdefault(made.frame, (next(self._counter), entry_type))[0]
        assert self._memory is not None
        parts: list[_Part] = []
        for block, leads_to in zip(blocks, exits, strict=True):
            run = made.codes[block.start : block.end]
            lengths = self._lengths.setdefault(run[0], [])
            if len(run) not in lengths:
                self._lengths[run[0]] = sorted([*lengths, len(run)], reverse=True)
            order = _order(made, block.start, block.end) if self._memory.by_names else ()
            last = frame if block is blocks[-1] else 0
            place = (*run, order, entry_type, last)
            part = self._parts.get(place)
            if part is None:
                head = self._number((*run[:HEAD], entry_type, last))
                part = _Part(next(self._counter), self._type(graph, leads_to), head)
                self._parts[place] = part
            parts.append(part)
            entry_type = part.exit_type
        border = -1
        for part, head, found, behind in zip(parts, _heads(parts), templates, borders, strict=True):
            self._results[part.number, border, head] = (found, behind)
            border = behind

    def _type(self, graph: Graph, name: str) -> int:
        kind = graph.types[name]
        return self._number((kind.dtype, kind.shape))

    def _number(self, key: Any) -> int:
        known = self._numbers.get(key)
        return self._numbers.setdefault(key, next(self._counter)) if known is None else known


def _memory_of(rules: FusionRules) -> BlockMemory | None:
    return rules.remembered.get("blocks")


def _heads(parts: Sequence[_Part]) -> list[int]:
    """The head behind each part; 0 behind the last."""
    return [*(part.head for part in parts[1:]), 0]


def _is_of(made: Outline, graph: Graph) -> bool:
    """Whether an outline has the operators and tensors of a graph, one for one."""
    nodes = graph.nodes
    if made.called != [node.name for node in nodes] or [made.entry] != graph.inputs:
        return False
    edges = ((made.read, [node.inputs for node in nodes]), (made.written, [node.outputs for node in nodes]))
    return all(
        [name.decode() for name in ours] == list(theirs)
        for all_ours, all_theirs in edges
        for ours, theirs in zip(all_ours, all_theirs, strict=True)
    )


def _order(made: Outline, start: int, end: int) -> tuple[int, ...]:
    """Which of the tensors of a block comes first by name, second, and so on."""
    places: dict[bytes, int] = {}
    for read, written in zip(made.read[start:end], made.written[start:end], strict=True):
        for name in (*read, *written):
            places.setdefault(name, len(places))
    return tuple([places[name] for name in sorted(places)])


def _template(kernel: PricedKernel, made: BlockKernel, graph: Graph, start: int) -> _Template | None:
    """A kernel without the names of its model; None where what it says of its place has other names in it."""
    places = {graph.nodes[start + at].name: at for at in made.sources if not graph.nodes[start + at].scope}
    if kernel.place in places:
        return _Template(kernel, made, places[kernel.place])
    scopes = {"", *[graph.nodes[start + at].scope for at in made.sources]}
    return _Template(kernel, made, None) if kernel.place in scopes else None


def _named(template: _Template, made: Outline, start: int) -> PricedKernel:
    """A kernel of a part with the names of a model, in which the part begins at some operator."""
    kernel, (_, named, sources), place = template
    called = made.called
    at = start + (named.at or 0)
    if named.output is None and not named.suffix and named.at is not None:  # nearly always
        name = called[at]
    else:
        name = named.of(made.entry, called[at], made.written[at][named.output or 0].decode())
    nodes = tuple([called[start + source] for source in sources])
    if name == kernel.name and nodes == kernel.nodes:
        return kernel
    return PricedKernel(
        name, kernel.type, kernel.latency_ms, kernel.source, nodes, kernel.flops, kernel.bytes, kernel.outside,
        kernel.gaps, kernel.operator, kernel.place if place is None else called[start + place], kernel.signature,
        kernel.price, kernel.runs, kernel.parameters,
    )  # fmt: skip
