"""Sums of kernels alone teach the prices of kernels, and correct what kernels' own times taught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nnmeter.errors import MeasurementError
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.additive import AdditivePreset
from nnmeter.lab.training.regressors import Preset
from nnmeter.lab.training.train import TrainingReport, fit_predictor
from nnmeter.predictor import KernelPredictor, read_predictor_of, write_predictor
from nnmeter.predictor.roofline import fit_log_factors, fit_roofline_to_totals
from tests.predictor.conftest import addition, convolution, true_latency_ms

pytest.importorskip("lightgbm")

INFERENCE_MS = 0.3
UNSEEN = [convolution(48, 80, 28), convolution(80, 112, 14, 1), convolution(192, 192, 14), addition(1, 80, 28, 28)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.lab.training.train.PRESETS", (AdditivePreset(rounds=120, leaves=12),))
    monkeypatch.setattr("nnmeter.lab.training.train.PRESETS_OVER_KERNELS", (AdditivePreset(rounds=100, leaves=8),))
    monkeypatch.setattr("nnmeter.lab.training.kernels.PRESETS", {"lightgbm": Preset(80, 12, 0.15, 4)})


def network(kernels: list[KernelSignature], number: int, granularity: str = "model", noise: float = 1.0) -> Measurement:
    """A network that was timed whole: its kernels and `INFERENCE_MS`."""
    total = (sum(map(true_latency_ms, kernels)) + (INFERENCE_MS if granularity != "kernel" else 0.0)) * noise
    return Measurement(
        id=f"{granularity}:{number}",
        granularity=granularity,
        network=f"{granularity}-{number}",
        family=f"family-{number % 12}",
        kernels=tuple(kernels),
        latency_ms=total,
        min_ms=total,
        median_ms=total,
        p90_ms=total,
        runs=5,
        reference_ms=2.0,
        half_ms=(total, total),
        threads=1,
        batch=1,
        sitting="test",
    )


def profiled(measurement: Measurement) -> Measurement:
    """The same network with the times of its kernels."""
    times = tuple(map(true_latency_ms, measurement.kernels))
    return replace(measurement, kernel_ms=times, kernel_spread=(0.01,) * len(times), kernel_runs=5)


def draw(count: int, seed: int, additions: bool = True) -> list[Measurement]:
    """Networks of 1 to 12 convolutions, with additions in between, that are known by their sums."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        kernels = []
        for _ in range(int(generator.integers(1, 13))):
            size = int(generator.choice([7, 14, 28, 56]))
            channels, out_channels = (int(c) for c in generator.choice([16, 32, 64, 96, 128, 256], 2))
            kernels.append(convolution(channels, out_channels, size, int(generator.choice([1, 3]))))
            if additions and generator.random() < 0.7:
                kernels += [addition(1, out_channels, size, size)] * int(generator.integers(1, 8))
        found.append(network(kernels, number, noise=float(np.exp(generator.normal(0, 0.01)))))
    return found


def worst_error(predictor: KernelPredictor, kernels: list[KernelSignature]) -> float:
    """Largest relative error of the prices of single kernels."""
    truth = np.array([true_latency_ms(k) for k in kernels])
    return float(np.abs(np.array([p.latency_ms for p in predictor.price(kernels)]) / truth - 1).max())


@pytest.fixture(scope="module")
def from_sums() -> tuple[KernelPredictor, TrainingReport]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnmeter.lab.training.train.PRESETS", (AdditivePreset(rounds=300, leaves=12),))
        return fit_predictor(draw(400, 0))


def test_sums_alone_price_kernels_that_no_network_had(from_sums: tuple[KernelPredictor, TrainingReport]) -> None:
    assert worst_error(from_sums[0], UNSEEN) < 0.2
    assert {p.source for p in from_sums[0].price(UNSEEN)} == {"trained"}


def test_sums_alone_predict_networks(from_sums: tuple[KernelPredictor, TrainingReport]) -> None:
    predictor, _ = from_sums
    errors = []
    for unseen in draw(100, 1):
        total = sum(p.latency_ms for p in predictor.price(unseen.kernels)) + predictor.overhead_ms
        errors.append(abs(total / unseen.latency_ms - 1))
    assert np.mean(np.array(errors) < 0.1) > 0.9


def test_the_time_of_an_inference_is_learned(from_sums: tuple[KernelPredictor, TrainingReport]) -> None:
    assert from_sums[0].overhead_ms == pytest.approx(INFERENCE_MS, rel=0.25)
    assert from_sums[1].unobserved.overhead_ms == from_sums[0].overhead_ms


def test_the_report_of_sums_is_out_of_sample(from_sums: tuple[KernelPredictor, TrainingReport]) -> None:
    report = from_sums[1]
    assert report.timed_kernels == 0
    assert report.kernel_coverage is None
    assert report.additive is not None
    assert report.additive.kept
    assert report.additive.error_after < 0.5 * report.additive.error_before
    assert report.totals is not None
    assert report.totals.within_10 > 85
    assert report.interval_coverage is not None
    assert 80 <= report.interval_coverage <= 98
    assert report.to_dict()["additive"]["networks"] == 400


def test_what_sums_taught_survives_the_disk(from_sums: tuple[KernelPredictor, TrainingReport], tmp_path: Path) -> None:
    write_predictor(from_sums[0], tmp_path)
    loaded = read_predictor_of(tmp_path).price(UNSEEN)
    assert [p.latency_ms for p in loaded] == pytest.approx([p.latency_ms for p in from_sums[0].price(UNSEEN)], rel=1e-6)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3_000_000


