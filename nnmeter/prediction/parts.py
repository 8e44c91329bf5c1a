"""Predictions put together from parts that were seen before: candidates of a search have most of their parts in common.

Rules:
1. A part is a block of `nnmeter.fusion.blocks`, known by what its run of operators is made of but for names
   (`nnmeter.formats.outline`) and by the type of the tensor that leads to it. A last part is known by what the model
   returns, too; and where the names of tensors decide what becomes of a block, by the order of theirs.
2. What a part became is known by what its block is known by there: by the part, the border before it, and the head of
   the part behind it. So its kernels are those that the whole model would be given, but for the names of operators and
   tensors, which they get from the model at hand when they are asked for.
3. Parts are learned from models that were predicted in full, of which nothing was to be said, and whose every dimension
   is declared.
4. A model is put together if it is made of known parts one behind the other, with nothing left over. Any other is
   predicted in full.
5. Where the blocks of the rule set are closed (rule 5 there), nothing is put together any more.
6. What has the names that it had before is known by its bytes (`nnmeter.prediction.runs`), which is looked up first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import chain, count
from typing import TYPE_CHECKING, Any, NamedTuple

from nnmeter.files import open_regular
from nnmeter.formats.codes import Codes
from nnmeter.formats.messages import LARGEST
from nnmeter.formats.outline import Outline, text
from nnmeter.fusion.blocks import HEAD
from nnmeter.prediction.priced_kernel import PricedKernel
from nnmeter.prediction.runs import Found, KnownRuns
from nnmeter.prediction.templates import Became, Names, Part, became
from nnmeter.predictor.price_columns import PriceColumns, joined

if TYPE_CHECKING:
    from nnmeter.fusion.blocks import Block, BlockMemory
    from nnmeter.fusion.engine.rules import FusionRules
    from nnmeter.graph.ir import Graph

_MOST_RESULTS = 50_000
_TRIED = 256  # models that parts are learned of at first
_SELDOM = 16  # of so many more one, where no model was put together yet
_FIRST = 4  # operators by which lengths of parts are known


class Whole(NamedTuple):
    """A model that was put together.

    Attributes:
        name: of its graph.
        kernels: its kernels, with the names of the models that they were learned from.
        prices: theirs.
        named: makes the kernels with the names of this model.
    """

    name: str
    kernels: tuple[PricedKernel, ...]
    prices: PriceColumns
    named: Callable[[], tuple[PricedKernel, ...]]


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
        self._runs = KnownRuns()
        self._lengths: dict[tuple[int, ...], list[int]] = {}  # of parts by their first codes, the longest first
        self._frames: dict[tuple[Any, ...], tuple[int, int]] = {}  # with the numbers of the type of the input
        self._numbers: dict[Any, int] = {}
        self._parts: dict[tuple[Any, ...], Part] = {}
        self._results: dict[tuple[int, int, int], tuple[Became, int]] = {}

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
        found = self._runs.find(data) or self._find(data, memory.by_names)
        if found is None:
            return None
        made: list[Became] = []
        border = -1
        for part, head in zip(found.parts, _heads(found.parts), strict=True):
            result = self._results.get((part.number, border, head))
            if result is None:
                return None
            made.append(result[0])
            border = result[1]
        self._used += 1

        def named() -> tuple[PricedKernel, ...]:
            names = found.names()
            each = [one.named(names, start) for one, start in zip(made, found.starts, strict=True)]
            return tuple(chain.from_iterable(each))

        kernels = tuple(chain.from_iterable([one.kernels for one in made]))
        return Whole(found.name or "model", kernels, joined([one.prices for one in made]), named)

    def _find(self, data: bytes, by_names: bool) -> Found | None:
        """The parts of a model, whatever its names; None where one is not known."""
        made = self._codes.outline(data, grow=False)
        frame = None if made is None else self._frames.get(made.frame)
        if made is None or frame is None:
            return None
        codes, known = made.codes, self._parts
        number, entry_type = frame
        parts: list[Part] = []
        starts: list[int] = []
        at, end = 0, len(codes)
        while at < end:
            for length in self._lengths.get(tuple(codes[at : at + _FIRST]), ()):
                stop = at + length
                if stop > end:
                    continue
                order = made.order(at, stop) if by_names else ()
                part = known.get((made.run(at, stop), order, entry_type, number if stop == end else 0))
                if part is not None:
                    break
            else:
                return None
            parts.append(part)
            starts.append(at)
            at, entry_type = stop, part.exit_type
        if self._runs.wants(data):
            self._runs.learn(data, made, starts, parts, frame[1])
        return Found(made.name, parts, starts, lambda: _names(made))

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
        learned = None if blocks is None else memory.results(blocks)
        if blocks is None or learned is None or sum(len(made) for made, _ in learned) != len(kernels):
            return
        if len(self._results) > _MOST_RESULTS or self._codes.full or memory is not self._memory:
            self._forget()
            self._memory = memory
        made = self._codes.outline(data, grow=True)
        if made is None or not _is_of(made, graph):
            return
        last = blocks[-1]
        written = {name for node in graph.nodes[last.start : last.end] for name in node.outputs}
        ends = [graph.nodes[block.end - 1].outputs for block in blocks]
        if any(len(outputs) > 1 or not outputs[0] for outputs in ends) or not set(graph.outputs) <= written:
            return
        results: list[tuple[Became, int]] = []
        at = 0
        for block, (parts, border) in zip(blocks, learned, strict=True):
            one = became(kernels[at : at + len(parts)], parts, graph, block.start)
            if one is None:
                return
            results.append((one, border))
            at += len(parts)
        self._note(data, made, graph, blocks, results)

    def _note(
        self,
        data: bytes,
        made: Outline,
        graph: Graph,
        blocks: Sequence[Block],
        results: Sequence[tuple[Became, int]],
    ) -> None:
        assert self._memory is not None
        entry_type = self._type(graph, graph.inputs[0])
        number = self._frames.setdefault(made.frame, (next(self._counter), entry_type))[0]
        parts: list[Part] = []
        for block in blocks:
            first = tuple(made.codes[block.start : block.start + _FIRST])
            lengths = self._lengths.setdefault(first, [])
            if block.end - block.start not in lengths:
                self._lengths[first] = sorted([*lengths, block.end - block.start], reverse=True)
            order = made.order(block.start, block.end) if self._memory.by_names else ()
            last = number if block is blocks[-1] else 0
            place = (made.run(block.start, block.end), order, entry_type, last)
            part = self._parts.get(place)
            if part is None:
                head = self._number((made.run(block.start, min(block.start + HEAD, block.end)), entry_type, last))
                exit_type = self._type(graph, graph.nodes[block.end - 1].outputs[0])
                part = self._parts[place] = Part(next(self._counter), exit_type, head)
            parts.append(part)
            entry_type = part.exit_type
        border = -1
        for part, head, result in zip(parts, _heads(parts), results, strict=True):
            self._results[part.number, border, head] = result
            border = result[1]
        self._runs.learn(data, made, [block.start for block in blocks], parts, self._type(graph, graph.inputs[0]))

    def _type(self, graph: Graph, name: str) -> int:
        kind = graph.types[name]
        return self._number((kind.dtype, kind.shape))

    def _number(self, key: Any) -> int:
        known = self._numbers.get(key)
        return self._numbers.setdefault(key, next(self._counter)) if known is None else known


def _memory_of(rules: FusionRules) -> BlockMemory | None:
    return rules.remembered.get("blocks")


def _heads(parts: Sequence[Part]) -> list[int]:
    """The head behind each part; 0 behind the last."""
    return [*(part.head for part in parts[1:]), 0]


def _is_of(made: Outline, graph: Graph) -> bool:
    """Whether an outline has the operators and tensors of a graph, one for one."""
    names = _names(made)
    return (
        [names.entry] == graph.inputs
        and names.called == [node.name for node in graph.nodes]
        and names.written == [list(node.outputs) for node in graph.nodes]
        and all(
            [text(name) if name else "" for name in made.edges(at)[0]] == list(node.inputs)
            for at, node in enumerate(graph.nodes)
        )
    )


def _names(made: Outline) -> Names:
    written = [[text(name) if name else "" for name in made.edges(at)[1]] for at in range(len(made.codes))]
    return Names(text(made.entry), [text(name) for name in made.called], written)
