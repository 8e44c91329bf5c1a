"""The terms of a table: which choices each has, and the entries that fit predictions best.

Rules:

1. The terms are the cliques of the graph of choices that matter together (`nnmeter.search.interactions`), cut to an
   order: of a clique of more choices than that, all parts of as many. A clique whose table would have more than
   `MAX_ENTRIES` entries is cut in the same way.
2. Entries are fitted by least squares of the relative error. A term is fitted as the sum of tables of all parts of it,
   down to the constant, with conjugate gradients from nought: of all fits that are equally good the one with the
   smallest entries is taken, so that a combination of options that was never seen is priced by its parts. The tables
   of parts are added up in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from math import prod

import numpy as np

from nnmeter.search.terms import Term

MAX_ENTRIES = 50_000  # of one term
_MOST_STEPS = 2_000
_CONVERGED = 1e-7  # largest relative error of a fit that needs no more steps

Choices = tuple[int, ...]


def choose_terms(edges: Iterable[tuple[int, int]], sizes: Sequence[int], order: int) -> list[Choices]:
    """The choices of each term (rule 1), none a part of another."""
    neighbours: dict[int, set[int]] = {at: set() for at in range(len(sizes))}
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    pending = {tuple(sorted(clique)) for clique in _cliques(neighbours)}
    found: set[Choices] = set()
    while pending:
        clique = pending.pop()
        if len(clique) > 1 and (len(clique) > order or prod(sizes[at] for at in clique) > MAX_ENTRIES):
            pending |= set(combinations(clique, len(clique) - 1))
        else:
            found.add(clique)
    return sorted(term for term in found if not any(set(term) < set(other) for other in found)) or [()]


def largest_clique(edges: Iterable[tuple[int, int]], sizes: Sequence[int]) -> int:
    """Most choices that a term can have."""
    return max(map(len, choose_terms(edges, sizes, len(sizes))))


def _cliques(neighbours: dict[int, set[int]]) -> list[set[int]]:
    """All maximal cliques (Bron and Kerbosch 1973, with a pivot)."""
    found: list[set[int]] = []
    stack: list[tuple[set[int], set[int], set[int]]] = [(set(), set(neighbours), set())]
    while stack:
        clique, open_, done = stack.pop()
        if not open_ and not done:
            found.append(clique)
            continue
        pivot = max(open_ | done, key=lambda at: len(neighbours[at] & open_))
        for at in sorted(open_ - neighbours[pivot]):
            stack.append((clique | {at}, open_ & neighbours[at], done & neighbours[at]))
            open_ = open_ - {at}
            done = done | {at}
    return found


def parts(terms: Iterable[Choices]) -> list[Choices]:
    """All parts of all terms, the smallest first."""
    found = {part for term in terms for size in range(len(term) + 1) for part in combinations(term, size)}
    return sorted(found, key=lambda part: (len(part), part))


def freedom(terms: Iterable[Choices], sizes: Sequence[int]) -> int:
    """How many numbers determine the sum of some terms."""
    return sum(prod(sizes[at] - 1 for at in part) for part in parts(terms))


def uncovered(rows: np.ndarray, terms: Sequence[Choices], sizes: Sequence[int], least: int) -> list[np.ndarray]:
    """The combinations of options, as numbers of entries, that fewer than `least` rows have, for each term."""
    found = []
    for term in terms:
        count = np.bincount(_places(rows, term, sizes), minlength=prod(sizes[at] for at in term))
        found.append(np.flatnonzero(count < least))
    return found


def _places(rows: np.ndarray, choices: Choices, sizes: Sequence[int]) -> np.ndarray:
    at = np.zeros(len(rows), np.int64)
    for choice in choices:
        at = at * sizes[choice] + rows[:, choice]
    return at


def fit_terms(rows: np.ndarray, latency_ms: np.ndarray, terms: Sequence[Choices], sizes: Sequence[int]) -> list[Term]:
    """The terms with their entries (rule 2).

    Args:
        rows: candidates [candidates, choices].
        latency_ms: of each [candidates].
        terms: the choices of each term.
        sizes: how many options each choice has.
    """
    tables = parts(terms)
    shapes = [tuple(sizes[at] for at in part) for part in tables]
    starts = np.concatenate(([0], np.cumsum([prod(shape) for shape in shapes])))
    places = np.empty((len(rows), len(tables)), np.int32)
    for column, part in enumerate(tables):
        places[:, column] = starts[column] + _places(rows, part, sizes)
    entries = least_squares(places, 1.0 / latency_ms, int(starts[-1]))
    whole = {term: np.zeros([sizes[at] for at in term]) for term in terms}
    for column, (part, shape) in enumerate(zip(tables, shapes, strict=True)):
        owner = next(term for term in terms if set(part) <= set(term))
        spread = tuple(sizes[at] if at in part else 1 for at in owner)
        whole[owner] += entries[starts[column] : starts[column + 1]].reshape(shape).reshape(spread)
    return [Term(term, table) for term, table in whole.items()]


def least_squares(places: np.ndarray, weights: np.ndarray, count: int, nothing: int = -1) -> np.ndarray:
    """The smallest entries whose sums, weighted, are nearest to one [count].

    Conjugate gradients on the normal equations, each unknown scaled by the length of its column.

    Args:
        places: the entries that each row sums [rows, summands].
        weights: of the rows [rows].
        count: number of entries.
        nothing: the entry that is 0 and stays so, if there is one.
    """
    width = places.shape[1]
    flat = places.ravel()
    squares = np.bincount(flat, np.repeat(weights**2, width), count)
    scale = 1.0 / np.sqrt(np.where(squares > 0, squares, 1.0))
    if nothing >= 0:
        scale[nothing] = 0.0

    def sums(entries: np.ndarray) -> np.ndarray:
        return (scale * entries).take(flat).reshape(places.shape).sum(axis=1) * weights

    def spread(values: np.ndarray) -> np.ndarray:
        return np.bincount(flat, np.repeat(values * weights, width), count) * scale

    entries = np.zeros(count)
    rest = np.ones(len(places))
    slope = spread(rest)
    direction = slope.copy()
    power = float(slope @ slope)
    for _ in range(_MOST_STEPS):
        if power == 0.0 or np.abs(rest).max() < _CONVERGED:
            break
        image = sums(direction)
        step = power / float(image @ image)
        entries += step * direction
        rest -= step * image
        slope = spread(rest)
        before, power = power, float(slope @ slope)
        if power < 1e-24 * len(places):
            break
        direction = slope + (power / before) * direction
    return entries * scale
