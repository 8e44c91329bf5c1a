"""Trained LightGBM ensembles as `TreeEnsemble`s, trees of more leaves than a pack holds as several."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from nnmeter.predictor.trees import MAX_LEAVES, TreeEnsemble, round_down_to_float32

# A tree: the value of a leaf, or (feature, threshold, left, right).
Node: TypeAlias = "float | tuple[int, float, Node, Node]"


class _Builder:
    """Collects trees."""

    def __init__(self, bias: float) -> None:
        self.bias = bias
        self.feature: list[int] = []
        self.threshold: list[float] = []
        self.first: list[int] = []
        self.end: list[int] = []
        self.value: list[float] = []
        self.node_counts: list[int] = []

    def add(self, root: Node) -> None:
        """Add a tree; one with too many leaves for a word as the trees that it is the sum of."""
        if not isinstance(root, tuple):
            self.bias += root
            return
        for tree in split_tree(root):
            self._add_one(tree)

    def _add_one(self, root: Any) -> None:
        leaves: list[float] = []
        nodes = 0

        def visit(node: Node) -> None:
            nonlocal nodes
            if not isinstance(node, tuple):
                leaves.append(node)
                return
            feature, threshold, left, right = node
            nodes += 1
            index = len(self.feature)
            self.feature.append(feature)
            self.threshold.append(threshold)
            self.first.append(len(leaves))
            self.end.append(0)
            visit(left)
            self.end[index] = len(leaves)
            visit(right)

        visit(root)
        self.value += leaves
        self.node_counts.append(nodes)

    def build(self) -> TreeEnsemble:
        return TreeEnsemble(
            np.array(self.feature, np.uint8),
            round_down_to_float32(np.array(self.threshold, np.float64)),
            np.array(self.first, np.uint8),
            np.array(self.end, np.uint8),
            np.array(self.value, np.float32),
            np.array(self.node_counts, np.uint8),
            self.bias,
        )


def split_tree(root: Node, most_leaves: int = MAX_LEAVES) -> list[Node]:
    """Trees of at most `most_leaves` leaves whose sum is `root`; itself, if it is small enough.

    Each has the values of one run of its leaves, from left to right. What lies beside the run is one leaf of value 0
    for every branch that leads there, so that a tree of L leaves and depth d becomes at most L / (most_leaves - 2d).

    Args:
        root: nested (feature, threshold, left, right) with numbers as leaves.
        most_leaves: leaves of a part.

    Raises:
        ValueError: the tree is too deep for that.
    """
    sizes: dict[int, int] = {}

    def count(node: Node) -> int:
        if not isinstance(node, tuple):
            return 1
        size = sizes[id(node)] = count(node[2]) + count(node[3])
        return size

    def size_of(node: Node) -> int:
        return sizes[id(node)] if isinstance(node, tuple) else 1

    def leaves_within(node: Node, start: int, end: int) -> int:
        """Leaves of the part for the leaves from `start` to `end`, counted from the node's first."""
        size = size_of(node)
        if end <= 0 or start >= size:
            return 1
        if not isinstance(node, tuple) or (start <= 0 and end >= size):
            return size
        middle = size_of(node[2])
        return leaves_within(node[2], start, end) + leaves_within(node[3], start - middle, end - middle)

    def part(node: Node, start: int, end: int) -> Node:
        size = size_of(node)
        if end <= 0 or start >= size:
            return 0.0
        if not isinstance(node, tuple) or (start <= 0 and end >= size):
            return node
        middle = size_of(node[2])
        return (*node[:2], part(node[2], start, end), part(node[3], start - middle, end - middle))

    total = count(root)
    parts = []
    start = 0
    while start < total:
        longest = range(min(start + most_leaves, total), start, -1)
        end = next((end for end in longest if leaves_within(root, start, end) <= most_leaves), start)
        if end == start:
            raise ValueError(f"a tree deeper than {most_leaves - 1} nodes cannot be split")
        parts.append(part(root, start, end))
        start = end
    return parts


def ensemble_from_lightgbm(booster: Any) -> TreeEnsemble:
    """A LightGBM booster of numeric features without missing values."""
    builder = _Builder(0.0)

    def nested(node: dict[str, Any]) -> Node:
        if "leaf_value" in node:
            return float(node["leaf_value"])
        return (
            int(node["split_feature"]),
            float(node["threshold"]),
            nested(node["left_child"]),
            nested(node["right_child"]),
        )

    model = booster.dump_model()
    for tree in model["tree_info"]:
        builder.add(nested(tree["tree_structure"]))
    ensemble = builder.build()
    if model.get("average_output"):
        ensemble.value /= np.float32(len(model["tree_info"]))
        ensemble.bias /= len(model["tree_info"])
    return ensemble
