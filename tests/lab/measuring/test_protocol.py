import json
import random

import numpy as np
import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.measuring.protocol import (
    SETTLING_MS,
    Stopwatch,
    measure_models,
    profile_kernels,
    relative_spread,
    trimmed_mean,
)


def write_model(folder, name, kernel_ms):
    path = folder / f"{name}.onnx"
    path.write_text(json.dumps(kernel_ms))
    return path


class EmptyModel:
    """A compiled model whose runtime executes nothing of it."""

    kernels = ()

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        return getattr(self.model, name)


def test_latency_on_a_quiet_machine_is_the_time_of_a_run(runtime, clock, tmp_path):
    path = write_model(tmp_path, "small", [["Conv", 3.0], ["Relu", 0.5]])
    [m] = measure_models([path], runtime, passes=2, seconds_per_pass=0.1, clock=clock)
    assert m.id == "model:small"
    assert m.granularity == "model"
    assert m.latency_ms == pytest.approx(3.5)
    assert (m.min_ms, m.median_ms, m.p90_ms) == pytest.approx((3.5, 3.5, 3.5))
    assert m.reference_ms == pytest.approx(1.0)
    assert m.kernel_ms == pytest.approx((3.0, 0.5))
    assert [k.type for k in m.kernels] == ["Conv", "Relu"]
    assert m.runs >= 2 * 5


def test_kernel_below_the_resolution_of_the_profiler_has_a_time_and_no_spread(runtime, clock, tmp_path):
    path = write_model(tmp_path, "small", [["Conv", 3.0], ["Reshape", 0.0]])
    [m] = measure_models([path], runtime, passes=2, seconds_per_pass=0.1, clock=clock)
    assert m.kernel_ms == pytest.approx((3.0, 0.0))
    assert m.kernel_spread[0] == pytest.approx(0.0)
    assert np.isnan(m.kernel_spread[1])


def test_a_model_of_which_nothing_is_executed_is_refused_and_the_others_are_measured(
    runtime, clock, tmp_path, monkeypatch
):
    paths = [write_model(tmp_path, "constant", [["Conv", 7.0]]), write_model(tmp_path, "small", [["Conv", 3.0]])]
    compile_model = runtime.compile

    def compile_without_kernels(model, *args, **options):
        compiled = compile_model(model, *args, **options)
        return EmptyModel(compiled) if model == paths[0] else compiled

    monkeypatch.setattr(runtime, "compile", compile_without_kernels)
    refused = []
    found = measure_models(
        paths,
        runtime,
        passes=1,
        seconds_per_pass=0.1,
        clock=clock,
        refused=lambda path, fault: refused.append((path, str(fault))),
    )
    assert [m.network for m in found] == ["small"]
    assert refused == [
        (str(paths[0]), "constant: the runtime executes no kernel of it, so there is no time to measure; leave it out")
    ]
    with pytest.raises(MeasurementError, match="executes no kernel"):
        measure_models(paths, runtime, passes=1, seconds_per_pass=0.1, clock=clock)


def test_spread_of_a_kernel_is_relative_to_its_time():
    runs = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [3.0, 0.0, 0.0], [3.0, 0.0, 8.0]])
    spread = relative_spread(runs)
    assert spread[0] == pytest.approx(0.5)  # quartiles of 1 and 3 around a mean of 2
    assert np.isnan(spread[1:]).all()


def test_slow_phases_of_the_machine_are_corrected_by_the_reference(runtime, clock, tmp_path):
    rng = random.Random(3)
    phases = [rng.choice([1.0, 1.0, 1.3, 2.0]) for _ in range(1000)]
    clock.slowness = lambda now_s: phases[int(now_s * 5) % 1000]
    paths = [write_model(tmp_path, f"m{ms}", [["Conv", float(ms)]]) for ms in (2, 5, 11)]
    found = measure_models(paths, runtime, passes=6, seconds_per_pass=0.2, reference_ms=1.0, clock=clock)
    for m, expected in zip(found, (2, 5, 11), strict=True):
        assert m.latency_ms == pytest.approx(expected, rel=0.01)
        assert m.half_ms == pytest.approx((expected, expected), rel=0.02)
        assert m.p90_ms > 1.2 * m.min_ms


def test_passes_are_interleaved_and_alternate_in_direction(runtime, clock, tmp_path):
    paths = [write_model(tmp_path, name, [["Conv", 1.0]]) for name in "abc"]
    steps = []
    measure_models(
        paths, runtime, passes=2, seconds_per_pass=0.01, clock=clock, progress=lambda text, *_: steps.append(text)
    )
    assert [s[-1] for s in steps if s.startswith("pass 1")] == ["a", "b", "c"]
    assert [s[-1] for s in steps if s.startswith("pass 2")] == ["c", "b", "a"]


