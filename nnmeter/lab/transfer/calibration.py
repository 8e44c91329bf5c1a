"""Few-shot calibration: a correction of log prices, fitted to few measurements with the first device as prior.

Rules:

1. Every coefficient of the correction (`problem`) is Gaussian around zero a priori, zero being the first
   device: widths are those of `WIDTHS`, times one factor for offsets and one for slopes. With no measurement nothing
   changes; with each the coefficients move no further than it takes.
2. A network's log time has the variance `noise^2 + (misfit x errors of its kernels)^2`; that of an operator's profiled
   time is what `problem` says, times `profiled^2`.
3. The five hyperparameters are those of the largest marginal likelihood (type-II; MacKay, Neural Computation 1992),
   held by log-normal hyper-priors to what is usual: five measurements hardly move them, fifty do.
4. The coefficients are the maximum a posteriori by Gauss-Newton, for a network's logarithm is not linear in them. Their
   covariance is that of the last linearisation.
5. Outliers count less: errors are Student's, with `_FREEDOM` degrees of freedom, by reweighting (Lange et al. 1989).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnmeter.errors import MeasurementError
from nnmeter.kernels.anchor import Kind
from nnmeter.lab.transfer.problem import (
    OVERHEAD,
    PROFILER_COST,
    PROFILER_SCALE,
    WIDTH,
    CalibrationProblem,
    Columns,
    Matrix,
)
from nnmeter.predictor.price_correction import Correction, OperatorCorrection

# Standard deviations a priori (rule 1): of log prices, that is 0.25 for 25 %.
WIDTHS = {
    "common": 1.5,  # another clock or machine, the same for all kernels: nearly free
    "common_slope": 0.3,
    "family": 0.25,
    "family_slope": 0.15,
    "operator": 0.12,
    "stand_in": 0.35,  # an operator that the first device does not have
    "overhead": 0.7,
    "profiler_scale": 0.2,
    "profiler_cost": 0.7,
}
_FREEDOM = 4.0
_ROUNDS = 6
_LARGEST_STEP = 2.0  # of a log price in one round
_LEARNED = 0.5  # an operator is learned when measurements have at least halved the variance of its correction


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What measurements choose of widths and noise (rules 1 to 3), as logarithms of multiples of the usual."""

    offsets: float = 0.0
    slopes: float = 0.0
    noise: float = 0.0
    misfit: float = 0.0
    profiled: float = 0.0


