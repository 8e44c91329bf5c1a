"""Trained LightGBM and scikit-learn ensembles, and tables of codes, as `TreeEnsemble`s."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from nnmeter.predictor.trees import TreeEnsemble, round_down_to_float32

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
        if not isinstance(root, tuple):
            self.bias += root
            return
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


def ensemble_from_lightgbm(booster: Any) -> TreeEnsemble:
    """A LightGBM booster of numeric features without missing values, at most 64 leaves a tree."""
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


def ensemble_from_forest(forest: Any) -> TreeEnsemble:
    """A scikit-learn `RandomForestRegressor` whose trees have at most 64 leaves."""
    builder = _Builder(0.0)
    count = len(forest.estimators_)
    for estimator in forest.estimators_:
        tree = estimator.tree_

        def nested(index: int, tree: Any = tree) -> Node:
            if tree.children_left[index] < 0:
                return float(tree.value[index].ravel()[0]) / count
            return (
                int(tree.feature[index]),
                float(tree.threshold[index]),
                nested(tree.children_left[index]),
                nested(tree.children_right[index]),
            )

        builder.add(nested(0))
    return builder.build()