def test_models_beyond_the_memory_limit_are_measured_in_groups(runtime, clock, tmp_path):
    paths = [write_model(tmp_path, name, [["Conv", 1.0]]) for name in "ab"]
    steps = []
    found = measure_models(
        paths,
        runtime,
        passes=1,
        seconds_per_pass=0.01,
        clock=clock,
        memory_limit_bytes=0,
        progress=lambda text, done, total: steps.append((text, done, total)),
    )
    assert [m.network for m in found] == ["a", "b"]
    assert [s[0] for s in steps] == ["load a", "pass 1 of 1: a", "load b", "pass 1 of 1: b"]
    assert [s[1:] for s in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_family_comes_from_the_table(runtime, clock, tmp_path):
    path = write_model(tmp_path, "a", [["Conv", 1.0]])
    [m] = measure_models([path], runtime, passes=1, seconds_per_pass=0, clock=clock, families={"a.onnx": "resnet"})
    assert m.family == "resnet"


def test_refused_model_is_reported_and_the_others_measured(runtime, clock, tmp_path):
    paths = [write_model(tmp_path, "bad", []), write_model(tmp_path, "good", [["Conv", 1.0]])]
    refusals = []
    found = measure_models(
        paths, runtime, passes=1, seconds_per_pass=0, clock=clock, refused=lambda *what: refusals.append(what)
    )
    assert [m.network for m in found] == ["good"]
    assert [(name, str(why)) for name, why in refusals] == [(str(paths[0]), "the runtime refuses it")]
    with pytest.raises(MeasurementError):
        measure_models(paths, runtime, passes=1, seconds_per_pass=0, clock=clock)


def test_runtime_without_profiler_gives_whole_times_only(runtime, clock, tmp_path, monkeypatch):
    monkeypatch.setattr(type(runtime), "has_profiler", False)
    [m] = measure_models(
        [write_model(tmp_path, "a", [["Conv", 1.0]])], runtime, passes=1, seconds_per_pass=0, clock=clock
    )
    assert m.kernel_ms == ()
    assert len(m.kernels) == 1


def test_warm_up_ends_when_the_median_settles(runtime, clock):
    stopwatch = Stopwatch(runtime, clock)
    times = iter([9, 5, 3, 2, 1.5, 1.2, 1.1, 1.05, 1.0] + [1.0] * 50)
    runs = stopwatch.warm_up(lambda: clock.pass_(next(times) * 1e-2))
    assert 10 <= len(runs) <= 14
    assert runs[-1][0] == pytest.approx(10.0)


def test_restless_machine_is_noticed(runtime, clock):
    stopwatch = Stopwatch(runtime, clock)
    stopwatch.nominal_ms()
    assert stopwatch.restlessness() == pytest.approx(0.0, abs=1e-6)
    clock.slowness = lambda now_s: 1.0 + int(now_s * 50) % 2
    for _ in range(200):
        stopwatch.time_reference()
    assert stopwatch.restlessness() > 0.2


def test_warm_up_of_a_restless_model_is_bounded(runtime, clock):
    stopwatch = Stopwatch(runtime, clock)
    count = 0

    def restless():
        nonlocal count
        count += 1
        clock.pass_(1e-3 * 1.3**count)

    stopwatch.warm_up(restless)
    assert count <= 30


class Chilled:
    """A model of one kernel that takes longer behind the reference, until it has run for two milliseconds."""

    def __init__(self, stopwatch, clock, hot_ms):
        self.clock, self.hot_ms = clock, hot_ms
        self.since_ms = 0.0
        reference = stopwatch.time_reference

        def chilling():
            self.since_ms = 0.0
            return reference()

        stopwatch.time_reference = chilling

    def run(self):
        taken_ms = self.hot_ms * (1.5 if self.since_ms < 2.0 else 1.0)
        self.since_ms += taken_ms
        self.clock.now_s += taken_ms / 1e3
        return taken_ms

    def profile(self, runs, after_each):
        rows = []
        for _ in range(runs):
            rows.append([self.run()])
            after_each()
        return np.array(rows)


@pytest.mark.parametrize("hot_ms", [0.2, 0.7, 3.0, 6.0])
def test_runs_that_find_the_caches_taken_by_the_reference_do_not_count(runtime, clock, hot_ms):
    stopwatch = Stopwatch(runtime, clock)
    model = Chilled(stopwatch, clock, hot_ms)
    pairs = stopwatch.time_for(model.run, 0.2, 5, 40)
    assert pairs[:, 0] == pytest.approx(np.full(len(pairs), hot_ms))
    assert 5 <= len(pairs) <= 40
    kernels = profile_kernels(model, stopwatch, 7)
    assert kernels[:, 0] == pytest.approx(np.full(7, hot_ms)), "as the reference takes its nominal time"


def test_a_long_model_runs_once_a_unit_and_every_run_counts(runtime, clock):
    stopwatch = Stopwatch(runtime, clock)
    model = Chilled(stopwatch, clock, 20.0)
    before = clock.now_s
    pairs = stopwatch.time_for(model.run, 0.1, 3)
    assert pairs[:, 0] == pytest.approx(np.full(len(pairs), 30.0))
    runs = (clock.now_s - before) * 1e3 / 30.0
    assert len(pairs) + 1 <= runs < len(pairs) + 2, "one run in all does not count"
    assert SETTLING_MS < 10.0
    assert len(profile_kernels(model, stopwatch, 4)) == 4


def test_trimmed_mean_ignores_outliers_and_resolves_less_than_the_clock():
    values = np.array([[3.0], [4.0], [4.0], [3.0], [4.0], [4.0], [3.0], [4.0], [4.0], [900.0]])
    assert trimmed_mean(values)[0] == pytest.approx(23 / 6)
