"""What a model's bytes are made of but for its names, without reading them: what candidates of a search have in common.

Rules:
1. Only models are looked at that `nnmeter.formats.messages` can take apart, of one input.
2. An operator is known by its *code*: what is written of it behind its names (its type, attributes, module), and how
   many tensors it reads and computes.
3. A run of operators is known by their codes and by the *numbers* of the tensors that they read and compute, in order:
   how far from the beginning of the run each was named first; with what an initializer is made of but its name, and
   with the declared types.
4. What would have readers or fusion rules make up other names is left to them: operators without names, names that are
   long or hold the marks that made-up names have, and a name that is there twice.
5. An outline says nothing of what the bytes that make a code mean. Who knows a code has read such bytes before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Edges = tuple[list[bytes], list[bytes]]  # names of what an operator reads and computes, b"" for none


class Outline(NamedTuple):
    """A model without its names, and its names as they are written, with their length in front.

    Attributes:
        name: of the graph.
        frame: what is left without operators, initializers, declared types and names: what is around the graph, the
            type of its input, and which results it returns and as what.
        codes: of the operators (rule 2).
        numbers: of the tensors that operators read and compute, one behind the other, counted from the model's
            beginning (rule 3) [tensors].
        types: numbers of their declared types, 0 where none is declared [tensors]; None where no type is declared.
        starts: where the tensors of each operator begin, and where the last one's end [operators + 1].
        tensors: their names.
        unusual: what those operators read and compute that do not have one result, or read more than is usual.
        called: names of the operators.
        entry: name of the input.
        constants: names of the initializers, in the order in which they are written.
    """

    name: str
    frame: tuple[Any, ...]
    codes: list[int]
    numbers: np.ndarray
    types: np.ndarray | None
    starts: list[int]
    tensors: list[bytes]
    unusual: dict[int, Edges]
    called: list[bytes]
    entry: bytes
    constants: list[bytes]

    def run(self, start: int, end: int) -> tuple[Any, ...]:
        """What operators from one up to another are known by (rule 3)."""
        first, stop = self.starts[start], self.starts[end]
        numbers = (self.numbers[first:stop] - first).tobytes()
        types = None if self.types is None else self.types[first:stop].tobytes()
        return tuple(self.codes[start:end]), numbers, types

    def edges(self, at: int) -> Edges:
        """Names of what an operator reads and computes."""
        names = self.tensors[self.starts[at] : self.starts[at + 1]]
        return self.unusual.get(at) or (names[:-1], names[-1:])

    def order(self, start: int, end: int) -> tuple[int, ...]:
        """Which of the tensors of a run comes first by name, second, and so on."""
        first, stop = self.starts[start], self.starts[end]
        numbers = {name[1:]: number for number, name in enumerate(self.tensors[first:stop])}
        return tuple([numbers[name] for name in sorted(numbers)])


def text(name: bytes) -> str:
    """A name without its length."""
    return name[1:].decode()
