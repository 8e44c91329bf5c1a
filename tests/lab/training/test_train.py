"""Training recovers a device that is known exactly, says how sure it is, and keeps its predictor whole on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nnmeter.errors import DeviceError, MeasurementError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.folds import assign_folds, interval_folds
from nnmeter.lab.training.table import build_table
from nnmeter.lab.training.train import TrainingReport, fit_predictor
from nnmeter.lab.training.unobserved import fit_unobserved
from nnmeter.predictor import KernelPredictor, read_predictor_of, write_predictor
from nnmeter.predictor.stored import SCHEMA_VERSION
from tests.predictor.conftest import addition, convolution, true_latency_ms

pytest.importorskip("lightgbm")


@pytest.fixture(scope="module")
def trained(measurements: list[Measurement]) -> tuple[KernelPredictor, TrainingReport]:
    return fit_predictor(measurements)


def test_unseen_sizes_are_priced_well(trained: tuple[KernelPredictor, TrainingReport]) -> None:
    unseen = [convolution(48, 80, 28), convolution(80, 112, 14, 1), convolution(192, 192, 14), addition(1, 80, 28, 28)]
    prices = trained[0].price(unseen)
    truth = np.array([true_latency_ms(s) for s in unseen]) * 0.97
    assert np.abs(np.array([p.latency_ms for p in prices]) / truth - 1).max() < 0.15
    assert {p.source for p in prices} == {"trained"}


def test_the_report_is_out_of_sample_and_plausible(trained: tuple[KernelPredictor, TrainingReport]) -> None:
    report = trained[1]
    assert report.networks == 60
    assert report.totals is not None and report.totals.within_10 > 90
    assert report.interval_coverage is not None and 75 <= report.interval_coverage <= 100


def test_an_operator_that_was_not_sampled_gets_the_fallback(trained: tuple[KernelPredictor, TrainingReport]) -> None:
    tensor = TensorType("float32", (1, 64, 28, 28))
    unknown = KernelSignature("Frobnicate", "Frobnicate", "acme", (tensor,), (False,), (tensor,))
    price, known = trained[0].price([unknown, addition(1, 64, 28, 28)])
    assert price.source == "fallback"
    assert price.latency_ms > 0
    assert price.sigma > known.sigma


def test_a_kernel_beyond_the_sampled_range_is_less_certain(trained: tuple[KernelPredictor, TrainingReport]) -> None:
    inside, beyond = trained[0].price([convolution(128, 128, 28), convolution(2048, 2048, 224)])
    assert inside.distance == 0
    assert beyond.distance > 3
    assert beyond.sigma > inside.sigma
    assert beyond.latency_ms > 100 * inside.latency_ms  # the roofline carries what trees cannot extrapolate


def test_batch_width_and_groups_change_the_price(trained: tuple[KernelPredictor, TrainingReport]) -> None:
    one, four = addition(1, 64, 28, 28), addition(4, 64, 28, 28)
    narrow = addition(1, 64, 28, 7)
    prices = [p.latency_ms for p in trained[0].price([narrow, one, four])]
    assert prices == sorted(prices) and len(set(prices)) == 3


def test_equal_signatures_have_one_price(trained: tuple[KernelPredictor, TrainingReport]) -> None:
    first, second = trained[0].price([addition(1, 8, 7, 7), addition(1, 8, 7, 7)])
    assert first is second


def test_training_is_deterministic(measurements: list[Measurement], tmp_path: Path) -> None:
    stored = []
    for name in "ab":
        (tmp_path / name).mkdir()
        write_predictor(fit_predictor(measurements[:30], seed=3)[0], tmp_path / name)
        with np.load(tmp_path / name / "trees.npz") as arrays:
            stored.append({k: arrays[k].tolist() for k in arrays})
    assert stored[0] == stored[1]
    assert (tmp_path / "a/predictor.json").read_text() == (tmp_path / "b/predictor.json").read_text()


def test_a_random_forest_can_be_chosen(measurements: list[Measurement]) -> None:
    predictor, report = fit_predictor(measurements, regressor="random-forest")
    assert report.totals is not None and report.totals.within_10 > 70
    assert predictor.price([addition(1, 64, 28, 28)])[0].latency_ms > 0


def test_too_few_networks_are_an_error(measurements: list[Measurement]) -> None:
    with pytest.raises(MeasurementError, match="too few"):
        fit_predictor(measurements[:3])


def test_measurements_without_kernels_are_an_error() -> None:
    with pytest.raises(MeasurementError, match="no kernel"):
        fit_predictor([])


def test_the_correction_from_profiled_to_whole_is_found(measurements: list[Measurement]) -> None:
    table = build_table(measurements)
    scale, per_kernel_ms, overhead_ms = fit_unobserved(table, table.latency_ms)
    assert scale == pytest.approx(0.97, abs=0.01)
    assert per_kernel_ms == pytest.approx(0.0, abs=0.001)
    assert overhead_ms == pytest.approx(0.02, abs=0.02)


def test_kernels_and_wholes_that_were_timed_apart_tell_one_from_the_other(measurements: list[Measurement]) -> None:
    """Wholes without kernels' times, prices of their kernels, and pairs of kernels, which are no inference."""
    wholes = [replace(m, kernel_ms=(), kernel_spread=(), kernel_runs=0) for m in measurements]
    pairs = [replace(m, kernels=m.kernels[:2], latency_ms=sum(m.kernel_ms[:2])) for m in measurements[:20]]
    pairs = [replace(m, kernel_ms=(), kernel_spread=(), kernel_runs=0) for m in pairs]
    table = build_table([*wholes, *pairs])
    prices = np.array([t for m in measurements for t in m.kernel_ms] + [0.0] * 2 * len(pairs))
    scale, per_kernel_ms, overhead_ms = fit_unobserved(table, prices)
    assert scale == pytest.approx(0.97, abs=0.01)
    assert per_kernel_ms == pytest.approx(0.0, abs=0.001)
    assert overhead_ms == pytest.approx(0.02, abs=0.02)


