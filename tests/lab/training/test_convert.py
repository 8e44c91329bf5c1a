"""Trees of trainers as trees that a pack can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnmeter.lab.training.convert import split_tree
from nnmeter.lab.training.regressors import PRESETS, fit_regressor
from nnmeter.predictor.trees import MAX_LEAVES


def leaves(node: Any) -> list[float]:
    return leaves(node[2]) + leaves(node[3]) if isinstance(node, tuple) else [node]


def value(node: Any, row: np.ndarray) -> float:
    while isinstance(node, tuple):
        node = node[2] if row[node[0]] <= node[1] else node[3]
    return float(node)


def grown(generator: np.random.Generator, depth: int) -> Any:
    """A tree of three features, some branches ending early."""
    if depth == 0 or (depth < 8 and generator.random() < 0.1):
        return float(generator.normal())
    halves = (grown(generator, depth - 1), grown(generator, depth - 1))
    return (int(generator.integers(3)), float(generator.normal()), *halves)


@pytest.mark.parametrize("most_leaves", [20, MAX_LEAVES])
def test_a_tree_is_the_sum_of_its_parts(most_leaves: int) -> None:
    generator = np.random.default_rng(3)
    tree = grown(generator, 10)
    parts = split_tree(tree, most_leaves)
    assert len(leaves(tree)) > 3 * most_leaves
    assert max(len(leaves(part)) for part in parts) <= most_leaves
    for row in generator.normal(size=(300, 3)):
        # Exactly, not nearly: all parts but one say 0.
        assert sum(value(part, row) for part in parts) == value(tree, row)


def test_a_small_tree_stays_as_it_is() -> None:
    tree = (0, 0.5, 1.0, (1, 0.25, 2.0, 3.0))
    assert split_tree(tree, 3) == [tree]


def test_a_tree_that_is_a_chain_deeper_than_a_part_is_refused() -> None:
    chain: Any = 1.0
    for number in range(80):
        chain = (0, float(number), chain, 2.0)
    with pytest.raises(ValueError, match="deeper"):
        split_tree(chain, 64)


def test_a_forest_of_large_trees_is_held_by_trees_that_a_pack_can_hold() -> None:
    pytest.importorskip("lightgbm")
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(3000, 5)).astype(np.float32)
    target = np.sin(3 * rows[:, 0]) + rows[:, 1] * rows[:, 2]
    preset = PRESETS["random-forest"]
    learned = fit_regressor("random-forest", preset, rows, target, generator.uniform(0.5, 2.0, 3000), 7)
    ensemble = learned.ensemble()
    ensemble.validate(5)
    assert len(ensemble.node_counts) > 4 * preset.trees, "trees of more than 64 leaves are split"
    assert ensemble.predict(rows) == pytest.approx(learned.predict(rows), abs=1e-5)
    assert np.abs(ensemble.predict(rows) - target).mean() < 0.3
