"""Intervals of a calibrated predictor.

Rules:

1. The spread of a network's log error is that of all predictors (`nnmeter.predictor.intervals`), of the corrected
   prices, whose standard deviations hold the uncertainty of the correction; `base` is the noise that calibration found.
2. With `CONFORMAL` networks or more the multipliers are conformal: quantiles of the scores of networks that were left
   out, each predicted without its own measurement (the jackknife+ of Barber et al., Annals of Statistics 2021).
3. With fewer they are the quantiles of Student's distribution, times what makes the spread that of the predictive
   distribution. Where the measurements are too few for a quantile of rule 2, the larger of both holds.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from nnmeter.lab.training.shift import known_too
from nnmeter.lab.transfer.calibration import Calibration
from nnmeter.lab.transfer.problem import Matrix
from nnmeter.predictor.intervals import IntervalModel, log_spread, normal_quantile, unsampled_spread
from nnmeter.predictor.price_correction import Correction
from nnmeter.predictor.roofline import Roofline

CONFORMAL = 10


def fit_calibrated_intervals(
    calibration: Calibration, correction: Correction, roofline: Roofline, prior: IntervalModel, left_out: Matrix
) -> IntervalModel:
    """The intervals of a calibrated predictor.

    Args:
        calibration: the fit.
        correction: as it was made from the fit.
        roofline: of the first device.
        prior: intervals of the first device: their confidences, and the jitter of an inference.
        left_out: log errors of the networks that were left out, of `predict_left_out`.
    """
    from scipy.stats import t as student

    problem = calibration.problem
    rows = np.flatnonzero(calibration.chosen[problem.network_of])
    if not len(rows):
        return replace(prior, base=float(np.hypot(prior.base, calibration.noise)))
    prices = correction.apply(problem.prices, problem.features, roofline)
    networks = [
        [prices[k] for k in np.flatnonzero(problem.counts[row]) for _ in range(int(problem.counts[row, k]))]
        for row in rows
    ]
    spreads = np.array([log_spread(kernels, calibration.noise, prior.jitter_ms) for kernels in networks])
    unsampled = np.array([unsampled_spread(kernels) for kernels in networks])
    _, predictive = calibration.predict(rows)
    usual = float(np.median(np.sqrt(np.maximum(predictive**2 - unsampled**2, 0.0)) / spreads))
    multipliers = {}
    for confidence in prior.multipliers:
        rest = np.maximum(left_out**2 - (normal_quantile(confidence) * unsampled) ** 2, 0.0)
        scores = np.sort(np.sqrt(rest) / spreads)
        expected = usual * float(student.ppf(0.5 + confidence / 2, len(rows)))
        rank = ceil((len(rows) + 1) * confidence)
        if len(rows) < CONFORMAL:
            multipliers[confidence] = expected
        elif rank <= len(rows):
            multipliers[confidence] = float(scores[rank - 1])
        else:
            multipliers[confidence] = max(expected, float(scores[-1]))
    floor = 0.0
    for confidence in sorted(multipliers):  # a wider confidence is never a narrower interval
        floor = multipliers[confidence] = max(floor, multipliers[confidence], 1e-3)
    shift = None if prior.shift is None else known_too(prior.shift, networks)
    return replace(prior, base=calibration.noise, multipliers=multipliers, networks=len(rows), shift=shift)
