"""From times to verdicts, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.lab.discovery.decision import LEAST_SWEEPS, Verdict, estimate_share, undisturbed_mean

LAUNCH_MS = 0.016
INFERENCES = 8


def _times(share, sweeps=32, noise=0.02, seed=0, tail_ms=LAUNCH_MS, disturbed=0.3):
    """Milliseconds of the inferences of the five models of a test that saves `share` of the tail."""
    rng = np.random.default_rng(seed)
    means = {
        "empty": 0.04,
        "middle": 0.04,
        "head": 0.04 + 2 * LAUNCH_MS,
        "tail": 0.04 + tail_ms,
        "joined": 0.04 + 2 * LAUNCH_MS + tail_ms * (1 - share),
    }
    times = {}
    for role, mean in means.items():
        shape = (sweeps, INFERENCES)
        slowness = 1 + noise * rng.standard_normal(shape) + (rng.random(shape) < disturbed) * rng.exponential(2, shape)
        times[role] = mean * slowness
    return times


@pytest.mark.parametrize(("share", "verdict"), [(1.0, Verdict.FUSED), (0.0, Verdict.SEPARATE)])
def test_clear_cases_are_decided(share, verdict):
    estimate = estimate_share(_times(share), branches=8)
    assert estimate.verdict is verdict
    assert estimate.interval[0] < estimate.share < estimate.interval[1]
    assert estimate.tail_ms == pytest.approx(LAUNCH_MS / 8, rel=0.1)
    assert estimate.head_ms == pytest.approx(2 * LAUNCH_MS / 8, rel=0.1)
    assert estimate.saved_ms == pytest.approx(share * LAUNCH_MS / 8, abs=0.1 * LAUNCH_MS / 8)
    assert estimate.sweeps == 32


def test_more_sweeps_decide_what_noise_leaves_undecided():
    assert estimate_share(_times(1.0, 16, noise=0.4), 8).verdict is Verdict.UNDECIDED
    assert estimate_share(_times(1.0, 256, noise=0.2), 8, copies=8).verdict is Verdict.FUSED


def test_sweeps_of_one_copy_leave_the_spread_between_copies():
    one, many = (estimate_share(_times(1.0, 256, noise=0.001), 8, copies) for copies in (1, 8))
    assert one.share == many.share
    assert np.ptp(one.interval) > 2 * np.ptp(many.interval)


def test_an_operator_that_takes_no_time_is_not_decided():
    for seed in range(20):
        estimate = estimate_share(_times(0.0, tail_ms=0.0, seed=seed), 8)
        assert estimate.too_small
        assert estimate.verdict is Verdict.UNDECIDED
        assert np.isfinite(estimate.interval).all()


def test_a_few_sweeps_decide_nothing():
    assert estimate_share(_times(1.0, 1, noise=0), 8).verdict is Verdict.UNDECIDED
    assert estimate_share(_times(1.0, LEAST_SWEEPS, noise=0), 8).verdict is Verdict.FUSED


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_wrong_verdicts_are_rare(share):
    wrong = Verdict.FUSED if share == 0 else Verdict.SEPARATE
    verdicts = [estimate_share(_times(share, 16, 0.1, seed), 8).verdict for seed in range(60)]
    assert verdicts.count(wrong) == 0
    assert verdicts.count(Verdict.UNDECIDED) < 50


def test_the_interval_holds_the_truth():
    held = 0
    for seed in range(60):
        low, high = estimate_share(_times(0.7, 32, 0.03, seed), 8, seed=seed).interval
        held += low <= 0.7 <= high
    assert held >= 57


def test_the_undisturbed_mean_ignores_interruptions():
    quiet = np.linspace(1.0, 1.1, 100)
    disturbed = np.where(np.arange(100) % 2, quiet, quiet * 40)
    assert undisturbed_mean(quiet) == pytest.approx(1.0, rel=0.03)
    assert undisturbed_mean(disturbed) == pytest.approx(undisturbed_mean(quiet), rel=0.03)
    assert undisturbed_mean(np.array([[1.0], [2.0]])).tolist() == [1.0, 2.0]
