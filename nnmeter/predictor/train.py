"""From measurements to a device's predictor.

Rules:

1. The target of a kernel is `log(measured / roofline)`; the roofline is read off the same measurements.
2. One ensemble a kernel family; its preset is the one with the smallest error in cross-validation. The value of the
   feature "anchor" is the rank of an operator by its mean target, so that operators alike in price are neighbours.
3. A row weighs the square root of its share of its network's time: what matters to a total matters to the fit, and
   small kernels, of which there are many, are not lost.
4. The fallback sees the common features only, and no anchor. Its error is measured with whole operators left out.
5. Folds for hyper-parameters and for the errors of kernels are by family of networks: a network, and all others made
   by its recipe, are on one side. Folds for intervals are by network (rule 8).
6. The correction from profiled kernels to whole runs, `wall = scale x sum + per_kernel x count + inference`, is a
   robust fit to the networks' unobserved times, relative errors counting.
7. Times are steady times: freed from the state of the machine (`nnmeter.profiling.steady`).
8. Intervals are calibrated on the out-of-fold totals of whole networks (see `intervals`) that were measured repeatably:
   an interval is to hold the error of the prediction, not that of half a second of measuring on a restless machine.
   Every network is an architecture of its own, but its blocks occur in others. With whole recipes left out, intervals
   were a quarter wider (24.8 against 20.1 % of the prediction on 68 models) and held as many of them, 97.1 %.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.errors import MeasurementError
from nnmeter.evaluation.metrics import Metrics, compute_metrics
from nnmeter.kernels.features import COMMON_NAMES
from nnmeter.predictor.baselines import Baselines, fit_baselines, network_totals
from nnmeter.predictor.intervals import IntervalModel, calibrate_intervals
from nnmeter.predictor.kernel_predictor import FALLBACK, RANGE_FEATURES, Anchor, KernelPredictor
from nnmeter.predictor.price import KernelPrice
from nnmeter.predictor.regressors import PRESETS, Preset, Regressor, fit_regressor
from nnmeter.predictor.roofline import Roofline, fit_roofline
from nnmeter.predictor.table import KernelTable, build_table
from nnmeter.profiling.steady import steady_campaign

if TYPE_CHECKING:
    from nnmeter.profiling.measurement import Measurement

FOLDS = 5
_MIN_ANCHOR_ROWS = 8  # an operator sampled less often is priced by the fallback
_SIGMA_FLOOR = 0.02
_REPEATABLE = 0.03  # networks whose halves differ by more are too noisy to calibrate intervals on
_UNCALIBRATED = IntervalModel(0.02, {0.5: 1.0, 0.8: 2.0, 0.9: 3.0, 0.95: 4.0}, 0)
_RANGE_COLUMNS = [COMMON_NAMES.index(name) for name in RANGE_FEATURES]

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What training found out of sample, on the profiled networks with folds by family (rule 5).

    Attributes:
        networks, kernels: size of the training set.
        presets: chosen preset by kernel family.
        kernel_error: median absolute log error of single kernels, by kernel family.
        totals: metrics of whole networks.
        interval_coverage: share of networks inside the interval that the *other* half of them calibrated, in per cent.
    """

    networks: int
    kernels: int
    presets: dict[str, Preset]
    kernel_error: dict[str, float]
    totals: Metrics | None
    interval_coverage: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "networks": self.networks,
            "kernels": self.kernels,
            "kernel_error": {k: round(v, 4) for k, v in self.kernel_error.items()},
            "totals": self.totals.to_dict() if self.totals else None,
            "interval_coverage": self.interval_coverage,
        }


