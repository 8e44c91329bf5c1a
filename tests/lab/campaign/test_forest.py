import numpy as np
import pytest

from nnmeter.lab.campaign.forest import fit_trees


def made_up(rows=1500, seed=0):
    """Two groups whose targets are opposite functions of their features."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(0, 1, (rows, 4)).astype(np.float32)
    groups = rng.integers(0, 2, rows)
    signs = np.where(groups == 0, 1.0, -1.0)
    return features, groups, signs * (features[:, 1] + (features[:, 3] > 0.5))


def mean_prediction(trees, features, groups):
    return np.mean([tree.predict(features, groups) for tree in trees], axis=0)


def test_forest_learns_each_group_on_its_own():
    features, groups, targets = made_up()
    trees = fit_trees(features, groups, 2, targets, np.ones(len(targets)), 8, np.random.default_rng(1))
    unseen, unseen_groups, truth = made_up(seed=9)
    error = mean_prediction(trees, unseen, unseen_groups) - truth
    assert np.sqrt(np.mean(error**2)) < 0.15 * truth.std()


def test_same_source_of_splits_gives_the_same_trees():
    features, groups, targets = made_up()
    weights = np.ones(len(targets))
    twice = [fit_trees(features, groups, 2, targets, weights, 2, np.random.default_rng(3)) for _ in range(2)]
    for one, other in zip(*twice, strict=True):
        assert np.array_equal(one.predict(features, groups), other.predict(features, groups))


def test_leaves_keep_their_least_number_of_rows():
    features, groups, targets = made_up(200)
    tree = fit_trees(features, groups, 2, targets, np.ones(200), 1, np.random.default_rng(0), least_rows=30)[0]
    leaves = np.unique(np.round(tree.predict(features, groups), 12), return_counts=True)[1]
    assert leaves.min() >= 30


def test_group_without_rows_is_worth_the_mean_of_all():
    features, groups, targets = made_up(100)
    weights = np.linspace(1, 2, 100)
    tree = fit_trees(features, groups, 3, targets, weights, 1, np.random.default_rng(0))[0]
    found = tree.predict(features[:1], np.array([2]))
    assert found[0] == pytest.approx(np.average(targets, weights=weights))


def test_rows_that_cannot_be_told_apart_share_their_weighted_mean():
    features = np.ones((4, 3), np.float32)
    tree = fit_trees(
        features, np.zeros(4, int), 1, np.array([0.0, 0, 0, 8]), np.array([1.0, 1, 1, 3]), 1, np.random.default_rng(0)
    )[0]
    assert tree.predict(features, np.zeros(4, int)) == pytest.approx([4.0] * 4)