def test_networks_that_take_the_longer_the_less_their_kernels_do_are_an_error(measurements: list[Measurement]) -> None:
    """A predictor that were made of them had a negative price for a kernel, and could not be read again."""
    slow_for_small = [replace(m, latency_ms=1.0 / m.latency_ms) for m in measurements]
    table = build_table(slow_for_small)
    with pytest.raises(MeasurementError, match="do not grow with those of their kernels"):
        fit_unobserved(table, table.latency_ms)


def test_prices_count_and_not_the_times_that_they_are_off(measurements: list[Measurement]) -> None:
    """Every kernel is priced 3 us too high, and those that are then priced below nothing take the least."""
    table = build_table(measurements)
    before = fit_unobserved(table, table.latency_ms)
    after = fit_unobserved(table, table.latency_ms + 0.003)
    assert after.scale == pytest.approx(before.scale, abs=0.002)
    assert after.per_kernel_ms == pytest.approx(before.per_kernel_ms - 0.003 * before.scale, abs=2e-4)


def test_kernels_at_the_least_price_are_told_from_those_above(measurements: list[Measurement]) -> None:
    """Half of the kernels are as short as what the profiler adds, and take the least that is charged for one."""
    table = build_table(measurements)
    short = np.arange(len(table.kernel)) % 2 == 0
    prices = np.where(short, 0.003, table.latency_ms + 0.003)
    whole = 0.02 + np.bincount(table.network, np.where(short, 0.001, table.latency_ms), len(table.networks))
    table = build_table([replace(m, latency_ms=float(w)) for m, w in zip(measurements, whole, strict=True)])
    scale, per_kernel_ms, overhead_ms = fit_unobserved(table, prices, 0.001)
    assert scale == pytest.approx(1.0, abs=0.01)
    assert per_kernel_ms == pytest.approx(-0.003, abs=3e-4)
    assert overhead_ms == pytest.approx(0.02, abs=0.01)


def test_folds_keep_families_together() -> None:
    families = [f"f{i % 12}" for i in range(300)]
    folds = assign_folds(families, seed=0)
    assert all(len({int(f) for f, name in zip(folds, families, strict=True) if name == n}) == 1 for n in set(families))
    assert set(folds.tolist()) == {0, 1, 2, 3, 4}


def test_known_models_are_held_out_by_family_and_random_ones_one_by_one(measurements: list[Measurement]) -> None:
    random = build_table(measurements).networks
    known = build_table([replace(m, granularity="model") for m in measurements]).networks
    folds = interval_folds(known, 0)
    assert all(
        len({int(f) for f, n in zip(folds, known, strict=True) if n.family == name}) == 1
        for name in {n.family for n in known}
    )
    folds = interval_folds(random, 0)
    assert len({int(f) for f, n in zip(folds, random, strict=True) if n.family == "family-0"}) > 1


def test_a_predictor_survives_the_disk(trained: tuple[KernelPredictor, TrainingReport], tmp_path: Path) -> None:
    write_predictor(trained[0], tmp_path)
    signatures = [convolution(48, 80, 28), addition(1, 3, 5, 7)]
    assert read_predictor_of(tmp_path).price(signatures) == read_predictor_of(tmp_path).price(signatures)
    for a, b in zip(read_predictor_of(tmp_path).price(signatures), trained[0].price(signatures), strict=True):
        assert a.latency_ms == pytest.approx(b.latency_ms, rel=1e-6)


def _edit(path: Path, **changes: object) -> None:
    document = json.loads(path.read_text())
    document.update(changes)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, "upgrade nnmeter"),
        ({"common_features": ["anchor"]}, "other features"),
        ({"fallback_sigma": float("nan")}, "not finite"),
        ({"roofline": {}}, "damaged"),
        ({"ensembles": {}}, "damaged"),
    ],
)
def test_a_damaged_predictor_is_refused_in_one_line(
    trained: tuple[KernelPredictor, TrainingReport], tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    write_predictor(trained[0], tmp_path)
    _edit(tmp_path / "predictor.json", **changes)
    with pytest.raises(DeviceError, match=message) as caught:
        read_predictor_of(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_pickle_in_the_trees_is_not_run(trained: tuple[KernelPredictor, TrainingReport], tmp_path: Path) -> None:
    write_predictor(trained[0], tmp_path)
    with np.load(tmp_path / "trees.npz") as stored:
        arrays = {k: stored[k] for k in stored}
    arrays["value"] = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "trees.npz", **arrays)
    with pytest.raises(DeviceError, match="damaged"):
        read_predictor_of(tmp_path)
