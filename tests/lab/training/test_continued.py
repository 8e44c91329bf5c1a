"""A few networks of one machine over the predictor of another: what carries over, and what is learned."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training import real_networks
from nnmeter.lab.training.continued import ContinuedFit
from nnmeter.lab.training.table import build_table
from nnmeter.lab.training.train import fit_predictor
from nnmeter.predictor import KernelPredictor
from nnmeter.predictor.shares import mix_predictors
from tests.predictor.conftest import addition, convolution, true_latency_ms

pytest.importorskip("lightgbm")

UNSEEN = [convolution(48, 80, 28), convolution(80, 112, 14, 1), convolution(192, 192, 14), addition(1, 80, 28, 28)]


def near_ms(signature: KernelSignature) -> float:
    """The near machine: convolutions take 0.6, all else 0.4 of what they take on the made-up one."""
    return true_latency_ms(signature) * (0.6 if signature.op_type == "Conv" else 0.4)


def on_near(measurement: Measurement, seed: int) -> Measurement:
    noise = np.random.default_rng(seed).normal(0, 0.02, len(measurement.kernels))
    times = [near_ms(k) * float(np.exp(n)) for k, n in zip(measurement.kernels, noise, strict=True)]
    whole = sum(times) + 0.01
    return replace(
        measurement, kernel_ms=tuple(times), latency_ms=whole, min_ms=whole, median_ms=whole, p90_ms=whole,
        half_ms=(whole, whole),
    )  # fmt: skip


def additions_of(measurement: Measurement) -> Measurement:
    """The network with its additions alone."""
    assert measurement.kernel_ms is not None
    times = measurement.kernel_ms[1::2]
    whole = sum(times)
    return replace(
        measurement, kernels=measurement.kernels[1::2], kernel_ms=times, kernel_spread=(0.02,) * len(times),
        latency_ms=whole, half_ms=(whole, whole),
    )  # fmt: skip


@pytest.fixture(scope="module")
def prior(measurements: list[Measurement]) -> KernelPredictor:
    return fit_predictor(measurements)[0]


@pytest.fixture(scope="module")
def few(measurements: list[Measurement]) -> list[Measurement]:
    return [on_near(m, i) for i, m in enumerate(measurements[:12])]


def errors(predictor: KernelPredictor) -> np.ndarray:
    prices = np.array([p.latency_ms for p in predictor.price(UNSEEN)])
    return np.abs(prices / np.array([near_ms(s) for s in UNSEEN]) - 1)


def test_twelve_networks_over_a_prior_price_unseen_sizes_of_another_machine(
    prior: KernelPredictor, few: list[Measurement]
) -> None:
    predictor, report = fit_predictor(few, prior=prior)
    assert errors(prior).min() > 0.5, "as it is, the prior is of another machine"
    assert errors(predictor).max() < 0.1
    assert errors(predictor).mean() < errors(fit_predictor(few)[0]).mean(), "a prior beats none"
    assert report.totals is not None and report.totals.within_10 > 80


def test_what_was_not_sampled_moves_with_the_rest_and_is_less_certain(
    prior: KernelPredictor, few: list[Measurement]
) -> None:
    predictor, _ = fit_predictor([additions_of(m) for m in few], prior=prior)
    before, after = prior.price([UNSEEN[0]])[0], predictor.price([UNSEEN[0]])[0]
    # Additions take 0.4 of what they took, of a whole that is the sum of its kernels; no convolution was timed.
    assert after.latency_ms / predictor.scale == pytest.approx(0.4 * before.latency_ms / prior.scale, rel=0.1)
    assert after.source == "trained"
    assert after.sigma > before.sigma


def test_an_operator_that_the_prior_lacks_joins_its_family(
    measurements: list[Measurement], few: list[Measurement]
) -> None:
    additions_only, _ = fit_predictor([additions_of(m) for m in measurements])
    assert additions_only.price([UNSEEN[0]])[0].source == "fallback"
    predictor, _ = fit_predictor(few, prior=additions_only)
    price = predictor.price([UNSEEN[0]])[0]
    assert price.source == "trained"
    assert price.latency_ms == pytest.approx(near_ms(UNSEEN[0]), rel=0.25)


def test_a_network_that_is_held_out_teaches_nothing_to_its_own_estimate(
    prior: KernelPredictor, few: list[Measurement]
) -> None:
    table = build_table(few)
    fold = (np.arange(len(few)) % 5)[table.network]
    untouched = ContinuedFit(table, prior, 0).held_out(fold).log_ratio
    wrong = [replace(few[0], kernel_ms=tuple(9 * t for t in few[0].kernel_ms or ())), *few[1:]]
    changed = ContinuedFit(build_table(wrong), prior, 0).held_out(fold).log_ratio
    first = table.network == 0
    same_fold = fold == fold[0]
    assert np.allclose(untouched[first], changed[first])
    assert not np.allclose(untouched[~same_fold], changed[~same_fold])


def test_continued_training_is_deterministic(prior: KernelPredictor, few: list[Measurement]) -> None:
    one, other = (fit_predictor(few, prior=prior)[0] for _ in range(2))
    assert [p.latency_ms for p in one.price(UNSEEN)] == [p.latency_ms for p in other.price(UNSEEN)]


def test_over_a_mixture_held_out_prices_are_those_of_the_predictor_that_comes_of_it(
    prior: KernelPredictor, measurements: list[Measurement], few: list[Measurement]
) -> None:
    other, _ = fit_predictor([additions_of(m) for m in measurements])
    mixed = mix_predictors([prior, other])
    table = build_table(few)
    fit = ContinuedFit(table, mixed, 0)
    prices = [p.latency_ms for p in mixed.price(table.located)]
    shown = (np.array(prices) - mixed.per_kernel_ms) / mixed.scale
    assert np.exp(fit.log_roofline + fit.before) == pytest.approx(shown, rel=1e-6)
    predictor, _ = fit_predictor(few, prior=mixed)
    assert errors(predictor).max() < 0.1
    assert predictor.shares[0].predictor is other


def test_intervals_over_a_prior_are_those_of_networks_that_people_use(
    prior: KernelPredictor, few: list[Measurement], monkeypatch: pytest.MonkeyPatch
) -> None:
    narrowed = fit_predictor(few, prior=prior)[0].intervals.multipliers
    monkeypatch.setattr(real_networks, "ratios", lambda _: dict.fromkeys(narrowed, 1.0))
    plain = fit_predictor(few, prior=prior)[0].intervals.multipliers
    shipped = {float(c): r for c, r in json.loads(real_networks.RATIO_FILE.read_text())["over_prior"]["ratio"].items()}
    assert narrowed[0.9] == pytest.approx(shipped[0.9] * plain[0.9])
    assert list(narrowed.values()) == sorted(narrowed.values())


@pytest.mark.parametrize("way", ["over_prior", "campaign"])
def test_intervals_hold_what_they_promise_on_machines_left_out(way: str) -> None:
    document = json.loads(real_networks.RATIO_FILE.read_text())[way]
    held = [row["held"]["0.9"] for row in document["left_out"]]
    assert len(held) >= 3
    assert 85.0 <= np.mean(held) <= 95.0


def test_a_pack_of_one_session_knows_that_there_are_others(prior: KernelPredictor, few: list[Measurement]) -> None:
    states = fit_predictor(few, prior=prior)[0].intervals.states
    assert states == json.loads(real_networks.STATE_FILE.read_text())["states"]
    assert 0.0 < states["convolution"] < states["transpose"]  # what moves memory moves with its other guests
    assert not prior.intervals.states
