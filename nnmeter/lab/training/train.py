"""From measurements of any mix of granularities to a device's predictor.

Rules:

1. Where networks were profiled kernel by kernel, ensembles are fitted to the kernels' times (`kernels`), brought to
   the whole run of their network (`reconciled`), and what the profiler adds is found from the networks' unobserved
   times (`unobserved`). If whole networks without kernels' times are among the measurements, sums are then corrected
   additively, if that lowers the error on networks held out (`wholes`). The folds are those of intervals: with recipes
   left out, what is corrected would be the error on operators that were left out. Where every network was profiled
   there is no such step: fitted to 2,750 random networks it lowered their held-out error from 10.4 to 9.4 %, but not
   that of 54 real models (3.9 % with and without). Kernels that wait for their weights take more in long networks
   (`network_factors`), and so do all kernels (`coldness`), and more where others of their kind are far (`reuse`). With
   a prior, the predictor of another machine, which these factors are taken from, too, kernels' times are fitted on top
   of that (`continued`), and the path is the same from there on, but that intervals are those of networks that people
   use (`real_networks`).
2. Where too few kernels have times of their own, as on a phone or in a runtime without a profiler, the ensembles are
   fitted to the sums alone, from a roofline that the sums give, or from the predictor of another device.
3. Folds for errors of kernels that have no times are by family of networks: a network, and all others made by its
   recipe, are on one side. Where kernels have times their errors are those that intervals are calibrated with: a recipe
   that alone has an operator would be left out with it. Folds for intervals are by network where networks are random
   (see `folds`): with whole recipes left out, intervals were a quarter wider (24.8 against 20.1 % of the prediction on
   68 models) and held as many of them, 97.1 %. So are those for the number of rounds of sums.
4. A network that judges predictions must have been measured repeatably. A few kernels that were timed together judge as
   little as single ones do: they are no inference.
5. Networks that are unlike those of training get wider intervals, as much as leaving families out shows (`shift`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nnmeter.errors import DeviceError, MeasurementError
from nnmeter.kernels.anchor import Kind
from nnmeter.kernels.features import kernel_features
from nnmeter.lab.evaluation.metrics import Metrics, compute_metrics
from nnmeter.lab.training.continued import ContinuedFit
from nnmeter.lab.training.deviations import fit_deviations
from nnmeter.lab.training.folds import family_folds, interval_folds
from nnmeter.lab.training.intervals import (
    HeldOutPrices,
    fit_total_intervals,
    kernel_coverage,
    kernel_sigmas,
    row_sigmas,
    shift_of,
)
from nnmeter.lab.training.kernels import HeldOut, KernelFit, Progress
from nnmeter.lab.training.network_factors import in_networks_ms, with_unobserved, without_networks
from nnmeter.lab.training.out_of_networks import (
    MIN_NETWORKS,
    factors_over,
    out_of_networks,
    profiled_ms_of,
    roofline_of,
    unprofiled,
)
from nnmeter.lab.training.priors import LAUNCH_OF_A_CORE, Prior, pack_prior, roofline_prior
from nnmeter.lab.training.real_networks import CAMPAIGN, OVER_PRIOR, for_real_networks
from nnmeter.lab.training.reconciled import reconciled
from nnmeter.lab.training.regressors import Preset, Regressor
from nnmeter.lab.training.report import AdditiveReport, TrainingReport
from nnmeter.lab.training.table import MOST_OF_A_GROUP, KernelTable, build_table
from nnmeter.lab.training.unobserved import fit_unobserved
from nnmeter.lab.training.wholes import (
    MANY_NETWORKS,
    PRESETS,
    PRESETS_OF_MANY,
    PRESETS_OVER_KERNELS,
    WholeFit,
)
from nnmeter.predictor.baselines import Baselines, fit_baselines
from nnmeter.predictor.intervals import IntervalModel
from nnmeter.predictor.kernel_predictor import FALLBACK, LEAST_LAUNCH, KernelPredictor
from nnmeter.predictor.network_factors import NetworkFactors
from nnmeter.predictor.roofline import Roofline
from nnmeter.predictor.shift import Shift
from nnmeter.predictor.trees import TreeEnsemble
from nnmeter.predictor.vocabulary import Sampled

if TYPE_CHECKING:
    from nnmeter.lab.measuring.measurement import Measurement

MIN_UNPROFILED = 30  # whole networks without a kernel's time: fewer say less than a pack of a near device, calibrated
_REPEATABLE = 0.03  # networks whose halves differ by more are too noisy to judge predictions
_ROUNDS_BY_FAMILY = 300  # later rounds change little on families that were left out
_NOT_FITTED = IntervalModel(0.02, {0.5: 1.0, 0.8: 2.0, 0.9: 3.0, 0.95: 4.0}, 0)


@dataclass(frozen=True, slots=True)
class _Trained:
    """Ensembles and what they say of rows that they have not seen.

    Attributes:
        prior: roofline, vocabulary without standard deviations, ensembles, and from kernels to whole runs.
        by_family, unseen: out-of-fold estimates of all rows, with folds by family and with those of intervals.
        log_error: of each row, NaN where it is not known; `weight` of each row.
        fallback_sigma: standard deviation of the log error of operators that were not sampled.
        presets: of kernel families.
        additive: report of the fit to sums.
        over_prior: whether kernels' times were fitted on top of the predictor of another machine.
        of_kernels: whether `log_error` is that of kernels' own times.
        factors: what kernels take by the time of their network.
    """

    prior: Prior
    by_family: HeldOut
    unseen: HeldOut
    log_error: np.ndarray
    weight: np.ndarray
    fallback_sigma: float
    presets: dict[str, Preset]
    additive: AdditiveReport | None
    over_prior: bool = False
    of_kernels: bool = True
    factors: NetworkFactors | None = None


def fit_predictor(
    measurements: Sequence[Measurement],
    regressor: Regressor = "lightgbm",
    seed: int = 0,
    progress: Progress | None = None,
    prior: KernelPredictor | None = None,
    launch: float = LAUNCH_OF_A_CORE,
) -> tuple[KernelPredictor, TrainingReport]:
    """Train the predictor of one device.

    Args:
        measurements: of any granularity: kernels, profiled networks, whole networks.
        regressor: "lightgbm" or "random-forest", for kernels' times. Sums are always fitted by boosting.
        seed: makes the result deterministic.
        progress: told what is being done, a line at a time.
        prior: of another device, to start from instead of a roofline.
        launch: of what whole networks call a launch, the part that is one (`priors`, rule 2); matters where sums
            are all that there is. 1 for a GPU.

    Raises:
        MeasurementError: too little was measured, or a random forest is asked to learn from sums.
        DeviceError: the prior was calibrated.
    """
    say = progress or (lambda _: None)
    measurements = [m for m in measurements if m.kernels]
    table = build_table(measurements, kernel_features if prior is None else prior.describe)
    judged_ms = _judged(measurements)
    profiled = sum(1 for n in table.networks if not np.isnan(table.latency_ms[n.rows]).any())
    if profiled >= MIN_NETWORKS:
        table = reconciled(table)
    if profiled >= MIN_NETWORKS and prior is not None:
        trained = _fit_over_prior(table, prior, seed, say)
    elif profiled >= MIN_NETWORKS:
        trained = _fit_kernels(table, judged_ms, regressor, seed, say)
    else:
        _check_sums(table, profiled, regressor, prior)
        trained = _fit_sums(table, judged_ms, seed, say, prior, launch)
    known = trained.prior
    vocabulary = kernel_sigmas(table, known.vocabulary, trained.log_error, trained.weight)
    deviations, deviation = _deviations(table, trained, vocabulary, seed, say)
    predictor = KernelPredictor(
        known.roofline,
        vocabulary,
        known.ensembles,
        trained.fallback_sigma,
        _NOT_FITTED,
        _fit_baselines(table, known.roofline),
        *known.unobserved,
        shares=() if prior is None else prior.shares,
        deviations=deviations,
        factors=trained.factors,
    )
    totals = coverage = None
    if np.count_nonzero(~np.isnan(judged_ms)) >= MIN_NETWORKS:
        say("fitting the intervals")
        prices = _unobserved_prices(table, trained, vocabulary, trained.unseen, deviation)
        intervals, predicted, coverage = fit_total_intervals(table, prices, known.unobserved.overhead_ms, judged_ms)
        if trained.over_prior:
            intervals = for_real_networks(intervals, OVER_PRIOR)
        else:
            if trained.of_kernels and _are_random(table, judged_ms):
                intervals = for_real_networks(intervals, CAMPAIGN)
            shift = _shift(table, trained, vocabulary, intervals, prices, judged_ms, seed, deviation)
            intervals = replace(intervals, shift=shift)
        predictor = replace(predictor, intervals=intervals)
        judges = ~np.isnan(judged_ms)
        totals = compute_metrics(predicted[judges].tolist(), judged_ms[judges].tolist())
    return predictor, _report(table, trained, totals, coverage, deviation)


def _deviations(
    table: KernelTable, trained: _Trained, vocabulary: dict[Kind, Sampled], seed: int, say: Progress
) -> tuple[dict[str, TreeEnsemble], np.ndarray]:
    """Deviations kernel by kernel where kernels have times: errors of sums are not known kernel by kernel."""
    if not trained.of_kernels:
        return {}, np.full(len(table.kernel), np.nan)
    say("learning how sure prices are")
    return fit_deviations(table, vocabulary, trained.log_error, trained.weight, seed)


def _are_random(table: KernelTable, judged_ms: np.ndarray) -> bool:
    """Whether all networks that judge were made at random."""
    return all(table.networks[number].random for number in np.flatnonzero(~np.isnan(judged_ms)))


def _shift(
    table: KernelTable,
    trained: _Trained,
    vocabulary: dict[Kind, Sampled],
    intervals: IntervalModel,
    seen: HeldOutPrices,
    judged_ms: np.ndarray,
    seed: int,
    deviation: np.ndarray,
) -> Shift | None:
    """How much wider intervals of unlike networks are, where leaving families out tells (rule 5)."""
    fold = interval_folds(table.networks, seed)
    if np.array_equal(fold, family_folds(table.networks, seed)):
        return None
    apart = _unobserved_prices(table, trained, vocabulary, trained.by_family, deviation)
    overhead_ms = trained.prior.unobserved.overhead_ms
    return shift_of(table, vocabulary, intervals, apart, overhead_ms, judged_ms, fold, seen)


def _judged(measurements: Sequence[Measurement]) -> np.ndarray:
    """Time of each network, NaN where it is not fit to judge predictions (rule 4).

    All whole networks judge where too few are repeatable, and single kernels where too few whole ones were measured.
    """
    latency = np.array([m.latency_ms for m in measurements])
    whole = np.array([m.granularity == "model" or len(m.kernels) > MOST_OF_A_GROUP for m in measurements], bool)
    repeatable = whole & np.array([is_repeatable(m) for m in measurements], bool)
    chosen = next((c for c in (repeatable, whole) if c.sum() >= MIN_NETWORKS), ~whole)
    return np.where(chosen, latency, np.nan)


def is_repeatable(measurement: Measurement) -> bool:
    """Whether the two halves of a network's runs agree well enough for the network to judge a prediction."""
    first, second = measurement.half_ms
    return abs(first - second) <= _REPEATABLE * measurement.latency_ms


