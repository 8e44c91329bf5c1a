"""Few measurements of a near device as arrays: what a calibration is fitted to.

Rules:

1. Every distinct kernel of the measurements and of the candidates is priced once by the first device's predictor. The
   columns of its row of `design` are the coefficients of a `Correction`: common, by family, by operator; behind them
   come three that belong to no kernel: the overhead of an inference, the profiler's scale and its cost.
2. A network that was timed whole observes the logarithm of `sum of its kernels + overhead`.
3. Kernels that were timed one by one, inside of their network by the runtime's profiler, are observed operator by
   operator: the logarithm of `(sum of the prices + cost of the profiler for each) x scale of the profiler`; cost and
   scale are known of the first device and may differ here. A kernel that was timed alone is observed likewise.
   Of one network, an operator weighs the square root of its share of the time, as kernels do in training.
4. An operator that the first device does not know stands under the best known one of its family: of the same name,
   whatever the layout, else of its element type; the most sampled of several. Where the near device has another
   runtime, this is so for all operators: a name in common does not make them the same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nnmeter.kernels.anchor import Anchor, Kind
from nnmeter.kernels.features import KernelFeatures
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.operators.table import GENERIC
from nnmeter.predictor.kernel_predictor import KernelPredictor
from nnmeter.predictor.price import KernelPrice
from nnmeter.predictor.price_correction import TERMS, Correction, OperatorCorrection, kernel_terms
from nnmeter.predictor.vocabulary import Sampled

if TYPE_CHECKING:
    from nnmeter.lab.measuring.measurement import Measurement

WIDTH = 1 + len(TERMS)  # coefficients of a family: offset and slopes
OVERHEAD, PROFILER_SCALE, PROFILER_COST = -3, -2, -1  # columns behind those of kernels
_LEAST_OVERHEAD_MS = 0.002
_SHORTEST_MS = 2e-4  # profilers count whole microseconds
_OPERATOR_ERROR = 0.05  # log error of an operator's profiled time, beside spread and the prices' own
_RESOLUTION_MS = 0.0005

Matrix = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which coefficient is where (rule 1).

    Attributes:
        families, kinds: those of the kernels, sorted by name.
        stand_ins: what kinds that are not priced as themselves stand under, None if nothing is alike (rule 4).
    """

    families: tuple[str, ...]
    kinds: tuple[Kind, ...]
    stand_ins: Mapping[Kind, Anchor | None]

    @property
    def count(self) -> int:
        """Coefficients in all."""
        return WIDTH * (1 + len(self.families)) + len(self.kinds) + 3

    def family(self, number: int) -> slice:
        """Offset and slopes of a family."""
        return slice(WIDTH * (1 + number), WIDTH * (2 + number))

    @property
    def operator(self) -> slice:
        """Offsets of the kinds."""
        first = WIDTH * (1 + len(self.families))
        return slice(first, first + len(self.kinds))


