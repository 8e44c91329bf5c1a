"""Which choices matter together.

Rules:

1. Two choices matter together where their changes do not add up: the second difference `f(x) - f(x with a changed) -
   f(x with b changed) + f(x with both changed)` is not zero for some candidate x and some change. Predictions have no
   noise, so that anything beyond rounding counts.
2. If a pair never matters together, no term of the decomposition (Sobol' 2003) has both. So latency is a sum over the
   cliques of the graph whose edges are the pairs that do.
3. All pairs are tried at some anchors: a slow candidate, for blocks that are there show more than those that depth
   leaves out, and random ones; later where the table was furthest off.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from nnmeter.search.oracle import Latencies

ROUNDING = 1e-8  # of a latency: what sums in another order leave


class Interactions:
    """The pairs of choices that matter together, as far as they were seen.

    Attributes:
        strength: the largest second difference of each pair as a share of the latency [choices, choices].
        rows: the candidates that were predicted to find them [candidates, choices].
    """

    def __init__(self, oracle: Latencies) -> None:
        """Begin with no pair."""
        count = len(oracle.space.names)
        self._oracle = oracle
        self.strength = np.zeros((count, count))
        self.rows = np.zeros((0, count), np.int64)

    def look_at(self, anchor: np.ndarray, other: np.ndarray) -> bool:
        """Try all pairs at an anchor (rule 3), each choice changed to what it is in another candidate.

        Returns:
            Whether a pair was found that was not known.
        """
        changed = np.flatnonzero(anchor != other)
        pairs = list(combinations(range(len(changed)), 2))
        rows = np.repeat(anchor[None, :], 1 + len(changed) + len(pairs), axis=0)
        for at, choice in enumerate(changed, 1):
            rows[at, choice] = other[choice]
        for at, (a, b) in enumerate(pairs, 1 + len(changed)):
            rows[at, changed[a]] = other[changed[a]]
            rows[at, changed[b]] = other[changed[b]]
        latency = self._oracle(rows)
        self.rows = np.concatenate([self.rows, rows])
        before = np.count_nonzero(self.strength)
        base, single = latency[0], latency[1 : 1 + len(changed)]
        for (a, b), both in zip(pairs, latency[1 + len(changed) :], strict=True):
            share = abs(both - single[a] - single[b] + base) / min(both, single[a], single[b], base)
            if share > ROUNDING:
                i, j = int(changed[a]), int(changed[b])
                self.strength[i, j] = self.strength[j, i] = max(self.strength[i, j], share)
        return bool(np.count_nonzero(self.strength) > before)

    def edges(self, slack: float) -> set[tuple[int, int]]:
        """The pairs that matter together, without the weakest, whose strengths sum to no more than `slack`."""
        first, second = np.nonzero(np.triu(self.strength))
        strengths = self.strength[first, second]
        order = np.argsort(strengths)
        kept = order[np.cumsum(strengths[order]) > slack]
        return {(int(first[at]), int(second[at])) for at in kept}


def slowest(oracle: Latencies, start: np.ndarray) -> np.ndarray:
    """A slow candidate: from a start, each choice in turn takes the option that makes it slowest."""
    row = start.copy()
    for choice, size in enumerate(oracle.space.sizes):
        rows = np.repeat(row[None, :], size, axis=0)
        rows[:, choice] = np.arange(size)
        row = rows[int(np.argmax(oracle(rows)))]
    return row
