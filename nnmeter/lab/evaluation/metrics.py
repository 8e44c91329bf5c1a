"""The metrics of a predictor, defined once.

With `ratio = |predicted - measured| / measured` of each model: accuracy within 5 % (10 %) is the share of models with
`ratio <= 0.05` (0.10), MAPE the mean ratio, RMSPE `100 sqrt(mean(ratio^2))`, all in per cent. Rank correlations are
Kendall's tau-b and Spearman's rho. Interval coverage is the share of measured values inside their interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics over a set of models; shares and errors in per cent."""

    models: int
    within_5: float
    within_10: float
    mape: float
    median_error: float
    rmspe: float
    bias: float
    kendall_tau: float
    spearman: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, rounded to what a reader can use."""
        return {k: v if isinstance(v, int) else round(v, 4) for k, v in asdict(self).items()}


def compute_metrics(predicted_ms: Sequence[float], measured_ms: Sequence[float]) -> Metrics:
    """Metrics of predictions against measurements of the same models, in order; ValueError if there are none."""
    predicted = np.asarray(predicted_ms, dtype=float)
    measured = np.asarray(measured_ms, dtype=float)
    if not len(measured) or predicted.shape != measured.shape:
        raise ValueError("predictions and measurements must be two equally long, non-empty sequences")
    signed = (predicted - measured) / measured
    ratio = np.abs(signed)
    return Metrics(
        models=len(ratio),
        within_5=100 * float(np.mean(ratio <= 0.05)),
        within_10=100 * float(np.mean(ratio <= 0.10)),
        mape=100 * float(np.mean(ratio)),
        median_error=100 * float(np.median(ratio)),
        rmspe=100 * float(np.sqrt(np.mean(ratio**2))),
        bias=100 * float(np.mean(signed)),
        kendall_tau=kendall_tau_b(predicted, measured),
        spearman=spearman_rho(predicted, measured),
    )


def kendall_tau_b(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's rank correlation with correction for ties; 0 where one side is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    from scipy.stats import kendalltau

    return float(kendalltau(a, b, variant="b").statistic)


def spearman_rho(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, ties sharing their mean rank; 0 where one side is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)
