"""Extremely randomised trees (Geurts, Ernst, Wehenkel 2006) in NumPy: fast to fit, and one thread without being told.

1. A row begins at the root of its group and never leaves it, so one forest serves many groups of rows whose features
   mean different things.
2. A node tries a few random features that vary in its group, each with a threshold half-way between two random rows of
   the node, and takes the one that lowers the weighted squared error most.
3. All nodes of a level are split at once, by sums over rows; the cost of a level does not depend on their number.
4. A group without rows is worth the mean of all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_CANDIDATES = 8
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Tree:
    """Nodes in arrays; the first ones are the roots of the groups. A leaf has feature -1."""

    feature: Array
    threshold: Array
    left: Array  # the right child stands behind the left one
    value: Array

    def predict(self, features: Array, groups: Array) -> Array:
        """Value of the leaf of each row."""
        node = groups.astype(np.int64)
        rows = np.flatnonzero(self.feature[node] >= 0)
        while len(rows):
            at = node[rows]
            node[rows] = self.left[at] + (features[rows, self.feature[at]] > self.threshold[at])
            rows = rows[self.feature[node[rows]] >= 0]
        return np.asarray(self.value[node])


def fit_trees(
    features: Array,
    groups: Array,
    group_count: int,
    targets: Array,
    weights: Array,
    trees: int,
    rng: np.random.Generator,
    least_rows: int = 2,
    row_share: float = 1.0,
) -> list[Tree]:
    """Fits trees with different random splits, each to its own random part of the rows.

    Args:
        features: of shape (rows, features), float32.
        groups: group of each row.
        group_count: number of groups, those without rows included.
        targets: of shape (rows,).
        weights: of shape (rows,), positive.
        trees: number of trees.
        rng: source of the splits.
        least_rows: rows that a leaf has at least.
        row_share: share of the rows that a tree is fitted to.
    """
    varying, counts = _varying_features(features, groups, group_count)
    found = []
    for _ in range(trees):
        kept = rng.random(len(targets)) < row_share
        rows = features[kept], groups[kept]
        found.append(_grow(*rows, group_count, targets[kept], weights[kept], rng, least_rows, varying, counts))
    return found


def _varying_features(features: Array, groups: Array, group_count: int) -> tuple[Array, Array]:
    """For each group the features that vary in it, padded, and how many they are."""
    order = np.argsort(groups, kind="stable")
    present, starts = np.unique(groups[order], return_index=True)
    table = np.zeros((group_count, features.shape[1]), np.int64)
    counts = np.zeros(group_count, np.int64)
    for group, rows in zip(present, np.split(order, starts[1:]), strict=True):
        own = features[rows]
        found = np.flatnonzero(own.max(axis=0) > own.min(axis=0))
        table[group, : len(found)] = found
        counts[group] = len(found)
    return table, counts


def _grow(
    features: Array,
    groups: Array,
    group_count: int,
    targets: Array,
    weights: Array,
    rng: np.random.Generator,
    least_rows: int,
    varying: Array,
    varying_counts: Array,
) -> Tree:
    total = float(np.average(targets, weights=weights)) if len(targets) else 0.0
    root_weight = np.bincount(groups, weights, group_count)
    root_sum = np.bincount(groups, weights * targets, group_count)
    value = [np.where(root_weight > 0, root_sum / np.maximum(root_weight, 1e-30), total)]
    feature = [np.full(group_count, -1)]
    threshold = [np.zeros(group_count, np.float32)]
    left = [np.zeros(group_count, np.int64)]
    made = group_count
    rows = np.arange(len(groups))
    place = groups.astype(np.int64)  # of each row in `rows`: position of its node in the level
    root = np.arange(group_count)  # of each node of the level: its group
    for _ in range(_DEEPEST):
        w, y = weights[rows], targets[rows]
        size = len(root)
        count = np.bincount(place, minlength=size)
        weight, total_y = np.bincount(place, w, size), np.bincount(place, w * y, size)
        error = np.bincount(place, w * y * y, size) - total_y**2 / np.maximum(weight, 1e-30)
        open_ = (count >= 2 * least_rows) & (varying_counts[root] > 0) & (error > 1e-7 * weight)
        if not open_.any():
            break
        # From here on only rows of nodes that may be split.
        kept = open_[place]
        rows, w, y = rows[kept], w[kept], y[kept]
        short = (np.cumsum(open_) - 1)[place[kept]]
        nodes = np.flatnonzero(open_)
        split, limit = _best_splits(
            features, rows, short, w, y, count[nodes], weight[nodes], total_y[nodes], root[nodes],
            varying, varying_counts, rng, least_rows,
        )  # fmt: skip
        chosen = split >= 0
        if not chosen.any():
            break
        level_feature, level_threshold, level_left = feature[-1], threshold[-1], left[-1]
        level_feature[nodes[chosen]] = split[chosen]
        level_threshold[nodes[chosen]] = limit[chosen]
        level_left[nodes[chosen]] = made + 2 * np.arange(int(chosen.sum()))
        kept = chosen[short]
        rows, w, y, short = rows[kept], w[kept], y[kept], short[kept]
        rank = (np.cumsum(chosen) - 1)[short]
        place = 2 * rank + (features[rows, split[short]] > limit[short])
        root = np.repeat(root[nodes[chosen]], 2)
        size = len(root)
        value.append(np.bincount(place, w * y, size) / np.bincount(place, w, size))
        feature.append(np.full(size, -1))
        threshold.append(np.zeros(size, np.float32))
        left.append(np.zeros(size, np.int64))
        made += size
    return Tree(np.concatenate(feature), np.concatenate(threshold), np.concatenate(left), np.concatenate(value))


def _best_splits(
    features: Array,
    rows: Array,
    place: Array,
    w: Array,
    y: Array,
    count: Array,
    weight: Array,
    total_y: Array,
    root: Array,
    varying: Array,
    varying_counts: Array,
    rng: np.random.Generator,
    least_rows: int,
) -> tuple[Array, Array]:
    """Feature (-1 for none) and threshold of every node (rule 2)."""
    size = len(count)
    order = np.argsort(place, kind="stable")
    starts = np.cumsum(count) - count
    best_gain = np.full(size, 1e-12)
    best, limit = np.full(size, -1), np.zeros(size, np.float32)
    wy = w * y
    for _ in range(_CANDIDATES):
        draw = rng.random((3, size))
        tried = varying[root, (draw[0] * varying_counts[root]).astype(np.int64)]
        ends = [features[rows[order[starts + (draw[i] * count).astype(np.int64)]], tried] for i in (1, 2)]
        middle = (ends[0] + ends[1]) / 2
        below = features[rows, tried[place]] <= middle[place]
        below_place = place[below]
        below_count = np.bincount(below_place, minlength=size)
        below_weight = np.bincount(below_place, w[below], size)
        below_y = np.bincount(below_place, wy[below], size)
        valid = (below_count >= least_rows) & (count - below_count >= least_rows)
        above_weight = np.where(valid, weight - below_weight, 1.0)
        below_weight = np.where(valid, below_weight, 1.0)
        gain = below_y**2 / below_weight + (total_y - below_y) ** 2 / above_weight - total_y**2 / weight
        better = valid & (gain > best_gain)
        best_gain = np.where(better, gain, best_gain)
        best = np.where(better, tried, best)
        limit = np.where(better, middle, limit)
    return best, limit.astype(np.float32)
