"""A few measurements of a near device move the first device's prices as far as they must, and say how sure they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nnmeter.devices import load_pack
from nnmeter.errors import DeviceError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.anchor import Kind
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.transfer.calibration import fit_calibration, predict_left_out
from nnmeter.lab.transfer.curve import learning_curve, predict_rest
from nnmeter.lab.transfer.intervals import fit_calibrated_intervals
from nnmeter.lab.transfer.plan import suggest_models, suggest_operators
from nnmeter.lab.transfer.problem import CalibrationProblem, pose_problem, stand_in
from nnmeter.predictor import KernelPredictor, read_predictor_of, write_predictor
from nnmeter.predictor.price_correction import TERMS, Correction
from tests.predictor.conftest import addition, convolution

NearPrice = Callable[[KernelSignature, float], float]


def as_nchwc(signature: KernelSignature) -> KernelSignature:
    """The same convolution in the layout that the first device was trained on."""
    return replace(signature, type=f"nchwc.{signature.type}", domain="com.microsoft.nchwc")


def make_networks(count: int, seed: int, make: Callable[[KernelSignature], KernelSignature] = as_nchwc) -> list[list]:
    generator = np.random.default_rng(seed)
    networks = []
    for _ in range(count):
        kernels = []
        for _ in range(int(generator.integers(4, 12))):
            size = int(generator.choice([7, 14, 28, 56]))
            channels, out = (int(c) for c in generator.choice([16, 32, 64, 128, 256], 2))
            kernels.append(make(convolution(channels, out, size, int(generator.choice([1, 3])))))
            if generator.random() < 0.7:
                kernels.append(addition(1, out, size, size))
        networks.append(kernels)
    return networks


def measure(
    networks: list[list], predictor: KernelPredictor, near: NearPrice, seed: int, profiled: bool = False
) -> list[Measurement]:
    """What a near device shows, whose kernels take `near(kernel, price of the first device)`."""
    generator = np.random.default_rng(seed)
    found = []
    for number, kernels in enumerate(networks):
        prices = predictor.price(kernels)
        times = [near(k, p.latency_ms) for k, p in zip(kernels, prices, strict=True)]
        wall = (sum(times) + 0.01) * float(np.exp(generator.normal(0, 0.01)))
        noise = np.exp(generator.normal(0, 0.03, len(times)))
        found.append(
            Measurement(
                id=f"model:{number}",
                granularity="model",
                network=f"net-{number}",
                family="",
                kernels=tuple(kernels),
                latency_ms=wall,
                min_ms=wall,
                median_ms=wall,
                p90_ms=wall,
                runs=5,
                reference_ms=1.0,
                half_ms=(wall, wall),
                threads=2,
                batch=1,
                sitting="near",
                kernel_ms=tuple(float(t * e + 0.001) for t, e in zip(times, noise, strict=True)) if profiled else (),
                kernel_spread=(0.03,) * len(times) if profiled else (),
                kernel_runs=8 if profiled else 0,
            )
        )
    return found


def two_threads(signature: KernelSignature, price_ms: float) -> float:
    """Convolutions gain with their size, additions lose a little."""
    if signature.op_type == "Conv":
        return price_ms * (0.55 + 0.45 / (1.0 + price_ms / 0.03)) + 0.002
    return price_ms * 1.1


@pytest.fixture(scope="module")
def predictor(small_pack: Path) -> KernelPredictor:
    return load_pack(small_pack).predictor


@pytest.fixture(scope="module")
def problem(predictor: KernelPredictor) -> CalibrationProblem:
    return pose_problem(predictor, measure(make_networks(60, 0), predictor, two_threads, 1))


def first(problem: CalibrationProblem, count: int) -> np.ndarray:
    return np.arange(len(problem.names)) < count


def errors_of_rest(problem: CalibrationProblem, count: int) -> np.ndarray:
    predicted, measured = predict_rest(problem, first(problem, count))
    return np.abs(predicted / measured - 1.0)


def test_without_measurements_nothing_changes(problem: CalibrationProblem, predictor: KernelPredictor) -> None:
    calibration = fit_calibration(problem, first(problem, 0))
    assert np.allclose(calibration.coefficients, 0.0)
    corrected = calibration.to_correction().apply(problem.prices, problem.features, predictor.roofline)
    assert [p.latency_ms for p in corrected] == pytest.approx([p.latency_ms for p in problem.prices])
    assert all(after.sigma > before.sigma for after, before in zip(corrected, problem.prices, strict=True))


def test_twenty_whole_networks_find_the_gain_of_threads(problem: CalibrationProblem) -> None:
    before, after = errors_of_rest(problem, 0), errors_of_rest(problem, 20)
    assert np.mean(before <= 0.1) < 0.3
    assert np.mean(after <= 0.1) >= 0.95
    assert np.mean(after) < 0.03


def test_five_networks_find_another_clock(predictor: KernelPredictor) -> None:
    faster = pose_problem(predictor, measure(make_networks(30, 3), predictor, lambda _, price: 0.4 * price, 4))
    assert np.mean(errors_of_rest(faster, 5)) < 0.03


def test_times_of_kernels_tell_more_than_their_sums(predictor: KernelPredictor) -> None:
    networks = make_networks(40, 5)
    errors = [
        np.mean(errors_of_rest(pose_problem(predictor, measure(networks, predictor, two_threads, 6, profiled)), 5))
        for profiled in (False, True)
    ]
    assert errors[1] < errors[0]


def test_kernels_alone_are_enough(predictor: KernelPredictor) -> None:
    networks = [[kernel] for network in make_networks(6, 7) for kernel in network]
    rows = [replace(m, granularity="kernel") for m in measure(networks, predictor, two_threads, 8)]
    problem = pose_problem(predictor, rows)
    assert len(problem.network_of) == 0
    assert np.mean(errors_of_rest(problem, 20)) < np.mean(errors_of_rest(problem, 0)) / 2


def test_an_outlier_does_not_spoil_the_rest(predictor: KernelPredictor) -> None:
    rows = measure(make_networks(40, 0), predictor, two_threads, 1)
    rows[3] = replace(rows[3], latency_ms=3 * rows[3].latency_ms)
    assert np.mean(errors_of_rest(pose_problem(predictor, rows), 15)) < 0.04


def test_a_prediction_knows_how_good_it_is(problem: CalibrationProblem) -> None:
    calibration = fit_calibration(problem, first(problem, 20))
    rest = np.arange(20, 60)
    predicted, sigma = calibration.predict(rest)
    scores = np.abs(np.log(problem.measured_ms[rest] / predicted)) / sigma
    assert np.mean(scores <= 1.645) >= 0.85
    few = fit_calibration(problem, first(problem, 5)).predict(rest)[1]
    assert few.mean() > sigma.mean()


def test_intervals_hold_what_was_not_measured(problem: CalibrationProblem, predictor: KernelPredictor) -> None:
    calibration = fit_calibration(problem, first(problem, 25))
    correction = calibration.to_correction()
    left_out = predict_left_out(calibration)
    intervals = fit_calibrated_intervals(calibration, correction, predictor.roofline, predictor.intervals, left_out)
    assert intervals.networks == len(left_out) == 25
    multipliers = [intervals.multipliers[c] for c in sorted(intervals.multipliers)]
    assert multipliers == sorted(multipliers)
    prices = correction.apply(problem.prices, problem.features, predictor.roofline)
    inside = []
    for row in range(25, 60):
        own = [prices[k] for k in np.flatnonzero(problem.counts[row]) for _ in range(int(problem.counts[row, k]))]
        total = sum(p.latency_ms for p in own) + calibration.overhead_ms
        low, high = intervals.interval_ms(total, own, 0.9)
        inside.append(low <= problem.measured_ms[row] <= high)
    assert np.mean(inside) >= 0.8


def test_an_unknown_operator_stands_under_its_relative(predictor: KernelPredictor) -> None:
    nchwc = Kind.parse("convolution:nchwc.Conv|float32")
    known = {nchwc: predictor.vocabulary[nchwc]}
    assert stand_in(Kind.parse("convolution:Conv|float32"), known) == nchwc.anchor
    assert stand_in(Kind.parse("convolution:Other|float32"), known) == nchwc.anchor
    assert stand_in(Kind.parse("convolution:QLinearConv|uint8"), known) is None
    assert stand_in(Kind.parse("pooling:MaxPool|float32"), known) is None


def test_another_runtime_is_learned_from_its_own_kernels(predictor: KernelPredictor) -> None:
    def other_runtime(signature: KernelSignature) -> KernelSignature:
        return replace(signature, type="Convolution", domain="other")

    def price(signature: KernelSignature, price_ms: float) -> float:
        return 0.7 * price_ms

    rows = measure(make_networks(40, 9, other_runtime), predictor, price, 10)
    problem = pose_problem(predictor, rows, foreign=True)
    kind = Kind.parse("convolution:Convolution|float32")
    stand_in_of_it = problem.columns.stand_ins[kind]
    assert stand_in_of_it is not None
    assert Kind("convolution", stand_in_of_it) in predictor.vocabulary
    calibration = fit_calibration(problem, first(problem, 20))
    correction = calibration.to_correction()
    assert correction.operators[kind].learned
    near = replace(predictor, corrections=(correction,), overhead_ms=calibration.overhead_ms)
    prices = near.price(rows[30].kernels)
    total = sum(p.latency_ms for p in prices) + near.overhead_ms
    assert total == pytest.approx(rows[30].latency_ms, rel=0.1)
    assert {p.source for p in prices if p.kind == kind} == {"trained"}


def test_the_predictor_prices_as_the_fit_does_and_is_stored_with_it(
    problem: CalibrationProblem, predictor: KernelPredictor, tmp_path: Path
) -> None:
    calibration = fit_calibration(problem, first(problem, 20))
    near = replace(predictor, corrections=(calibration.to_correction(),))
    kernels = make_networks(3, 0)[2]
    place = {feature: i for i, feature in enumerate(problem.features)}
    from nnmeter.kernels.features import kernel_features

    expected = problem.corrected_ms(calibration.coefficients)[[place[kernel_features(k)] for k in kernels]]
    assert [p.latency_ms for p in near.price(kernels)] == pytest.approx(expected.tolist())
    write_predictor(near, tmp_path)
    loaded = read_predictor_of(tmp_path)
    assert loaded.corrections == near.corrections
    assert [p.latency_ms for p in loaded.price(kernels)] == [p.latency_ms for p in near.price(kernels)]


def test_a_pack_without_corrections_is_read_as_before(predictor: KernelPredictor, tmp_path: Path) -> None:
    write_predictor(predictor, tmp_path)
    assert "corrections" not in json.loads((tmp_path / "predictor.json").read_text())
    assert read_predictor_of(tmp_path).corrections == ()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("common",), [0.0]),
        (("common", 0), float("nan")),
        (("families", "convolution", 1), float("inf")),
        (("operators", "nchwc.Conv|float32", "convolution", 1), -1.0),
        (("operators", "nchwc.Conv|float32", "convolution"), [1.0]),
        (("sigma",), "wide"),
        (("terms",), ["other"]),
    ],
)
def test_a_damaged_correction_is_refused(
    problem: CalibrationProblem, predictor: KernelPredictor, tmp_path: Path, path: tuple, value: object
) -> None:
    correction = fit_calibration(problem, first(problem, 5)).to_correction()
    write_predictor(replace(predictor, corrections=(correction,)), tmp_path)
    document = json.loads((tmp_path / "predictor.json").read_text())
    owner = document["corrections"][0]
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = value
    (tmp_path / "predictor.json").write_text(json.dumps(document))
    with pytest.raises(DeviceError, match="damaged"):
        read_predictor_of(tmp_path)


def test_a_calibrated_predictor_is_calibrated_again(predictor: KernelPredictor) -> None:
    networks = make_networks(40, 11)
    near = pose_problem(predictor, measure(networks, predictor, two_threads, 12))
    correction = fit_calibration(near).to_correction()
    second = replace(predictor, corrections=(correction,))
    slower = measure(networks, second, lambda _, price: 1.5 * price, 13)
    problem = pose_problem(second, slower)
    assert np.mean(errors_of_rest(problem, 5)) < 0.03
    third = replace(second, corrections=(correction, fit_calibration(problem).to_correction()))
    ratio = third.price(networks[0])[0].latency_ms / second.price(networks[0])[0].latency_ms
    assert ratio == pytest.approx(1.5, rel=0.03)


def test_the_learning_curve_falls_repeats_and_stops_where_the_data_do(problem: CalibrationProblem) -> None:
    curve = learning_curve(problem, repeats=3, seed=1)
    assert [point.measurements for point in curve] == [0, 5, 10, 20, 50]
    assert [point.tested for point in curve] == [60, 55, 50, 40, 10]
    assert curve[0].mape[0] > curve[1].mape[0] > curve[3].mape[0]
    assert curve[0].mape[1] == 0.0 < curve[1].mape[1]
    assert learning_curve(problem, (5,), repeats=3, seed=2) == learning_curve(problem, (5,), repeats=3, seed=2)
    assert learning_curve(problem, (56,), repeats=1) == []


def test_what_to_measure_next_is_what_is_least_known(predictor: KernelPredictor) -> None:
    tensor = TensorType("float32", (1, 128, 768))
    softmax = KernelSignature("Softmax", "Softmax", "", (tensor,), (False,), (tensor,), (("axis", -1),))
    known, strange = make_networks(2, 20), [softmax] * 12
    candidates = {"alike": known[0], "strange": strange, "also-alike": known[1]}
    rows = measure(make_networks(20, 0), predictor, two_threads, 1)
    problem = pose_problem(predictor, rows, candidates)
    calibration = fit_calibration(problem)
    found = suggest_models(calibration, problem.candidates, np.arange(20, 23))
    assert found[0].name == "strange"
    assert {s.name for s in found} == set(candidates)
    assert found[0].sigma > found[1].sigma
    assert found[0].mean_sigma > found[1].mean_sigma > found[2].mean_sigma > 0


def test_kernel_types_to_measure_are_named(problem: CalibrationProblem, predictor: KernelPredictor) -> None:
    found = suggest_operators(fit_calibration(problem), predictor.vocabulary)
    names = [s.name for s in found]
    assert len(names) == len(set(names)) == 4
    assert names[0] in ("Gemm, float32", "Conv, float32"), "known to the first device, not measured on the near one"
    assert {s.kind for s in found} == {"kernel"}


def test_terms_are_bounded(predictor: KernelPredictor) -> None:
    from nnmeter.kernels.features import kernel_features
    from nnmeter.predictor.price_correction import kernel_terms

    signatures = [addition(1), addition(4096, 4096, 64), as_nchwc(convolution(2048, 2048, 512))]
    terms = kernel_terms(predictor.price(signatures), [kernel_features(s) for s in signatures], predictor.roofline)
    assert terms.shape == (3, len(TERMS))
    assert np.abs(terms).max() <= 2.0


def test_a_correction_survives_its_own_description(problem: CalibrationProblem) -> None:
    correction = fit_calibration(problem, first(problem, 20)).to_correction()
    stored = json.loads(json.dumps(correction.to_dict()))
    assert Correction.from_dict(stored, correction.operators) == correction
