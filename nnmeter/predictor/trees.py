"""Ensembles of regression trees as plain arrays, evaluated with numpy alone.

The evaluation is QuickScorer's (Lucchese et al., SIGIR 2015), vectorised: the leaves of a tree, numbered from left to
right, are the bits of one word. An internal node whose test fails removes the leaves of its left subtree; what remains
of the word after all nodes were tested, in any order, has the exit leaf as its lowest bit. There is no walk from node
to node, so numpy tests all nodes of all trees at once. Nodes that ask the same, which most do, for trainers choose
thresholds from few, are tested once; and words are as narrow as the largest tree allows.

Rules:

1. A test is `x[feature] <= threshold`, left if true. Thresholds are float32, rounded towards minus infinity, so that a
   float32 feature compares as with the double that the trainer chose.
2. A tree has 2 to 64 leaves. A constant tree is added to the bias.
3. An internal node is stored as (feature, threshold, first leaf, end leaf of its left subtree); a leaf as its value.
4. Arrays are checked when they are loaded: sizes, ranges, finite numbers (`TreeEnsemble.validate`). There are no child
   indices that could lead out of a tree or round in it: whatever ranges its nodes name, some leaf remains, for none can
   remove the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from nnmeter.predictor.checks import damaged

MAX_LEAVES = 64
_CHUNK_CELLS = 250_000  # rows x nodes evaluated at once: 1 MB of words, which the caches hold

ARRAYS = {
    "feature": np.uint8,
    "threshold": np.float32,
    "first": np.uint8,
    "end": np.uint8,
    "value": np.float32,
    "node_counts": np.uint8,
}


class _Prepared(NamedTuple):
    """What evaluation needs of an ensemble beside the values of its leaves.

    Attributes:
        columns, thresholds: feature and threshold of each distinct test [tests], [tests, 1].
        question: distinct test of each internal node [nodes].
        masks: word without the leaves that a failed test removes [nodes, 1].
        starts, leaf_starts: first node and first leaf of each tree [trees].
    """

    columns: np.ndarray
    thresholds: np.ndarray
    question: np.ndarray
    masks: np.ndarray
    starts: np.ndarray
    leaf_starts: np.ndarray


@dataclass(slots=True)
class TreeEnsemble:
    """A sum (or mean, if the trainer divided the values) of regression trees.

    Attributes:
        feature: feature tested by each internal node [nodes].
        threshold: its threshold [nodes].
        first: number of the first leaf below its left child [nodes].
        end: one past the last leaf below its left child [nodes].
        value: value of each leaf, tree after tree [leaves].
        node_counts: internal nodes of each tree [trees]; a tree has one leaf more.
        bias: constant added to the sum.
    """

    feature: np.ndarray
    threshold: np.ndarray
    first: np.ndarray
    end: np.ndarray
    value: np.ndarray
    node_counts: np.ndarray
    bias: float
    _prepared: _Prepared | None = field(default=None, init=False, repr=False, compare=False)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Values of `rows`, float32 [n, features], as float64 [n]."""
        count = len(rows)
        if not len(self.node_counts):
            return np.full(count, self.bias)
        if self._prepared is None:
            self._prepared = self._prepare()
        step = max(1, _CHUNK_CELLS // len(self.feature))
        parts = [self._predict_chunk(rows[i : i + step], self._prepared) for i in range(0, count, step)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _prepare(self) -> _Prepared:
        counts = self.node_counts.astype(np.intp)
        word = next(t for t in (np.uint16, np.uint32, np.uint64) if counts.max() < np.iinfo(t).bits)
        width = (self.end - self.first).astype(np.uint64)
        below = (np.left_shift(np.uint64(1), width) - np.uint64(1)) << self.first.astype(np.uint64)
        questions = self.feature.astype(np.uint64) << np.uint64(32) | np.ascontiguousarray(self.threshold).view(
            np.uint32
        )
        _, distinct, question = np.unique(questions, return_index=True, return_inverse=True)
        starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
        return _Prepared(
            self.feature[distinct].astype(np.intp),
            self.threshold[distinct][:, None],
            question,
            (~below).astype(word)[:, None],
            starts,
            starts + np.arange(len(counts)),
        )

    def _predict_chunk(self, rows: np.ndarray, prepared: _Prepared) -> np.ndarray:
        failed = np.ascontiguousarray(rows.T).take(prepared.columns, axis=0) > prepared.thresholds
        words = failed.astype(prepared.masks.dtype)
        words -= 1  # no bit where the test failed, all bits where it passed
        words = words.take(prepared.question, axis=0)
        words |= prepared.masks
        words = np.ascontiguousarray(np.bitwise_and.reduceat(words, prepared.starts, axis=0).T)
        lowest = words & np.negative(words)
        leaf = (lowest.astype(np.float64).view(np.int64) >> 52) - 1023
        return self.bias + self.value.take(leaf + prepared.leaf_starts).sum(axis=1, dtype=np.float64)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays to store, by the names of `ARRAYS`."""
        return {name: np.ascontiguousarray(getattr(self, name), dtype) for name, dtype in ARRAYS.items()}

    def validate(self, features: int) -> None:
        """Raise DeviceError unless every index is in range and every number finite (rule 4)."""
        nodes, trees = len(self.feature), len(self.node_counts)
        if not (len(self.threshold) == len(self.first) == len(self.end) == nodes):
            raise damaged("arrays of internal nodes differ in length")
        counts = self.node_counts.astype(np.int64)
        if counts.sum() != nodes or len(self.value) != nodes + trees or (trees and not counts.min() >= 1):
            raise damaged("counts of nodes and leaves do not fit together")
        if trees and counts.max() >= MAX_LEAVES:
            raise damaged(f"a tree has more than {MAX_LEAVES} leaves")
        if nodes and self.feature.max() >= features:
            raise damaged("a tree tests a feature that does not exist")
        limit = np.repeat(counts, counts)
        if nodes and not ((self.first < self.end) & (self.end <= limit)).all():
            raise damaged("a node's range of leaves is out of range")
        if not (np.isfinite(self.threshold).all() and np.isfinite(self.value).all() and np.isfinite(self.bias)):
            raise damaged("a threshold or a leaf is not a finite number")


def concatenate_ensembles(ensembles: Mapping[str, TreeEnsemble]) -> tuple[dict[str, np.ndarray], dict[str, list[int]]]:
    """Pack several ensembles into one set of arrays; also returns (trees, nodes) of each, in order."""
    arrays = {
        name: np.concatenate([getattr(e, name).astype(dtype) for e in ensembles.values()] or [np.zeros(0, dtype)])
        for name, dtype in ARRAYS.items()
    }
    return arrays, {name: [len(e.node_counts), len(e.feature)] for name, e in ensembles.items()}


def add_ensembles(parts: Sequence[TreeEnsemble]) -> TreeEnsemble:
    """One ensemble whose values are the sums of those of its parts."""
    arrays = {n: np.concatenate([getattr(e, n).astype(dtype) for e in parts]) for n, dtype in ARRAYS.items()}
    return TreeEnsemble(**arrays, bias=float(sum(e.bias for e in parts)))


def split_ensembles(
    arrays: Mapping[str, np.ndarray], sizes: Mapping[str, tuple[int, int]], biases: Mapping[str, float]
) -> dict[str, TreeEnsemble]:
    """The ensembles that `concatenate_ensembles` packed; DeviceError where the sizes do not fit the arrays."""
    ensembles: dict[str, TreeEnsemble] = {}
    tree = node = leaf = 0
    for name, (trees, nodes) in sizes.items():
        if not 0 <= trees <= nodes:
            raise damaged(f"sizes of '{name}' are out of range")
        inner, leaves = slice(node, node + nodes), slice(leaf, leaf + nodes + trees)
        ensembles[name] = TreeEnsemble(
            arrays["feature"][inner],
            arrays["threshold"][inner],
            arrays["first"][inner],
            arrays["end"][inner],
            arrays["value"][leaves],
            arrays["node_counts"][tree : tree + trees],
            float(biases[name]),
        )
        tree, node, leaf = tree + trees, node + nodes, leaf + nodes + trees
    if tree != len(arrays["node_counts"]) or node != len(arrays["feature"]) or leaf != len(arrays["value"]):
        raise damaged("arrays are longer than their sizes say")
    return ensembles


def round_down_to_float32(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 not above each double (rule 1)."""
    single = threshold.astype(np.float32)
    above = single.astype(np.float64) > threshold
    single[above] = np.nextafter(single[above], np.float32(-np.inf))
    return single