@dataclass(frozen=True, slots=True)
class CalibrationProblem:
    """Kernels, observations, and how the coefficients make the one explain the other.

    Attributes:
        columns: meaning of the coefficients.
        features, prices: of each distinct kernel; prices by the first device.
        design: of shape (kernels, coefficients).
        names: of the measurements.
        counts: of shape (networks, kernels): how often a network that was timed whole, or a candidate, has a kernel.
        network_of: the measurement behind each network.
        measured_ms: of each network that was timed whole.
        candidates: names of what could be measured; their rows of `counts` follow those of the networks.
        groups: of shape (operator observations, kernels): how often each has a kernel (rule 3).
        group_of: of each operator observation the measurement.
        group_ms: of each operator observation the time.
        group_variance: of each operator observation the variance of its logarithm, by its weight.
        overhead_ms: of the first device.
        profiler_ms, profiler_log_scale: cost and scale of the first device's profiler (rule 3).
        unknown_sigma: log error of the first device's fallback.
        foreign: whether the near device has another runtime.
    """

    columns: Columns
    features: list[KernelFeatures]
    prices: list[KernelPrice]
    design: Matrix
    names: tuple[str, ...]
    counts: Matrix
    network_of: Matrix
    measured_ms: Matrix
    candidates: tuple[str, ...]
    groups: Matrix
    group_of: Matrix
    group_ms: Matrix
    group_variance: Matrix
    overhead_ms: float
    profiler_ms: float
    profiler_log_scale: float
    unknown_sigma: float
    foreign: bool

    @property
    def prior_ms(self) -> Matrix:
        """Prices by the first device."""
        return np.array([p.latency_ms for p in self.prices])

    def corrected_ms(self, coefficients: Matrix) -> Matrix:
        """Prices with these coefficients."""
        return self.prior_ms * np.exp(self.design @ coefficients)

    def totals(self, coefficients: Matrix, rows: Matrix) -> tuple[Matrix, Matrix]:
        """Milliseconds of networks (`rows` of `counts`), and the derivatives of their logarithms (rule 2)."""
        overhead = self.overhead_ms * np.exp(coefficients[OVERHEAD])
        times = self.counts[rows] * self.corrected_ms(coefficients)
        total = times.sum(axis=1) + overhead
        slopes = (times / total[:, None]) @ self.design
        slopes[:, OVERHEAD] = overhead / total
        return total, slopes

    def misfit(self, coefficients: Matrix, rows: Matrix) -> Matrix:
        """Variance of a network's logarithm from the errors of its kernels' prices, each kernel on its own."""
        times = self.counts[rows] * self.corrected_ms(coefficients)
        shares = times / (times.sum(axis=1) + self.overhead_ms)[:, None]
        return np.asarray((shares**2) @ np.array([p.sigma**2 for p in self.prices]))

    def profiled(self, coefficients: Matrix, observations: Matrix) -> tuple[Matrix, Matrix]:
        """What the profiler shows of operator `observations`, and the derivatives of the logarithms (rule 3)."""
        counts = self.groups[observations]
        times = counts * self.corrected_ms(coefficients)
        cost = counts.sum(axis=1) * self.profiler_ms * np.exp(coefficients[PROFILER_COST])
        total = times.sum(axis=1) + cost
        slopes = (times / total[:, None]) @ self.design
        slopes[:, PROFILER_COST] = cost / total
        slopes[:, PROFILER_SCALE] = 1.0
        return total * np.exp(self.profiler_log_scale + coefficients[PROFILER_SCALE]), slopes


def pose_problem(
    predictor: KernelPredictor,
    measurements: Sequence[Measurement],
    candidates: Mapping[str, Sequence[KernelSignature]] | None = None,
    foreign: bool = False,
) -> CalibrationProblem:
    """Arrange measurements of a near device, at one reference time, and what could be measured next.

    Args:
        predictor: of the first device.
        measurements: of the near device.
        candidates: kernels of each candidate by its name.
        foreign: whether the near device has another runtime (rule 4).
    """
    pool = dict(candidates or {})
    measured = [predictor.locate(m.kernels) for m in measurements]
    possible = [predictor.locate(kernels) for kernels in pool.values()]
    distinct = list(dict.fromkeys(k for kernels in (*measured, *possible) for k in kernels))
    place = {kernel: i for i, kernel in enumerate(distinct)}
    features = [predictor.describe(signature) for signature, _ in distinct]
    stand_ins = find_stand_ins(predictor, sorted({f.kind for f in features}, key=str), foreign)
    prices = with_stand_ins(predictor, stand_ins).price_located(distinct)
    columns = Columns(
        tuple(sorted({f.family for f in features})),
        tuple(sorted({f.kind for f in features}, key=str)),
        stand_ins,
    )
    whole = [i for i, m in enumerate(measurements) if m.granularity != "kernel"]
    numbers = [[place[kernel] for kernel in kernels] for kernels in measured]
    observed = [o for i, m in enumerate(measurements) for o in _operator_observations(i, m, numbers[i], prices)]
    return CalibrationProblem(
        columns=columns,
        features=features,
        prices=prices,
        design=_design(columns, features, kernel_terms(prices, features, predictor.roofline)),
        names=tuple(m.network for m in measurements),
        counts=_counts([*(numbers[i] for i in whole), *([place[k] for k in one] for one in possible)], len(distinct)),
        network_of=np.array(whole, dtype=np.intp),
        measured_ms=np.array([measurements[i].latency_ms for i in whole]),
        candidates=tuple(pool),
        groups=np.array([o.counts for o in observed]).reshape(len(observed), len(distinct)),
        group_of=np.array([o.measurement for o in observed], dtype=np.intp),
        group_ms=np.array([o.milliseconds for o in observed]),
        group_variance=np.array([o.variance for o in observed]),
        overhead_ms=max(predictor.overhead_ms, _LEAST_OVERHEAD_MS),
        profiler_ms=max(-predictor.per_kernel_ms, _RESOLUTION_MS),
        profiler_log_scale=-float(np.log(predictor.scale)),
        unknown_sigma=predictor.fallback_sigma,
        foreign=foreign,
    )


