"""What a profiler of running means tells is turned back into single runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmeter.lab.runtimes.running_means import straightest_paces, times_of_runs


def told(times_us):
    """What OpenVINO's counter tells after each run of the given durations."""
    sums = np.cumsum(np.floor(times_us), axis=0)
    counts = np.arange(1, len(times_us) + 1).reshape(-1, *[1] * (np.ndim(times_us) - 1))
    return (sums // counts).astype(np.int64)


def test_cold_first_run_does_not_stay_in_later_ones():
    times = np.array([[900.5], *([[100.5]] * 11)])
    found = times_of_runs(told(times))
    assert found[0, 0] == pytest.approx(900.5)
    assert found[2:, 0] == pytest.approx(np.full(10, 100.5), abs=1.0)


def test_long_kernels_keep_their_own_differences():
    generator = np.random.default_rng(0)
    times = 20_000 * generator.uniform(0.8, 1.2, (12, 1))
    assert times_of_runs(told(times)) == pytest.approx(times, abs=12)


def test_short_kernels_are_right_on_average():
    generator = np.random.default_rng(0)
    truth = generator.uniform(1, 40, 400)
    times = truth * generator.uniform(0.9, 1.2, (12, 400))
    times[0] = truth * 10
    found = times_of_runs(told(times))[2:].mean(axis=0)
    errors = found - times[2:].mean(axis=0)
    assert abs(errors.mean()) < 0.1
    assert np.abs(errors).mean() < 0.4


def test_what_never_took_time_did_nothing():
    assert times_of_runs(np.zeros((8, 2), np.int64)).tolist() == [[0.0, 0.0]] * 8


def test_executed_kernel_below_a_microsecond_has_a_time():
    times = np.full((12, 1), 0.6)
    times[0] = 7.0
    found = times_of_runs(told(times))[2:]
    assert (found > 0).all()
    assert found.mean() < 1.5


def test_course_is_straight_where_the_corridor_lets_it():
    assert straightest_paces([0, 0, 0], [10, 10, 30]) == [2.5, 2.5, 2.5]
    assert straightest_paces([4, 4, 12], [4, 5, 12]) == [4.0, 1.0, 7.0]


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=25))
def test_found_times_agree_with_every_mean_that_was_told(durations):
    means = told(np.array(durations, float))
    found = times_of_runs(means[:, None])[:, 0]
    assert (found >= 0).all()
    if means.any():
        counts = np.arange(1, len(durations) + 1)
        sums = np.cumsum(found - 0.5)
        assert (sums >= means * counts - 1e-6).all()
        assert (sums <= means * counts + counts - 1 + 1e-6).all()
