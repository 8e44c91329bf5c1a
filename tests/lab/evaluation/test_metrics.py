"""The metrics agree with their definitions and with hand-computed cases."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.lab.evaluation.metrics import compute_metrics, kendall_tau_b, spearman_rho
from nnmeter.lab.evaluation.scorecard import ScoredModel, score_models


def test_shares_and_errors_by_hand() -> None:
    metrics = compute_metrics([105.0, 89.0, 100.0, 200.0], [100.0] * 4)
    assert metrics.within_5 == 50.0  # 5 % and 0 %
    assert metrics.within_10 == 50.0
    assert metrics.mape == pytest.approx((5 + 11 + 0 + 100) / 4)
    assert metrics.median_error == pytest.approx(8.0)
    assert metrics.rmspe == pytest.approx(100 * np.sqrt((0.05**2 + 0.11**2 + 1) / 4))
    assert metrics.bias == pytest.approx((5 - 11 + 100) / 4)


def test_rank_correlations_know_order_and_ties() -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert kendall_tau_b(a, a) == spearman_rho(a, a) == pytest.approx(1.0)
    assert kendall_tau_b(a, -a) == spearman_rho(a, -a) == pytest.approx(-1.0)
    # One tie on one side: (5 concordant pairs) / sqrt(6 x 5).
    assert kendall_tau_b(a, np.array([1.0, 2.0, 2.0, 3.0])) == pytest.approx(5 / np.sqrt(30))
    assert kendall_tau_b(a, np.ones(4)) == spearman_rho(a, np.ones(4)) == 0.0


@pytest.mark.parametrize("lengths", [(0, 0), (1, 2)])
def test_nothing_to_compare_is_an_error(lengths: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="equally long"):
        compute_metrics([1.0] * lengths[0], [1.0] * lengths[1])


def test_a_scorecard_counts_intervals_families_and_noise() -> None:
    rows = [
        ScoredModel("a", "one", 10.0, (10.0, 10.5), 10.2, 9.5, 11.0, 0.0, {"flops": 20.0}),
        ScoredModel("b", "two", 10.0, (10.0, 10.0), 15.0, 13.0, 17.0, 0.1, {"flops": 10.0}),
    ]
    card = score_models("device", "by family", "rules", 0.9, rows)
    assert card.interval_coverage == 50.0
    assert card.worst_family == "two"
    assert card.noise_floor is not None and card.noise_floor.within_5 == 100.0
    assert card.baselines["flops"].within_10 == 50.0
    document = card.to_dict()
    assert document["families"]["one"]["models"] == 1
    assert [m["model"] for m in document["models"]] == ["a", "b"]


def test_the_worst_large_family_has_three_models_and_the_least_share() -> None:
    def row(family: str, predicted_ms: float) -> ScoredModel:
        return ScoredModel("m", family, 10.0, None, predicted_ms, 9.0, 11.0, 0.0, {})

    pair = [row("pair", 20.0)] * 2
    good, fair = [row("good", 10.9)] * 3, [row("fair", 10.0), row("fair", 10.0), row("fair", 11.2)]
    card = score_models("device", "split", "rules", 0.9, pair + good + fair)
    assert card.worst_family == "pair"
    assert card.worst_large_family == "fair"
    assert score_models("device", "split", "rules", 0.9, pair).to_dict()["worst_large_family"] is None