def _check_sums(table: KernelTable, profiled: int, regressor: Regressor, prior: KernelPredictor | None) -> None:
    if prior is not None and prior.shares:
        raise DeviceError(
            "sums of kernels are fitted on top of one machine's pack, and this one rests on several; give one of these"
        )
    count = len(table.networks)
    if count < MIN_UNPROFILED:
        raise MeasurementError(
            f"{count} networks, {profiled} of them profiled, are too few to train on; profile at least {MIN_NETWORKS}, "
            f"better 500, or measure {MIN_UNPROFILED} whole, better 1000, or calibrate a pack of a near device"
        )
    if regressor != "lightgbm":
        raise MeasurementError(
            f"regressor '{regressor}' learns from kernels' own times, which these measurements lack; use lightgbm"
        )


def _fit_kernels(
    measured: KernelTable, judged_ms: np.ndarray, regressor: Regressor, seed: int, say: Progress
) -> _Trained:
    """Fit kernels' times, then correct sums where that helps (rule 1)."""
    table, factors = out_of_networks(measured, seed, say)
    roofline = roofline_of(table)
    fit = KernelFit(table, roofline, regressor, seed)
    say("leaving networks out")
    unseen_folds = interval_folds(table.networks, seed)
    presets = fit.presets()
    unseen = by_family = fit.cross_validate(presets, unseen_folds[table.network], say)
    say("fitting the families")
    ensembles, vocabulary = fit.fit(presets)
    say("measuring the fallback")
    fallback_sigma = fit.fallback_sigma()
    profiled_ms = profiled_ms_of(table, roofline, unseen)
    priced_ms = in_networks_ms(table, factors, profiled_ms)
    unobserved = fit_unobserved(table, priced_ms, LEAST_LAUNCH * roofline.launch_ms)
    factors = with_unobserved(factors, unobserved, roofline)
    prior = Prior(roofline, vocabulary, ensembles, unobserved)
    report = None
    if unprofiled(table) >= MIN_NETWORKS:
        say("fitting what sums of kernels leave")
        wholes = WholeFit(table, prior, unseen.log_ratio, judged_ms, False, seed)
        preset, outcome = wholes.choose_preset(PRESETS_OVER_KERNELS, unseen_folds, say)
        kept = wholes.helps(outcome)
        report = AdditiveReport(
            len(wholes.used), outcome.rounds, preset.leaves, outcome.error_before, outcome.error, kept
        )
        if kept:
            unseen = wholes.held_out(outcome, unseen_folds, unseen.trained)
            prior = wholes.updated(wholes.fit(preset, outcome.rounds))
    log_error = fit.target - unseen.log_ratio
    return _Trained(prior, by_family, unseen, log_error, fit.weight, fallback_sigma, presets, report, factors=factors)