def find_stand_ins(predictor: KernelPredictor, kinds: Iterable[Kind], foreign: bool) -> dict[Kind, Anchor | None]:
    """What kinds that are not priced as themselves stand under (rule 4); None where nothing is alike."""
    return {kind: stand_in(kind, predictor.vocabulary) for kind in kinds if foreign or predictor.sampled(kind) is None}


def with_stand_ins(predictor: KernelPredictor, stand_ins: Mapping[Kind, Anchor | None]) -> KernelPredictor:
    """The predictor with operators priced as their stand-ins, by a correction that changes nothing else."""
    operators = {kind: OperatorCorrection(0.0, 0.0, False, alias) for kind, alias in stand_ins.items()}
    correction = Correction((0.0,) * WIDTH, {}, operators, {}, 0.0)
    return replace(predictor, corrections=(*predictor.corrections, correction))


def stand_in(kind: Kind, known: Mapping[Kind, Sampled]) -> Anchor | None:
    """The known operator that an unknown one is priced as; None if none is alike (rule 4)."""
    best: tuple[bool, bool, int, str, Anchor] | None = None
    for other, entry in known.items():
        if other.family != kind.family:
            continue
        same_name = _bare(other.anchor.operator) == _bare(kind.anchor.operator)
        same_type = other.anchor.element_type == kind.anchor.element_type
        if same_name or (same_type and kind.family != GENERIC):
            found = (same_name, same_type, entry.count, str(other), other.anchor)
            best = found if best is None else max(best, found)
    return best[-1] if best else None


def _bare(operator: str) -> str:
    return operator.rpartition(".")[2].removeprefix("Nhwc")


def _design(columns: Columns, features: Sequence[KernelFeatures], terms: Matrix) -> Matrix:
    basis = np.column_stack([np.ones(len(features)), terms])
    design = np.zeros((len(features), columns.count))
    design[:, :WIDTH] = basis
    family = {name: columns.family(i) for i, name in enumerate(columns.families)}
    operator = {kind: columns.operator.start + i for i, kind in enumerate(columns.kinds)}
    for row, feature in enumerate(features):
        design[row, family[feature.family]] = basis[row]
        design[row, operator[feature.kind]] = 1.0
    return design


def _counts(networks: Sequence[Sequence[int]], distinct: int) -> Matrix:
    counts = np.zeros((len(networks), distinct))
    for row, kernels in enumerate(networks):
        np.add.at(counts[row], list(kernels), 1.0)
    return counts


class _Observation(NamedTuple):
    measurement: int
    counts: Matrix
    milliseconds: float
    variance: float


def _operator_observations(
    number: int, measurement: Measurement, kernels: Sequence[int], prices: Sequence[KernelPrice]
) -> list[_Observation]:
    """The times of a network's operators, or that of a kernel which was timed alone (rule 3).

    `kernels` are the numbers of its kernels among all distinct ones.
    """
    single = measurement.granularity == "kernel"
    times = (measurement.latency_ms,) if single else measurement.kernel_ms
    relative = (0.0,) if single else measurement.kernel_spread
    members: dict[Kind, list[tuple[int, float, float]]] = {}
    for kernel, time_ms, spread in zip(kernels, times, relative, strict=False):
        members.setdefault(prices[kernel].kind, []).append((kernel, max(time_ms, _SHORTEST_MS), spread))
    found = []
    for own in members.values():
        index, milliseconds, spreads = (np.array(column) for column in zip(*own, strict=True))
        spreads = np.minimum(np.nan_to_num(spreads, nan=1.0), 1.0)  # a time of 0 has any spread
        counts = np.bincount(index, minlength=len(prices)).astype(float)
        share_of = np.bincount(index, milliseconds, len(prices)) / milliseconds.sum()
        distinct = sorted({kernel for kernel, _, _ in own})
        sigma = np.array([prices[k].sigma for k in distinct])
        # Equal kernels err together, others and the runs each for themselves; the resolution is that of one sum.
        variance = float(
            np.sum((share_of[distinct] * sigma) ** 2)
            + np.sum((milliseconds / milliseconds.sum() * spreads) ** 2)
            + _OPERATOR_ERROR**2
            + (_RESOLUTION_MS * len(own) / milliseconds.sum()) ** 2
        )
        found.append(_Observation(number, counts, float(milliseconds.sum()), variance))
    weights = np.sqrt([o.milliseconds for o in found])
    return [o._replace(variance=o.variance * float(weights.mean() / w)) for o, w in zip(found, weights, strict=True)]
