"""The learning curve of a calibration: how good it is with 0, 5, 10, 20 and 50 measurements.

Rules:

1. A point draws that many of the given measurements at random, calibrates on them alone, hyperparameters included, and
   predicts all the others. With nothing drawn the first device's predictor is scored as it is.
2. Every point is repeated with other draws; mean and standard error are over the repeats. Repeats share models, so the
   standard error tells what the choice of measurements makes, not what other models would.
3. At least `LEAST_TESTED` measurements must be left to predict, or the point is left out.
4. Networks are tested where networks were measured; where only kernels were, kernels are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nnmeter.errors import MeasurementError
from nnmeter.lab.evaluation.metrics import compute_metrics
from nnmeter.lab.transfer.calibration import fit_calibration
from nnmeter.lab.transfer.problem import CalibrationProblem, Matrix

SIZES = (0, 5, 10, 20, 50)
REPEATS = 20
LEAST_TESTED = 5
_METRICS = ("within_5", "within_10", "mape")


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Metrics with a number of measurements, each a mean and its standard error over the repeats, in per cent.

    Attributes:
        measurements: how many were calibrated on.
        tested: how many were predicted in each repeat.
        repeats: draws that were made.
    """

    measurements: int
    tested: int
    repeats: int
    within_5: tuple[float, float]
    within_10: tuple[float, float]
    mape: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            key: [round(v, 3) for v in value] if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }


def learning_curve(
    problem: CalibrationProblem,
    sizes: tuple[int, ...] = SIZES,
    repeats: int = REPEATS,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> list[CurvePoint]:
    """The learning curve over the measurements of a problem; points that the data do not reach are left out.

    Args:
        problem: of `pose_problem`.
        sizes: numbers of measurements.
        repeats: draws a point.
        seed: of the draws.
        progress: told what is being done.
    """
    generator = np.random.default_rng(seed)
    count = len(problem.names)
    points = []
    for size in sizes:
        if count - size < LEAST_TESTED:
            continue
        scores = []
        for number in range(repeats if size else 1):
            if progress:
                progress(f"learning curve: {size} measurements, draw {number + 1} of {repeats}")
            chosen = np.zeros(count, bool)
            chosen[generator.permutation(count)[:size]] = True
            predicted, measured = predict_rest(problem, chosen)
            metrics = compute_metrics(predicted.tolist(), measured.tolist())
            scores.append([getattr(metrics, name) for name in _METRICS])
        table = np.array(scores)
        error = table.std(axis=0, ddof=1) / np.sqrt(len(table)) if len(table) > 1 else np.zeros(len(_METRICS))
        pairs = [(float(m), float(e)) for m, e in zip(table.mean(axis=0), error, strict=True)]
        points.append(CurvePoint(size, count - size, len(table), *pairs))
    return points


def predict_rest(problem: CalibrationProblem, chosen: Matrix) -> tuple[Matrix, Matrix]:
    """Predicted and measured milliseconds of the measurements that are not chosen, calibrated on those that are.

    With nothing chosen, the prices of the first device.

    Raises:
        MeasurementError: nothing is left to predict.
    """
    unchanged = np.zeros(problem.columns.count)
    coefficients = fit_calibration(problem, chosen).coefficients if chosen.any() else unchanged
    rows = np.flatnonzero(~chosen[problem.network_of])
    if len(rows):
        return problem.totals(coefficients, rows)[0], problem.measured_ms[rows]
    observations = np.flatnonzero(~chosen[problem.group_of])
    if not len(observations):
        raise MeasurementError("nothing is left to predict; calibrate on fewer of the measurements")
    return problem.profiled(coefficients, observations)[0], problem.group_ms[observations]