def _fit_over_prior(table: KernelTable, start: KernelPredictor, seed: int, say: Progress) -> _Trained:
    """Fit kernels' times on top of the predictor of another machine (rule 1)."""
    factors = factors_over(table, start)
    fit = ContinuedFit(table, start, seed)
    fit.take(without_networks(table, factors, fit.first_ms()))
    table = fit.table
    say("leaving networks out")
    unseen = fit.held_out(interval_folds(table.networks, seed)[table.network])
    say("fitting the families")
    ensembles, vocabulary = fit.fit()
    profiled_ms = np.exp(fit.log_roofline[table.kernel] + unseen.log_ratio)
    priced_ms = in_networks_ms(table, factors, profiled_ms)
    unobserved = fit_unobserved(table, priced_ms, LEAST_LAUNCH * fit.prior.roofline.launch_ms)
    factors = with_unobserved(factors, unobserved, fit.prior.roofline)
    prior = Prior(fit.prior.roofline, vocabulary, ensembles, unobserved)
    log_error = fit.target - (unseen.log_ratio - fit.before[table.kernel])
    return _Trained(
        prior, unseen, unseen, log_error, fit.weight, start.fallback_sigma, {}, None, over_prior=True, factors=factors
    )


def _fit_sums(
    table: KernelTable,
    judged_ms: np.ndarray,
    seed: int,
    say: Progress,
    start: KernelPredictor | None,
    launch: float,
) -> _Trained:
    """Fit sums alone (rule 2)."""
    if start is None:
        say("fitting the roofline to whole networks")
        known, before = roofline_prior(table, launch), np.zeros(len(table.kernel))
        trained = np.zeros(len(table.kernel), bool)
    else:
        known, before, trained = pack_prior(table, start)
    fit = WholeFit(table, known, before, judged_ms, True, seed)
    say("choosing hyper-parameters")
    folds, unseen_folds = family_folds(table.networks, seed), interval_folds(table.networks, seed)
    presets = PRESETS_OF_MANY if len(fit.used) > MANY_NETWORKS else PRESETS
    preset, outcome = fit.choose_preset(presets, unseen_folds, say)
    report = AdditiveReport(len(fit.used), outcome.rounds, preset.leaves, outcome.error_before, outcome.error, True)
    apart = outcome
    if not np.array_equal(folds, unseen_folds):
        say("leaving out families")
        apart = fit.cross_validate(folds, preset, min(outcome.rounds, _ROUNDS_BY_FAMILY))
    by_family = fit.held_out_with_fallback(apart, folds, trained)
    unseen = fit.held_out_with_fallback(outcome, unseen_folds, trained)
    say("fitting the families")
    learned = fit.fit(preset, outcome.rounds)
    log_ratio = fit.log_ratio + learned.log_factor[table.kernel]
    prior = fit.updated(learned)
    say("measuring the fallback")
    taught = fit.taught()
    if start is None:
        prior.ensembles[FALLBACK] = fit.learn_fallback(log_ratio, taught)
    fallback_sigma = fit.fallback_sigma(log_ratio, taught) if start is None else start.fallback_sigma
    disagreement = np.where(taught & by_family.trained, log_ratio - by_family.log_ratio, np.nan)
    return _Trained(
        prior, by_family, unseen, disagreement, fit.shares(log_ratio), fallback_sigma, {}, report, of_kernels=False
    )


