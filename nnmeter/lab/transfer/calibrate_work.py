"""Calibrating a pack that has rates by sorts of work: the population of all devices is the prior.

Rules:

1. The rates of the near device are the maximum a posteriori given its networks (`population`, rule 5). What they are a
   priori is one of two: near those of the pack that is calibrated, or what the population says of a device of that sort
   and engine. The networks decide, by which of both makes their times the likelier (the evidence of each).
2. Intervals are of networks that were left out in turn, held to the usual noise of the population where there are few.
3. A learning curve draws that many of the given networks and predicts the others, as for any pack.
4. The fusion rules are those that the measurements were detected with, where they say so; else those of the pack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnmeter.devices.pack import DevicePack, save_pack
from nnmeter.devices.pack_rules import referenced_rules
from nnmeter.errors import MeasurementError
from nnmeter.fusion.loading import rules_to_dict
from nnmeter.fusion.ruleset_index import rule_sets
from nnmeter.lab.evaluation.metrics import compute_metrics
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.build import make_card
from nnmeter.lab.training.network_work import NetworkWork, describe_network, traits_of
from nnmeter.lab.training.population import DeviceRates, Matrix, Population, fit_rates, predict_log_ms
from nnmeter.lab.training.work_predictor import Errors, explained_spreads, kind_sigmas, make_predictor
from nnmeter.lab.transfer.curve import LEAST_TESTED, SIZES, CurvePoint
from nnmeter.lab.transfer.report import describe_errors
from nnmeter.predictor.intervals import normal_quantile
from nnmeter.predictor.kernel_predictor import KernelPredictor

_RELATIVE = 2.0  # two devices differ by twice the variance by which one differs from the usual
_HELD = 8.0  # networks' worth of the usual noise that intervals are held to (rule 2)
_WIDER = 1.5  # of that noise, by which networks err that were not measured


@dataclass(frozen=True, slots=True)
class Start:
    """What the rates of a device may be a priori: mean and covariance of their logarithms."""

    mean: Matrix
    covariance: Matrix


def starts_of(pack: DevicePack, population: Population, fingerprint: Mapping[str, Any]) -> list[Start]:
    """The two starts of rule 1."""
    sort, engine, hardware = traits_of(fingerprint)
    known = population.prior(sort, engine, hardware)
    work = pack.predictor.work
    if work is None:
        return [Start(*known)]
    overhead_ms = max(pack.predictor.overhead_ms, 1e-9)
    mean = np.append(np.log(work.rates), np.log(overhead_ms))
    return [Start(mean, _RELATIVE * population.covariance), Start(*known)]


def fit_near_rates(starts: Sequence[Start], work: Matrix, log_ms: Matrix, noise: float) -> DeviceRates:
    """The rates of a near device, from the start that its networks find likelier (rule 1)."""
    if not len(log_ms):
        return fit_rates(work, log_ms, starts[0].mean, starts[0].covariance, noise)
    best = max(starts, key=lambda start: _evidence(start, work, log_ms, noise))
    return fit_rates(work, log_ms, best.mean, best.covariance, noise)


def _evidence(start: Start, work: Matrix, log_ms: Matrix, noise: float) -> float:
    """Log of how likely the times are a priori, by the linearisation around the maximum a posteriori."""
    rates = fit_rates(work, log_ms, start.mean, start.covariance, noise)
    totals = predict_log_ms(rates.theta, work)
    shares = work * np.exp(rates.theta) / np.exp(totals)[:, None]
    error = log_ms - totals + shares @ (rates.theta - start.mean)
    spread = shares @ start.covariance @ shares.T + noise**2 * np.eye(len(log_ms))
    return float(-0.5 * (error @ np.linalg.solve(spread, error) + np.linalg.slogdet(spread)[1]))


def calibrate_by_work(
    prior: DevicePack,
    population: Population,
    measurements: Sequence[Measurement],
    chosen: Matrix,
    fingerprint: Mapping[str, Any],
    output: Any,
    device_id: str | None = None,
    repeats: int = 20,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> tuple[DevicePack, dict[str, Any]]:
    """Calibrate a pack that has rates by sorts of work, and save it as another.

    Args:
        prior: the pack of the first device.
        population: of all devices.
        measurements: whole networks of the near device.
        chosen: of each, whether it takes part.
        fingerprint: of the near device.
        output: directory of the new pack.
        device_id: name of the device; from the fingerprint if not given.
        repeats: draws a point of the learning curve.
        seed: of the draws.
        progress: told what is being done.

    Returns:
        The pack, and what the report says of it: `left_out`, `held_out`, `half_width` and `curve`.

    Raises:
        MeasurementError: no whole network is among the measurements.
    """
    say = progress or (lambda _: None)
    wholes = np.array([m.granularity == "model" for m in measurements], bool)
    if not (wholes & chosen).any():
        raise MeasurementError(
            "none of the measurements is of a whole network, which a pack of published tables is calibrated on; "
            "measure some: nnmeter measure MODEL... --out F"
        )
    say("describing the measured networks")
    rows = [m for m, whole in zip(measurements, wholes, strict=True) if whole]
    used = chosen[wholes]
    works = [describe_network(m.kernels) for m in rows]
    amounts = np.array([own.work for own in works])
    log_ms = np.log([m.latency_ms for m in rows])
    starts = starts_of(prior, population, fingerprint)
    noise = population.noise_of(traits_of(fingerprint)[1])
    curve = _curve(starts, amounts, log_ms, noise, repeats, seed, say) if repeats else []
    say("calibrating")
    rates = fit_near_rates(starts, amounts[used], log_ms[used], noise)
    rates = replace(rates, doubt=population.doubts.get(traits_of(fingerprint)[1]))
    errors = _left_out(starts, amounts[used], log_ms[used], noise)
    own = [work for work, taken in zip(works, used, strict=True) if taken]
    taken = [m for m, was in zip(rows, used, strict=True) if was]
    kind = str(fingerprint.get("kind") or "cpu")
    predictor = _predictor(rates, own, np.exp(log_ms[used]), errors, noise, kind)
    facts = {
        "calibrated_from": prior.id,
        "networks": len(taken),
        "measured": ", ".join(m.network for m in taken),
        "prior": prior.card.trained_on,
    }
    card = make_card(taken, fingerprint, facts, device_id, predictor.vocabulary)
    if card.id == prior.id:
        card = replace(card, id=f"{card.id}-calibrated")
    limit = (
        f"calibrated from {prior.id} with {len(taken)} networks; what these do not contain is priced as all devices say"
    )
    card = replace(card, limits=(limit, *card.limits))
    pack = save_pack(output, card, _rules(prior, fingerprint), predictor)
    return pack, {
        "left_out": _metrics(log_ms[used] - errors, log_ms[used]) if len(taken) > 1 else None,
        "held_out": _metrics(predict_log_ms(rates.theta, amounts[~used]), log_ms[~used]) if (~used).any() else None,
        "half_width": _half_width(predictor, taken),
        "curve": tuple(curve),
    }


def _left_out(starts: Sequence[Start], work: Matrix, log_ms: Matrix, noise: float) -> Matrix:
    """Log error of each network, predicted by the others (rule 2)."""
    found = []
    for place in range(len(log_ms)):
        rest = np.arange(len(log_ms)) != place
        rates = fit_near_rates(starts, work[rest], log_ms[rest], noise)
        found.append(float(log_ms[place] - predict_log_ms(rates.theta, work[[place]])[0]))
    return np.array(found)


def _predictor(
    rates: DeviceRates, works: Sequence[NetworkWork], latency_ms: Matrix, errors: Matrix, noise: float, kind: str
) -> KernelPredictor:
    """The predictor with intervals of rule 2: normal, of a scale that few networks do not decide alone."""
    predictor = make_predictor(rates, works, latency_ms, Errors(errors, np.full(len(errors), np.nan)), kind)
    explained = explained_spreads(rates, works, kind_sigmas(rates, works))
    spreads = np.hypot(explained, noise)
    squares = float(((errors / spreads) ** 2).sum())
    scale = float(np.sqrt((squares + _HELD * _WIDER**2) / (len(errors) + _HELD)))
    multipliers = {c: scale * normal_quantile(c) for c in predictor.intervals.multipliers}
    intervals = replace(predictor.intervals, base=noise, multipliers=multipliers, networks=len(errors), jitter_ms=0.0)
    return replace(predictor, intervals=intervals)


def _curve(
    starts: Sequence[Start],
    work: Matrix,
    log_ms: Matrix,
    noise: float,
    repeats: int,
    seed: int,
    say: Callable[[str], None],
) -> list[CurvePoint]:
    """The learning curve (rule 3)."""
    generator = np.random.default_rng(seed)
    points = []
    for size in SIZES:
        if len(log_ms) - size < LEAST_TESTED:
            continue
        say(f"learning curve: {size} measurements")
        scores = []
        for _ in range(repeats if size else 1):
            drawn = np.zeros(len(log_ms), bool)
            drawn[generator.permutation(len(log_ms))[:size]] = True
            rates = fit_near_rates(starts, work[drawn], log_ms[drawn], noise)
            metrics = compute_metrics(
                np.exp(predict_log_ms(rates.theta, work[~drawn])).tolist(), np.exp(log_ms[~drawn]).tolist()
            )
            scores.append([metrics.within_5, metrics.within_10, metrics.mape])
        table = np.array(scores)
        error = table.std(axis=0, ddof=1) / np.sqrt(len(table)) if len(table) > 1 else np.zeros(table.shape[1])
        pairs = [(float(m), float(e)) for m, e in zip(table.mean(axis=0), error, strict=True)]
        points.append(CurvePoint(size, len(log_ms) - size, len(table), *pairs))
    return points


def _metrics(predicted: Matrix, measured: Matrix) -> dict[str, Any]:
    return describe_errors(np.exp(predicted), np.exp(measured))


def _half_width(predictor: KernelPredictor, measurements: Sequence[Measurement]) -> float:
    """Median half width of the 90 % intervals of the measured networks, per cent of the prediction."""
    halves = []
    for measurement in measurements:
        prices = predictor.price_network(measurement.kernels)
        total = sum(price.latency_ms for price in prices) + predictor.overhead_ms
        low, high = predictor.intervals.interval_ms(total, prices, 0.9)
        halves.append(50.0 * (high - low) / total)
    return round(float(np.median(halves)), 2)


def _rules(prior: DevicePack, fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """Rule 4."""
    name = fingerprint.get("fusion_rules")
    if isinstance(name, str) and name in rule_sets():
        info = rule_sets()[name]
        told = fingerprint.get("fusion_parameters") or {}
        own = {k: v for k, v in told.items() if k in info.parameters and info.parameters[k] != v}
        return referenced_rules(name, own, info.hash_of(own))
    source = prior.rules_source
    if source.is_reference:
        return referenced_rules(source.name, source.parameters, source.trained_with)
    return rules_to_dict(prior.rules)
