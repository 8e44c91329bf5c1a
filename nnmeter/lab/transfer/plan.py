"""What to measure next for a calibration: the design that most narrows what is predicted.

Rules:

1. To measure a network or kernel whose log time has the derivatives `g` takes `S g g' S / (g' S g + noise^2)` off the
   covariance `S` of the coefficients (Bayesian linear design; Chaloner and Verdinelli, Statistical Science 1995).
2. The next one is the candidate that makes the mean variance over all candidates smallest (I-optimality), what was
   chosen before being measured already; its own time need not be known, for only derivatives count.
3. Candidates are what could be measured, models for choice. Where none are given they are measurements that were kept
   out; where there are none of these either, the operators that the first device knows, each as a kernel that is
   typical of its family. An operator or family that no measurement has is as uncertain as it was a priori.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.lab.transfer.calibration import WIDTHS, Calibration, network_variance
from nnmeter.lab.transfer.problem import WIDTH, Matrix
from nnmeter.predictor.vocabulary import Sampled

COUNT = 10
_KERNEL_NOISE = 0.1  # log error with which a kernel alone tells of its operator


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A candidate to be measured.

    Attributes:
        name: of the model, or the operator and element type.
        kind: "model" or "kernel".
        sigma: standard deviation of its predicted log time before anything is measured, in per cent; noise excluded.
        mean_sigma: root of the mean variance over all candidates after this one and those above are measured, per cent.
    """

    name: str
    kind: str
    sigma: float
    mean_sigma: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(self).items()}


def suggest_models(
    calibration: Calibration, names: Sequence[str], rows: Matrix, count: int = COUNT
) -> list[Suggestion]:
    """The models to measure next, the most useful first (rules 1 and 2).

    Args:
        calibration: as far as it is known.
        names: of the candidates.
        rows: of the candidates in the problem's `counts`.
        count: how many are wanted.
    """
    _, slopes = calibration.problem.totals(calibration.coefficients, rows)
    noise = network_variance(calibration.problem, calibration.coefficients, rows, calibration.hyper)
    return _greedy(slopes, noise, calibration.covariance, names, "model", count)


def suggest_operators(calibration: Calibration, known: Mapping[Kind, Sampled], count: int = COUNT) -> list[Suggestion]:
    """The kernel types to measure next, of those that the first device knows and those measured (rule 3)."""
    problem, columns = calibration.problem, calibration.problem.columns
    measured = {kind: columns.operator.start + i for i, kind in enumerate(columns.kinds)}
    family_columns = {name: columns.family(i) for i, name in enumerate(columns.families)}
    kinds = list(dict.fromkeys([*sorted(known, key=str), *measured]))
    strange = [kind for kind in kinds if kind not in measured]
    strange_families = sorted({kind.family for kind in strange} - set(family_columns))
    own = {kind: columns.count + i for i, kind in enumerate(strange)}
    own_of_family = {name: columns.count + len(own) + i for i, name in enumerate(strange_families)}
    factor = float(np.exp(calibration.hyper.offsets))
    covariance = np.zeros((columns.count + len(own) + len(own_of_family),) * 2)
    covariance[: columns.count, : columns.count] = calibration.covariance
    for position in own.values():
        covariance[position, position] = (WIDTHS["operator"] * factor) ** 2
    for position in own_of_family.values():
        covariance[position, position] = (WIDTHS["family"] * factor) ** 2
    basis = problem.design[:, :WIDTH]
    family_of = np.array([f.family for f in problem.features])
    typical = {name: basis[family_of == name].mean(axis=0) for name in family_columns}
    slopes = np.zeros((len(kinds), len(covariance)))
    for row, kind in enumerate(kinds):
        slopes[row, :WIDTH] = typical.get(kind.family, basis.mean(axis=0))
        if kind.family in family_columns:
            slopes[row, family_columns[kind.family]] = typical[kind.family]
        else:
            slopes[row, own_of_family[kind.family]] = 1.0
        slopes[row, measured[kind] if kind in measured else own[kind]] = 1.0
    names = [f"{kind.anchor.operator}, {kind.anchor.element_type}" for kind in kinds]
    return _greedy(slopes, np.full(len(names), _KERNEL_NOISE**2), covariance, names, "kernel", count)


def _greedy(
    slopes: Matrix, noise: Matrix, covariance: Matrix, names: Sequence[str], kind: str, count: int
) -> list[Suggestion]:
    covariance = covariance.copy()
    before = np.sqrt(np.einsum("ij,jk,ik->i", slopes, covariance, slopes, optimize=True))
    left = list(range(len(names)))
    found: list[Suggestion] = []
    while left and len(found) < count:
        spread = slopes @ covariance
        shared = spread @ slopes[left].T  # covariance of every candidate with those that are left
        own = shared[left, np.arange(len(left))]
        gains = (shared**2).mean(axis=0) / (own + noise[left])
        best = int(np.argmax(gains))
        column = spread[left[best]]
        covariance -= np.outer(column, column) / (own[best] + noise[left[best]])
        chosen = left.pop(best)
        remaining = float(np.einsum("ij,jk,ik->i", slopes, covariance, slopes, optimize=True).mean())
        found.append(
            Suggestion(names[chosen], kind, 100.0 * float(before[chosen]), 100.0 * float(np.sqrt(max(remaining, 0.0))))
        )
    return found