def _unobserved_prices(
    table: KernelTable,
    trained: _Trained,
    vocabulary: dict[Kind, Sampled],
    held_out: HeldOut,
    deviation: np.ndarray,
) -> HeldOutPrices:
    """Out-of-fold prices of all rows as they run unobserved."""
    prior = trained.prior
    profiled = profiled_ms_of(table, prior.roofline, held_out)
    in_networks = in_networks_ms(table, trained.factors, profiled)
    by_reuse = trained.factors is not None and trained.factors.reuse is not None
    scale, per_kernel_ms, _ = prior.unobserved
    known = table.among_kinds(vocabulary)[table.kind[table.kernel]] & held_out.trained
    least_ms = LEAST_LAUNCH * prior.roofline.launch_ms
    latency = np.maximum(scale * (in_networks if by_reuse else profiled) + per_kernel_ms, least_ms)
    latency = latency if by_reuse else latency * in_networks / profiled
    return HeldOutPrices(latency, *row_sigmas(table, vocabulary, known, trained.fallback_sigma, deviation))


def _fit_baselines(table: KernelTable, roofline: Roofline) -> Baselines:
    chosen = [i for i, n in enumerate(table.networks) if not n.alone] or list(range(len(table.networks)))
    roofline_ms = roofline.latencies_ms(table.flops, table.moved, table.item_bits)
    sums = [table.sums(q) for q in (table.flops, table.moved, np.ones(len(table.flops)), roofline_ms)]
    latency = np.array([table.networks[i].latency_ms for i in chosen])
    return fit_baselines(np.column_stack(sums)[chosen], latency)


def _report(
    table: KernelTable,
    trained: _Trained,
    totals: Metrics | None,
    coverage: float | None,
    deviation: np.ndarray,
) -> TrainingReport:
    timed = table.timed
    family = table.family[table.kernel]
    errors: dict[str, float] = {}
    inside = None
    if trained.presets:
        errors = {f: float(np.median(np.abs(trained.log_error[timed & (family == f)]))) for f in trained.presets}
        inside = kernel_coverage(
            table,
            trained.prior.vocabulary,
            trained.by_family.trained,
            trained.log_error,
            trained.weight,
            trained.fallback_sigma,
            deviation,
        )
    return TrainingReport(
        len(table.networks),
        len(table.kernel),
        int(timed.sum()),
        trained.presets,
        errors,
        totals,
        coverage,
        inside,
        trained.prior.unobserved,
        trained.additive,
    )
