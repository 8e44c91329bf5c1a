"""Parts of models by their bytes, names included: the candidates of a search that are named by their place.

Rules:
1. A part is known by the run of its operators (`nnmeter.formats.runs`), by the runs of the initializers that it reads,
   by the name and type of the tensor that leads to it, and by the types that are declared in it; a last part by the
   frame, too.
2. A model is made of parts if each is known, one behind the other with nothing left over, and if no name is there
   twice. Any other is left to `nnmeter.formats.outline`, which looks at each operator.
3. Runs are learned of models whose first run is known, and of few others: names that never come again are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, count, groupby
from typing import NamedTuple

from nnmeter.formats.messages import message, value
from nnmeter.formats.outline import Outline, text
from nnmeter.formats.runs import Runs, begins_with, cut, places
from nnmeter.prediction.templates import Names, Part

_MOST_BYTES = 64 << 20  # of runs
_TRIED = 16  # models that runs are learned of at first
_SELDOM = 16  # of so many others one


class _Operators(NamedTuple):
    """A run of operators.

    Attributes:
        number: its own.
        entry, exit: the tensors that it reads and that the next part reads.
        owner: what its initializers are known to belong to: the first tensor that it computes.
        names: of what it computes and of its operators, these with a mark.
        called, written: as `Names` has them.
    """

    number: int
    entry: bytes
    exit: bytes
    owner: bytes
    names: frozenset[bytes]
    called: list[str]
    written: list[list[str]]


class _Constants(NamedTuple):
    """A run of initializers that one part reads."""

    number: int
    names: frozenset[bytes]
    owner: bytes


class _Frame(NamedTuple):
    """A frame of models: its number, the input, and the number of its type."""

    number: int
    entry: bytes
    entry_type: int


class Found(NamedTuple):
    """A model that is made of known parts.

    Attributes:
        name: of its graph.
        parts: in order.
        starts: the first operator of each.
        names: makes its names.
    """

    name: str
    parts: list[Part]
    starts: list[int]
    names: Callable[[], Names]


class KnownRuns:
    """The runs of models that one predictor saw."""

    def __init__(self) -> None:
        self._counter = count(1)
        self._missed = 0
        self._forget()

    def _forget(self) -> None:
        self._operators: Runs[_Operators] = Runs()
        self._constants: Runs[_Constants] = Runs()
        self._frames: dict[tuple[bytes, ...], _Frame] = {}
        self._parts: dict[tuple[int, tuple[int, ...], int, int], tuple[Part, frozenset[bytes]]] = {}

    def find(self, data: bytes) -> Found | None:
        """The parts of a model that is made of known runs; None for any other (rule 2)."""
        if not self._parts:
            return None
        made = cut(data, self._operators, self._constants)
        frame = None if made is None else self._frames.get(made.frame)
        if made is None or frame is None or not made.operators:
            return None
        owned: dict[bytes, list[int]] = {}
        for constants in made.constants:
            owned.setdefault(constants.owner, []).append(constants.number)
        parts: list[Part] = []
        starts: list[int] = []
        declared: list[frozenset[bytes]] = []
        at, entry, entry_type = 0, frame.entry, frame.entry_type
        last = made.operators[-1]
        for run in made.operators:
            if run.entry != entry:
                return None
            own = tuple(owned.pop(run.owner, ()))
            known = self._parts.get((run.number, own, entry_type, frame.number if run is last else 0))
            if known is None:
                return None
            parts.append(known[0])
            declared.append(known[1])
            starts.append(at)
            at, entry, entry_type = at + len(run.called), run.exit, known[0].exit_type
        if owned or not _are_different(frame.entry, made.operators, made.constants):
            return None
        if (made.declared or any(declared)) and sorted(made.declared) != sorted(chain.from_iterable(declared)):
            return None
        return Found(made.name, parts, starts, lambda: _names(frame.entry, made.operators))

    def wants(self, data: bytes) -> bool:
        """Whether runs are to be learned of a model that is made of known parts but not of known runs (rule 3)."""
        self._missed += 1
        return self._missed <= _TRIED or self._missed % _SELDOM == 0 or begins_with(data, self._operators)

    def learn(self, data: bytes, made: Outline, starts: Sequence[int], parts: Sequence[Part], entry_type: int) -> None:
        """Note the runs of a model.

        Args:
            data: its bytes.
            made: their outline.
            starts: the first operator of each part.
            parts: they.
            entry_type: number of the type of the input.
        """
        at = places(data)
        if len(at.operators) != len(made.codes) or len(at.initializers) != len(made.constants):
            return  # constants among the operators
        if self._operators.bytes + self._constants.bytes > _MOST_BYTES:
            self._forget()
        runs = []
        entry = made.entry
        for start, end in zip(starts, [*starts[1:], len(made.codes)], strict=True):
            run = self._run(data, made, at.operators[start:end], start, entry)
            if run is None or run.entry != entry:
                return
            runs.append(run)
            entry = run.exit
        owned = self._own_constants(data, made, at.initializers, starts, runs)
        if owned is None:
            return
        declared = {value(data, *message(data, *place)[1:])[0]: data[place[0] : place[1]] for place in at.declared}
        frame = self._frames.setdefault(at.frame, _Frame(next(self._counter), made.entry, entry_type))
        for run, own, part in zip(runs, owned, parts, strict=True):
            key = (run.number, own, entry_type, frame.number if run is runs[-1] else 0)
            self._parts.setdefault(key, (part, frozenset([declared[n] for n in run.names if n in declared])))
            entry_type = part.exit_type

    def _run(
        self, data: bytes, made: Outline, places: Sequence[tuple[int, int]], start: int, entry: bytes
    ) -> _Operators | None:
        """The run of some operators, which is added where it is new; None where other messages stand in between."""
        raw = _raw(data, places)
        if raw is None:
            return None
        edges = [made.edges(start + at)[1] for at in range(len(places))]
        computed = [name for names in edges for name in names if name]
        called = made.called[start : start + len(places)]
        names = frozenset([*computed, *[b"\0" + name for name in called]])
        run = _Operators(
            next(self._counter), entry, edges[-1][0], computed[0], names, [text(name) for name in called],
            [[text(name) for name in written] for written in edges],
        )  # fmt: skip
        return self._operators.add(raw, data[places[0][0] : places[0][1]], run)

    def _own_constants(
        self,
        data: bytes,
        made: Outline,
        places: Sequence[tuple[int, int]],
        starts: Sequence[int],
        runs: Sequence[_Operators],
    ) -> list[tuple[int, ...]] | None:
        """The numbers of the runs of initializers that each part reads; None where other messages stand in between."""
        reader = {
            name: number
            for number, (start, run) in enumerate(zip(starts, runs, strict=True))
            for name in made.tensors[made.starts[start] : made.starts[start + len(run.called)]]
        }
        found: list[list[int]] = [[] for _ in runs]
        at = 0
        for number, together in groupby(made.constants, reader.__getitem__):
            names = frozenset(together)
            raw = _raw(data, places[at : at + len(names)])
            if raw is None:
                return None
            constants = _Constants(next(self._counter), names, runs[number].owner)
            found[number].append(self._constants.add(raw, data[places[at][0] : places[at][1]], constants).number)
            at += len(names)
        return [tuple(numbers) for numbers in found]


def _raw(data: bytes, places: Sequence[tuple[int, int]]) -> bytes | None:
    """The bytes of messages that stand one behind the other; None if others stand in between."""
    raw = data[places[0][0] : places[-1][1]]
    return raw if sum([stop - at for at, stop in places]) == len(raw) else None


def _are_different(entry: bytes, operators: Sequence[_Operators], constants: Sequence[_Constants]) -> bool:
    """Whether no name is there twice."""
    runs = [*[run.names for run in operators], *[run.names for run in constants], (entry,)]
    return len(frozenset().union(*runs)) == sum(map(len, runs))


def _names(entry: bytes, operators: Sequence[_Operators]) -> Names:
    called = chain.from_iterable([run.called for run in operators])
    return Names(text(entry), [*called], [*chain.from_iterable([run.written for run in operators])])
