"""Times of groups of operators, given to the kernels that the fusion rules foresee for them.

A tool that names the operators of a model says: these ran together and took so long. The rules say: these are one
kernel. Where the two agree, the time is the kernel's. Where they cut differently, the smallest sets of kernels and
groups that hold the same operators are timed together: a part of a network, of a few kernels. So no time is lost or
counted twice, and nothing is assumed of the runtime but what it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nnmeter.kernels.kernel import Kernel


@dataclass(frozen=True, slots=True)
class TimedGroup:
    """Operators that ran together.

    Attributes:
        name: what the tool calls it.
        nodes: names of the operators in the model.
        ms: milliseconds that it took.
    """

    name: str
    nodes: frozenset[str]
    ms: float


@dataclass(frozen=True, slots=True)
class Part:
    """Kernels and the groups that hold the same operators."""

    kernels: tuple[int, ...]
    groups: tuple[int, ...]
    ms: float


def align(kernels: Sequence[Kernel], groups: Sequence[TimedGroup]) -> list[Part]:
    """The parts of a network, in the order of their first kernels; parts without a kernel come last.

    Args:
        kernels: as the rules foresee them.
        groups: as the tool timed them; their nodes may be unknown to the kernels.
    """
    owner: dict[str, int] = {}
    parent = list(range(len(kernels) + len(groups)))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    nodes_of = [*(kernel.nodes for kernel in kernels), *(group.nodes for group in groups)]
    for item, nodes in enumerate(nodes_of):
        for node in nodes:
            if node in owner:
                parent[root(item)] = root(owner[node])
            else:
                owner[node] = item
    parts: dict[int, tuple[list[int], list[int]]] = {}
    for item in range(len(parent)):
        own = parts.setdefault(root(item), ([], []))
        own[item >= len(kernels)].append(item - (len(kernels) if item >= len(kernels) else 0))
    found = [Part(tuple(mine), tuple(theirs), sum(groups[i].ms for i in theirs)) for mine, theirs in parts.values()]
    return sorted(found, key=lambda part: (not part.kernels, part.kernels, part.groups))