def fit_predictor(
    measurements: Sequence[Measurement],
    regressor: Regressor = "lightgbm",
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[KernelPredictor, TrainingReport]:
    """Train the predictor of one device.

    Args:
        measurements: kernels that were measured in their networks, and whole networks.
        regressor: "lightgbm" or "random-forest".
        seed: makes the result deterministic.
        progress: told what is being done, a line at a time.

    Raises:
        MeasurementError: too little was measured.
    """
    say = progress or (lambda _: None)
    steady, reference_load = steady_campaign(measurements)
    momentary, _ = steady_campaign(measurements, momentary=True)
    table = build_table(steady)
    if len(table.networks) < 2 * FOLDS:
        raise MeasurementError(
            f"{len(table.networks)} profiled networks are too few to train on; profile at least {2 * FOLDS}, better 500"
        )
    roofline = fit_roofline(table.costs, table.item_bits, table.latency_ms)
    problem = _Problem(table, roofline, regressor, seed)
    say("choosing hyper-parameters")
    folds = assign_folds([n.family for n in table.networks], seed)
    presets, held_out = problem.choose_presets(folds[table.network], say)
    say("fitting the families")
    ensembles, anchors = problem.fit(np.ones(len(table.signatures), bool), presets)
    sigmas = problem.sigmas(held_out.log_error, anchors)
    anchors = {name: _with_sigma(a, sigmas[name]) for name, a in anchors.items()}
    say("measuring the fallback")
    fallback_sigma = problem.fallback_sigma()
    scale, per_kernel_ms, inference_ms = fit_correction(table)
    predictor = KernelPredictor(
        roofline,
        anchors,
        ensembles,
        fallback_sigma,
        _UNCALIBRATED,
        _fit_baselines(table, roofline),
        scale,
        per_kernel_ms,
        inference_ms,
        reference_load,
    )
    say("calibrating the intervals")
    unseen = problem.cross_validate(presets, assign_folds([n.name for n in table.networks], seed)[table.network])
    prices = _held_out_prices(table, predictor, unseen)
    judged = {m.network: m.latency_ms for m in momentary if m.granularity != "kernel" and is_repeatable(m)}
    measured = [n for n in table.networks if n.wall_ms is not None and n.name in judged]
    totals = coverage = None
    if len(measured) >= 2 * FOLDS:
        networks = [[prices[i] for i in n.rows] for n in measured]
        predicted = np.array([sum(p.latency_ms for p in ps) + inference_ms for ps in networks])
        walls = np.array([judged[n.name] for n in measured], dtype=float)
        predictor.intervals = calibrate_intervals(np.log(walls / predicted), networks)
        totals = compute_metrics(predicted.tolist(), walls.tolist())
        coverage = _cross_coverage(np.log(walls / predicted), networks)
    errors = {
        family: float(np.median(np.abs(held_out.log_error[problem.family == family]))) for family in sorted(presets)
    }
    return predictor, TrainingReport(len(table.networks), len(table.signatures), presets, errors, totals, coverage)


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """Out-of-fold estimate of every row: log ratio, log error, and whether its operator was in training."""

    log_ratio: np.ndarray
    log_error: np.ndarray
    trained: np.ndarray


class _Problem:
    """The training set as matrices by kernel family."""

    def __init__(self, table: KernelTable, roofline: Roofline, regressor: Regressor, seed: int) -> None:
        self.table = table
        self.regressor = regressor
        self.seed = seed
        self.roof_ms = np.array(
            [roofline.latency_ms(f.cost, bits) for f, bits in zip(table.features, table.item_bits, strict=True)]
        )
        self.target = np.log(table.latency_ms / self.roof_ms)
        self.family = np.array([f.family for f in table.features])
        self.anchor = np.array([f.anchor for f in table.features])
        totals = np.bincount(table.network, weights=table.latency_ms)
        self.weight = np.sqrt(table.latency_ms / totals[table.network])
        self.weight /= self.weight.mean()
        self.common = np.array([f.values[: len(COMMON_NAMES)] for f in table.features], dtype=np.float32)
        self.rows = {
            family: np.array([table.features[i].values for i in np.flatnonzero(self.family == family)], np.float32)
            for family in sorted({f.family for f in table.features})
        }

    def choose_presets(self, fold: np.ndarray, say: Progress) -> tuple[dict[str, Preset], _HeldOut]:
        """The best preset of each family, and the out-of-fold estimates with it."""
        presets: dict[str, Preset] = {}
        best: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for family in self.rows:
            candidates: list[tuple[float, int, Preset, np.ndarray, np.ndarray]] = []
            for preset in PRESETS[self.regressor]:
                estimate, known = self._cross_validate(family, preset, fold)
                mine = self.family == family
                error = np.average(np.abs(estimate - self.target[mine]), weights=self.weight[mine])
                candidates.append((float(error), len(candidates), preset, estimate, known))
            error, _, preset, estimate, known = min(candidates, key=lambda c: c[:2])
            say(f"{family}: {len(estimate)} rows, out-of-fold log error {error:.3f}")
            presets[family] = preset
            best[family] = (estimate, known)
        return presets, self._held_out(best, fold)

    def cross_validate(self, presets: dict[str, Preset], fold: np.ndarray) -> _HeldOut:
        """Out-of-fold estimates with given presets."""
        return self._held_out({f: self._cross_validate(f, p, fold) for f, p in presets.items()}, fold)

    def _held_out(self, estimates: dict[str, tuple[np.ndarray, np.ndarray]], fold: np.ndarray) -> _HeldOut:
        """Put families together; the fallback prices operators that a fold's training did not have."""
        log_ratio = np.zeros(len(self.target))
        trained = np.ones(len(self.target), bool)
        for family, (estimate, known) in estimates.items():
            log_ratio[self.family == family] = estimate
            trained[self.family == family] = known
        for number in range(FOLDS):
            unknown = (fold == number) & ~trained
            if unknown.any():
                rows = self.common[unknown].copy()
                rows[:, 0] = -1.0
                log_ratio[unknown] = self._fit_fallback(fold != number).predict(rows)
        return _HeldOut(log_ratio, self.target - log_ratio, trained)

    def _cross_validate(self, family: str, preset: Preset, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mine = np.flatnonzero(self.family == family)
        estimate = np.zeros(len(mine))
        known = np.ones(len(mine), bool)
        for number in range(FOLDS):
            test = fold[mine] == number
            if not test.any():
                continue
            codes = self._codes(mine[~test])
            known[test] = [a in codes for a in self.anchor[mine[test]]]
            if test.all():
                continue
            rows = self.rows[family].copy()
            rows[:, 0] = [codes.get(a, -1.0) for a in self.anchor[mine]]
            fit = fit_regressor(
                self.regressor, preset, rows[~test], self.target[mine[~test]], self.weight[mine[~test]], self.seed
            )
            estimate[test] = fit.predict(rows[test])
        return estimate, known

    def _codes(self, indices: np.ndarray) -> dict[str, float]:
        """Rank of each operator by its mean target (rule 2)."""
        names, inverse = np.unique(self.anchor[indices], return_inverse=True)
        mean = np.bincount(inverse, self.target[indices]) / np.maximum(np.bincount(inverse), 1)
        return {str(names[i]): float(rank) for rank, i in enumerate(np.argsort(mean, kind="stable"))}

    def fit(self, chosen: np.ndarray, presets: dict[str, Preset]) -> tuple[dict[str, Any], dict[str, Anchor]]:
        """Ensembles of all families and of the fallback, and the vocabulary, from the chosen rows."""
        ensembles: dict[str, Any] = {}
        anchors: dict[str, Anchor] = {}
        for family, preset in presets.items():
            mine = np.flatnonzero(self.family == family)
            inside = chosen[mine]
            codes = self._codes(mine[inside])
            rows = self.rows[family].copy()
            rows[:, 0] = [codes.get(a, -1.0) for a in self.anchor[mine]]
            indices = mine[inside]
            ensembles[family] = fit_regressor(
                self.regressor, preset, rows[inside], self.target[indices], self.weight[indices], self.seed
            )
            for name, code in codes.items():
                members = indices[self.anchor[indices] == name]
                if len(members) < _MIN_ANCHOR_ROWS:
                    continue
                ranges = self.common[members][:, _RANGE_COLUMNS]
                low, high = ranges.min(axis=0).tolist(), ranges.max(axis=0).tolist()
                anchors[name] = Anchor(family, code, len(members), 0.0, tuple(low), tuple(high))
        ensembles[FALLBACK] = self._fit_fallback(chosen)
        return ensembles, anchors

    def _fit_fallback(self, chosen: np.ndarray) -> Any:
        rows = self.common[chosen].copy()
        rows[:, 0] = -1.0
        preset = PRESETS[self.regressor][-1]
        return fit_regressor(self.regressor, preset, rows, self.target[chosen], self.weight[chosen], self.seed)

    def fallback_sigma(self) -> float:
        """Error of the fallback with whole operators left out (rule 4), as a robust standard deviation."""
        names = sorted(set(self.anchor))
        fold_of = {name: i % FOLDS for i, name in enumerate(np.random.default_rng(self.seed).permutation(names))}
        fold = np.array([fold_of[a] for a in self.anchor])
        errors: dict[str, float] = {}
        for number in range(FOLDS):
            test = fold == number
            if not test.any() or test.all():
                continue
            rows = self.common[test].copy()
            rows[:, 0] = -1.0
            error = np.abs(self._fit_fallback(~test).predict(rows) - self.target[test])
            for name in set(self.anchor[test]):
                errors[name] = float(np.median(error[self.anchor[test] == name]))
        return max(1.4826 * float(np.median(list(errors.values()))), 0.2)

    def sigmas(self, log_error: np.ndarray, anchors: dict[str, Anchor]) -> dict[str, float]:
        """Weighted root mean square log error of each operator, shrunk towards its family's."""
        result = {}
        clipped = np.clip(log_error, -1.0, 1.0)
        for name, anchor in anchors.items():
            mine = self.anchor == name
            family = self.family == anchor.family
            own = float(np.average(clipped[mine] ** 2, weights=self.weight[mine]))
            shared = float(np.average(clipped[family] ** 2, weights=self.weight[family]))
            count = int(mine.sum())
            result[name] = max(float(np.sqrt((count * own + 20 * shared) / (count + 20))), _SIGMA_FLOOR)
        return result


def is_repeatable(measurement: Measurement) -> bool:
    """Whether the two halves of a network's runs agree well enough for the network to judge a prediction."""
    first, second = measurement.half_ms
    return abs(first - second) <= _REPEATABLE * measurement.latency_ms


def assign_folds(families: Sequence[str], seed: int) -> np.ndarray:
    """A fold for each network such that a family is in one fold, and folds are about equally large (rule 5).

    With fewer families than folds there is nothing to group by, and networks are dealt out singly.
    """
    names, counts = np.unique(families, return_counts=True)
    generator = np.random.default_rng(seed)
    if len(names) < FOLDS:
        return generator.permutation(np.arange(len(families)) % FOLDS)
    load = np.zeros(FOLDS)
    fold_of: dict[str, int] = {}
    for i in np.lexsort((generator.random(len(names)), -counts)):
        fold_of[str(names[i])] = int(np.argmin(load))
        load[np.argmin(load)] += counts[i]
    return np.array([fold_of[f] for f in families])


def fit_correction(table: KernelTable) -> tuple[float, float, float]:
    """Scale, per-kernel and per-inference milliseconds that turn profiled kernels into whole runs (rule 6)."""
    measured = [n for n in table.networks if n.wall_ms is not None]
    if len(measured) < 2 * FOLDS:
        return 1.0, 0.0, 0.0
    wall = np.array([n.wall_ms for n in measured], dtype=float)
    design = np.array([[table.latency_ms[n.rows].sum(), len(n.rows), 1.0] for n in measured]) / wall[:, None]
    columns = [0, 1, 2]
    weights = np.ones(len(wall))
    solution = np.zeros(3)
    for _ in range(30):  # Huber's weights at a relative error of 3 %; an overhead below zero is dropped
        root = np.sqrt(weights)
        part, *_ = np.linalg.lstsq(design[:, columns] * root[:, None], root, rcond=None)
        solution[:] = 0.0
        solution[columns] = part
        if 2 in columns and solution[2] < 0:
            columns.remove(2)
            continue
        residual = np.abs(design @ solution - 1.0)
        weights = np.minimum(1.0, 0.03 / np.maximum(residual, 1e-9))
    return float(solution[0]), float(solution[1]), float(solution[2])


def _fit_baselines(table: KernelTable, roofline: Roofline) -> Baselines:
    costs, bits = table.costs, table.item_bits
    measured = [n for n in table.networks if n.wall_ms is not None] or table.networks
    totals = [network_totals([costs[i] for i in n.rows], [bits[i] for i in n.rows], roofline) for n in measured]
    walls = [n.wall_ms if n.wall_ms is not None else table.latency_ms[n.rows].sum() for n in measured]
    return fit_baselines(np.array(totals), np.array(walls, dtype=float))


def _with_sigma(anchor: Anchor, sigma: float) -> Anchor:
    return Anchor(anchor.family, anchor.code, anchor.count, sigma, anchor.low, anchor.high)


def _held_out_prices(table: KernelTable, predictor: KernelPredictor, held_out: _HeldOut) -> list[KernelPrice]:
    """Prices as a predictor would have given them that had not seen the network's family."""
    prices = []
    for i, features in enumerate(table.features):
        anchor = predictor.anchors.get(features.anchor) if held_out.trained[i] else None
        prices.append(predictor.price_from_ratio(features, anchor, float(np.exp(held_out.log_ratio[i]))))
    return prices


def _cross_coverage(log_errors: np.ndarray, networks: list[list[KernelPrice]]) -> float:
    """Per cent of networks inside their 90 % interval, each half calibrated on the other."""
    half = np.random.default_rng(0).permutation(len(networks)) % 2 == 0
    inside = 0
    for mine in (half, ~half):
        model = calibrate_intervals(log_errors[~mine], [n for n, m in zip(networks, ~mine, strict=True) if m])
        for i in np.flatnonzero(mine):
            low, high = model.interval_ms(1.0, networks[i], 0.9)
            inside += int(low <= np.exp(log_errors[i]) <= high)
    return round(100.0 * float(inside) / len(networks), 2)