def test_sums_are_fitted_the_same_each_time(tmp_path: Path) -> None:
    measurements = draw(60, 0)
    for name in "ab":
        (tmp_path / name).mkdir()
        write_predictor(fit_predictor(measurements, seed=5)[0], tmp_path / name)
    assert (tmp_path / "a/predictor.json").read_text() == (tmp_path / "b/predictor.json").read_text()
    with np.load(tmp_path / "a/trees.npz") as first, np.load(tmp_path / "b/trees.npz") as second:
        assert all((first[name] == second[name]).all() for name in first)


def test_profiled_and_whole_networks_may_be_mixed() -> None:
    measurements = [profiled(m) if i % 2 else m for i, m in enumerate(draw(80, 0))]
    predictor, report = fit_predictor(measurements)
    assert worst_error(predictor, UNSEEN) < 0.15
    assert report.timed_kernels < report.kernels
    assert report.networks == 80
    assert report.additive is not None


def test_an_operator_that_only_whole_networks_have_gets_a_trained_price() -> None:
    measurements = [profiled(m) for m in draw(60, 0, additions=False)] + draw(120, 1)
    predictor, report = fit_predictor(measurements)
    assert report.additive is not None
    assert report.additive.kept
    (price,) = predictor.price([addition(1, 64, 28, 28)])
    assert price.source == "trained"
    assert price.latency_ms == pytest.approx(true_latency_ms(addition(1, 64, 28, 28)), rel=0.3)


def test_sums_are_not_fitted_where_every_network_was_profiled() -> None:
    predictor, report = fit_predictor([profiled(m) for m in draw(60, 0)])
    assert report.unobserved.overhead_ms == pytest.approx(INFERENCE_MS, rel=0.1)
    assert report.additive is None
    assert worst_error(predictor, UNSEEN) < 0.15


def test_kernels_measured_alone_train_a_predictor_with_intervals() -> None:
    kernels = list(dict.fromkeys(k for m in draw(60, 0) for k in m.kernels))
    predictor, report = fit_predictor([network([k], i, "kernel") for i, k in enumerate(kernels)])
    assert worst_error(predictor, UNSEEN) < 0.15
    assert report.additive is None
    assert report.interval_coverage is not None
    assert predictor.intervals.networks == len(kernels)


def test_the_interval_of_a_kernel_is_calibrated() -> None:
    generator = np.random.default_rng(1)
    measurements = []
    for m in draw(80, 0):
        times = tuple(true_latency_ms(k) * float(np.exp(generator.normal(0, 0.1))) for k in m.kernels)
        measurements.append(replace(profiled(m), kernel_ms=times, latency_ms=sum(times), median_ms=sum(times)))
    _, report = fit_predictor(measurements)
    assert report.kernel_coverage is not None
    assert 84 <= report.kernel_coverage <= 96


def test_too_few_whole_networks_are_an_error() -> None:
    with pytest.raises(MeasurementError, match=r"12 networks, 0 of them profiled, are too few") as caught:
        fit_predictor(draw(12, 0))
    assert "\n" not in str(caught.value)


def test_a_forest_does_not_learn_from_sums() -> None:
    with pytest.raises(MeasurementError, match="use lightgbm"):
        fit_predictor(draw(40, 0), regressor="random-forest")


def test_a_roofline_is_read_off_totals() -> None:
    generator = np.random.default_rng(0)
    flops, moved = 10.0 ** generator.uniform(7, 10, 300), 10.0 ** generator.uniform(5, 8, 300)
    kernels = generator.integers(5, 200, 300).astype(float)
    total_ms = flops / 40e6 + moved / 8e6 + 0.01 * kernels + 0.5
    roofline, overhead_ms = fit_roofline_to_totals({"float": flops}, moved, kernels, total_ms)
    assert roofline.peak_gflops["float"] == pytest.approx(40, rel=0.1)
    assert roofline.bandwidth_gbs == pytest.approx(8, rel=0.1)
    assert roofline.launch_ms == pytest.approx(0.01, rel=0.1)
    assert overhead_ms == pytest.approx(0.5, rel=0.2)


def test_factors_that_nothing_tells_stay_at_one() -> None:
    terms = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    factors = np.exp(fit_log_factors(terms, 2.0 * terms.sum(axis=1), ridge=1e-6))
    assert factors == pytest.approx([2.0, 1.0], rel=1e-3)


def test_operators_get_rates_of_their_own(from_sums: tuple[KernelPredictor, TrainingReport]) -> None:
    """What the roofline says of the whole device is far from what its additions and convolutions take apart."""
    rates = np.array([sampled.rates for sampled in from_sums[0].vocabulary.values()])
    assert rates.shape == (2, 3)
    assert (rates > 0).all()
    assert np.abs(np.log(rates)).max() > 0.2


def test_the_pack_of_another_device_is_a_start(from_sums: tuple[KernelPredictor, TrainingReport]) -> None:
    """A device 2.5 times as slow, of which 40 networks without additions are known: the pack knows what these take."""
    measurements = [replace(m, latency_ms=2.5 * m.latency_ms, half_ms=(0.0, 0.0)) for m in draw(40, 7, additions=False)]
    kernel = addition(1, 96, 28, 28)
    alone, started = (fit_predictor(measurements, prior=prior)[0] for prior in (None, from_sums[0]))
    assert [p.price([kernel])[0].source for p in (alone, started)] == ["fallback", "trained"]
    assert started.price([kernel])[0].latency_ms == pytest.approx(2.5 * true_latency_ms(kernel), rel=0.3)
    errors = [
        abs((sum(p.latency_ms for p in started.price(m.kernels)) + started.overhead_ms) / (2.5 * m.latency_ms) - 1)
        for m in draw(80, 8)
    ]
    assert np.mean(errors) < 0.08