_USUAL = {"noise": 0.04, "misfit": 0.7, "profiled": 1.0}
_HYPER_SIGMA = {"offsets": 0.5, "slopes": 0.5, "noise": 0.4, "misfit": 0.4, "profiled": 0.7}


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted correction.

    Attributes:
        problem: what it was fitted to.
        chosen: of each measurement whether it took part.
        coefficients: of shape (columns,).
        covariance: of the coefficients.
        prior: standard deviations of the coefficients before any measurement, with the chosen hyperparameters.
        hyper: as the measurements chose them.
        weights: of each network and of each operator observation; about 1 for one that fits well (rule 5).
    """

    problem: CalibrationProblem
    chosen: Matrix
    coefficients: Matrix
    covariance: Matrix
    prior: Matrix
    hyper: Hyperparameters
    weights: tuple[Matrix, Matrix]

    @property
    def overhead_ms(self) -> float:
        """Time of an inference that no kernel accounts for."""
        return float(self.problem.overhead_ms * np.exp(self.coefficients[OVERHEAD]))

    @property
    def noise(self) -> float:
        """Standard deviation of a network's log time that no kernel explains."""
        return float(_USUAL["noise"] * np.exp(self.hyper.noise))

    def predict(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        """Milliseconds of networks (`rows` of the problem's `counts`), and standard deviations of their logarithms."""
        total, slopes = self.problem.totals(self.coefficients, rows)
        variance = np.einsum("ij,jk,ik->i", slopes, self.covariance, slopes)
        return total, np.sqrt(variance + network_variance(self.problem, self.coefficients, rows, self.hyper))

    def to_correction(self) -> Correction:
        """The correction as a pack stores it."""
        columns, values = self.problem.columns, self.coefficients
        families = {name: _floats(values[columns.family(i)]) for i, name in enumerate(columns.families)}
        variance = _kernel_variances(self.problem.design, self.covariance)
        before = _kernel_variances(self.problem.design[:, WIDTH:], np.diag(self.prior[WIDTH:] ** 2))
        operators = {}
        for i, kind in enumerate(columns.kinds):
            mine = [j for j, f in enumerate(self.problem.features) if f.kind == kind]
            sigma2 = float(variance[mine].mean())
            operators[kind] = OperatorCorrection(
                float(values[columns.operator][i]),
                float(np.sqrt(sigma2)),
                sigma2 < _LEARNED * float(before[mine].mean()),
                columns.stand_ins.get(kind),
            )
        return Correction(
            _floats(values[:WIDTH]),
            families,
            operators,
            self._family_sigma(),
            self._unmeasured_sigma("family"),
            self.problem.foreign,
        )

    def _family_sigma(self) -> dict[str, float]:
        """Of an operator that took no part, by family: that of its family, and what operators differ by."""
        columns = self.problem.columns
        design = self.problem.design.copy()
        design[:, columns.operator] = 0.0
        variance = _kernel_variances(design, self.covariance)
        family = np.array([f.family for f in self.problem.features])
        own = self._unmeasured_sigma("operator")
        return {name: float(np.sqrt(variance[family == name].mean() + own**2)) for name in columns.families}

    def _unmeasured_sigma(self, level: str) -> float:
        common = _kernel_variances(self.problem.design[:, :WIDTH], self.covariance[:WIDTH, :WIDTH]).mean()
        factor = np.exp(self.hyper.offsets)
        own = WIDTHS["stand_in"] ** 2 if self.problem.foreign else (factor * WIDTHS["operator"]) ** 2
        return float(np.sqrt(own if level == "operator" else common + own + (factor * WIDTHS["family"]) ** 2))


def fit_calibration(problem: CalibrationProblem, chosen: Matrix | None = None) -> Calibration:
    """Fit the correction to the chosen measurements.

    Args:
        problem: of `pose_problem`.
        chosen: of each measurement whether it takes part; all if not given.
    """
    chosen = np.ones(len(problem.names), bool) if chosen is None else chosen
    networks = np.flatnonzero(chosen[problem.network_of]) if len(problem.network_of) else np.zeros(0, np.intp)
    groups = np.flatnonzero(chosen[problem.group_of]) if len(problem.group_of) else np.zeros(0, np.intp)
    hyper = Hyperparameters()
    coefficients = np.zeros(problem.columns.count)
    weights = (np.ones(len(networks)), np.ones(len(groups)))
    for number in range(_ROUNDS):
        linear = Linearised(problem, coefficients, networks, groups, weights)
        if number in (1, 3):
            hyper = _choose_hyperparameters(linear, hyper)
        mean, covariance = linear.solve(hyper)
        step = problem.design @ (mean - coefficients)
        largest = float(np.abs(step).max(initial=0.0))
        coefficients = coefficients + (mean - coefficients) * min(1.0, _LARGEST_STEP / max(largest, 1e-12))
        weights = linear.weights_at(coefficients, hyper)
    all_weights = (np.ones(len(problem.network_of)), np.ones(len(problem.group_of)))
    all_weights[0][networks], all_weights[1][groups] = weights
    return Calibration(problem, chosen, coefficients, covariance, prior_sigma(problem, hyper), hyper, all_weights)


def predict_left_out(calibration: Calibration) -> Matrix:
    """log(measured / predicted) of each chosen network, by the fit without its measurement; hyperparameters stay."""
    problem, hyper = calibration.problem, calibration.hyper
    networks = np.flatnonzero(calibration.chosen[problem.network_of])
    errors = np.zeros(len(networks))
    for place, row in enumerate(networks):
        rest = calibration.chosen.copy()
        rest[problem.network_of[row]] = False
        others = np.flatnonzero(rest[problem.network_of])
        groups = np.flatnonzero(rest[problem.group_of])
        weights = (calibration.weights[0][others], calibration.weights[1][groups])
        mean, _ = Linearised(problem, calibration.coefficients, others, groups, weights).solve(hyper)
        total, _ = problem.totals(mean, np.array([row]))
        errors[place] = np.log(problem.measured_ms[row] / total[0])
    return errors


def prior_sigma(problem: CalibrationProblem, hyper: Hyperparameters) -> Matrix:
    """Standard deviation of every coefficient a priori (rule 1)."""
    columns: Columns = problem.columns
    offset, slope = np.exp(hyper.offsets), np.exp(hyper.slopes)
    sigma = np.empty(columns.count)
    sigma[:WIDTH] = [WIDTHS["common"], *[WIDTHS["common_slope"] * slope] * (WIDTH - 1)]
    for i in range(len(columns.families)):
        sigma[columns.family(i)] = [WIDTHS["family"] * offset, *[WIDTHS["family_slope"] * slope] * (WIDTH - 1)]
    sigma[columns.operator] = [_operator_width(problem, kind, offset) for kind in columns.kinds]
    sigma[OVERHEAD] = WIDTHS["overhead"]
    sigma[PROFILER_SCALE] = WIDTHS["profiler_scale"]
    sigma[PROFILER_COST] = WIDTHS["profiler_cost"]
    return sigma


def _operator_width(problem: CalibrationProblem, kind: Kind, offset: float) -> float:
    """Standard deviation of a kind's own offset a priori: known, under a stand-in, or like nothing that is known."""
    stand_ins = problem.columns.stand_ins
    if kind not in stand_ins:
        return WIDTHS["operator"] * offset
    return WIDTHS["stand_in"] if stand_ins[kind] else max(problem.unknown_sigma, WIDTHS["stand_in"])


def network_variance(problem: CalibrationProblem, coefficients: Matrix, rows: Matrix, hyper: Hyperparameters) -> Matrix:
    """Variance of the log times of networks that no coefficient explains (rule 2)."""
    noise = _USUAL["noise"] * np.exp(hyper.noise)
    misfit = _USUAL["misfit"] * np.exp(hyper.misfit)
    return np.asarray(noise**2 + misfit**2 * problem.misfit(coefficients, rows))


class Linearised:
    """The observations as linear functions of the coefficients near a point (rule 4)."""

    def __init__(
        self,
        problem: CalibrationProblem,
        point: Matrix,
        networks: Matrix,
        groups: Matrix,
        weights: tuple[Matrix, Matrix],
    ) -> None:
        self.problem, self.networks, self.groups = problem, networks, groups
        self._weights = weights
        total, self._rows = problem.totals(point, networks)
        self._targets = np.log(problem.measured_ms[networks] / total) + self._rows @ point
        self._misfit = problem.misfit(point, networks)
        shown, slopes = problem.profiled(point, groups)
        targets = np.log(problem.group_ms[groups] / shown) + slopes @ point
        precision = weights[1] / problem.group_variance[groups]
        self._gram = (slopes * precision[:, None]).T @ slopes
        self._moment = slopes.T @ (precision * targets)
        self._squares = float(precision @ targets**2)
        self._log_precision = float(np.log(precision).sum())

    def solve(self, hyper: Hyperparameters) -> tuple[Matrix, Matrix]:
        """Mean and covariance of the coefficients."""
        matrix, moment, _ = self._normal_equations(hyper)
        covariance = np.linalg.inv(matrix)
        return covariance @ moment, covariance

    def log_evidence(self, hyper: Hyperparameters) -> float:
        """Logarithm of the marginal likelihood of the observations and of the hyper-prior (rule 3).

        Raises:
            MeasurementError: the observations lie too far apart for the precision of numbers.
        """
        matrix, moment, fit = self._normal_equations(hyper)
        try:
            factor = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError as fault:
            raise MeasurementError(
                "no correction of the pack explains these measurements: times of kernels lie too far from what "
                "their operators take; look for the wrong rows, or train on them alone: nnmeter train"
            ) from fault
        half = np.linalg.solve(factor, moment)
        logarithm = fit + 0.5 * float(half @ half) - float(np.log(np.diag(factor)).sum())
        penalty = sum((getattr(hyper, name) / width) ** 2 for name, width in _HYPER_SIGMA.items())
        return logarithm - 0.5 * penalty

    def _normal_equations(self, hyper: Hyperparameters) -> tuple[Matrix, Matrix, float]:
        sigma = prior_sigma(self.problem, hyper)
        noise = _USUAL["noise"] * np.exp(hyper.noise)
        misfit = _USUAL["misfit"] * np.exp(hyper.misfit)
        precision = self._weights[0] / (noise**2 + misfit**2 * self._misfit)
        profiled = (_USUAL["profiled"] * np.exp(hyper.profiled)) ** -2.0
        matrix = (self._rows * precision[:, None]).T @ self._rows + profiled * self._gram
        matrix[np.diag_indices_from(matrix)] += sigma**-2.0
        moment = self._rows.T @ (precision * self._targets) + profiled * self._moment
        fit = -0.5 * (float(precision @ self._targets**2) + profiled * self._squares)
        fit += 0.5 * (float(np.log(precision).sum()) + self._log_precision + len(self.groups) * np.log(profiled))
        return matrix, moment, fit - float(np.log(sigma).sum())

    def weights_at(self, point: Matrix, hyper: Hyperparameters) -> tuple[Matrix, Matrix]:
        """Weights of networks and operators by how well they fit at `point` (rule 5)."""
        total, _ = self.problem.totals(point, self.networks)
        variance = network_variance(self.problem, point, self.networks, hyper)
        shown, _ = self.problem.profiled(point, self.groups)
        own = self.problem.group_variance[self.groups] * (_USUAL["profiled"] * np.exp(hyper.profiled)) ** 2
        return (
            _student(np.log(self.problem.measured_ms[self.networks] / total) ** 2 / variance),
            _student(np.log(self.problem.group_ms[self.groups] / shown) ** 2 / own),
        )


def _choose_hyperparameters(linear: Linearised, hyper: Hyperparameters) -> Hyperparameters:
    """Climb the evidence, one at a time, with steps that shrink."""
    best = linear.log_evidence(hyper)
    for step in (0.6, 0.3, 0.15):
        for name in _HYPER_SIGMA:
            for sign in (1.0, -1.0):
                while True:
                    trial = replace(hyper, **{name: getattr(hyper, name) + sign * step})
                    value = linear.log_evidence(trial)
                    if not value > best:
                        break
                    best, hyper = value, trial
    return hyper


def _student(squares: Matrix) -> Matrix:
    return np.asarray((_FREEDOM + 1.0) / (_FREEDOM + squares))


def _kernel_variances(design: Matrix, covariance: Matrix) -> Matrix:
    return np.asarray(np.einsum("ij,jk,ik->i", design, covariance, design, optimize=True))


def _floats(values: Sequence[Any] | Matrix) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
