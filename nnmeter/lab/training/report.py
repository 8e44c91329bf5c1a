"""What training found, as a card keeps it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nnmeter.lab.evaluation.metrics import Metrics
from nnmeter.lab.training.regressors import Preset
from nnmeter.lab.training.unobserved import Unobserved


@dataclass(frozen=True, slots=True)
class AdditiveReport:
    """What fitting to sums of kernels brought.

    Attributes:
        networks: number of sums.
        rounds, leaves: trees a family, and leaves of a tree.
        error_before, error_after: mean absolute log error of whole networks, out of fold.
        kept: whether it is part of the predictor.
    """

    networks: int
    rounds: int
    leaves: int
    error_before: float
    error_after: float
    kept: bool


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What training found out of sample, with folds by family (`train`, rule 3).

    Attributes:
        networks, kernels, timed_kernels: size of the training set; the last have times of their own.
        presets: chosen preset by kernel family, where kernels' times were fitted.
        kernel_error: median absolute log error of single kernels, by kernel family.
        totals: metrics of whole networks.
        interval_coverage: per cent of networks inside the interval that was fitted to the *other* half of them.
        kernel_coverage: the same of the 90 % interval of single kernels, weighted as in training.
        unobserved: from the sum of profiled kernels to the whole run.
        additive: what fitting to sums brought; None where there were no sums to fit to.
    """

    networks: int
    kernels: int
    timed_kernels: int
    presets: dict[str, Preset]
    kernel_error: dict[str, float]
    totals: Metrics | None
    interval_coverage: float | None
    kernel_coverage: float | None
    unobserved: Unobserved
    additive: AdditiveReport | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "networks": self.networks,
            "kernels": self.kernels,
            "timed_kernels": self.timed_kernels,
            "kernel_error": {k: round(v, 4) for k, v in self.kernel_error.items()},
            "totals": self.totals.to_dict() if self.totals else None,
            "interval_coverage": self.interval_coverage,
            "kernel_coverage": self.kernel_coverage,
            "overheads": {
                "scale": round(self.unobserved.scale, 6),
                "per_kernel_ms": round(self.unobserved.per_kernel_ms, 6),
                "inference_ms": round(self.unobserved.overhead_ms, 6),
            },
            "additive": {k: round(v, 5) for k, v in asdict(self.additive).items()} if self.additive else None,
        }
