"""The scorecard: how good a device's predictions are on models that its training did not see.

`docs/scorecards.md` explains every figure; `nnmeter.lab.evaluation.metrics` defines the metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.lab.evaluation.metrics import Metrics, compute_metrics

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch
    from nnmeter.lab.evaluation.kernel_scores import KernelScores

SCHEMA_VERSION = 1
LARGE_FAMILY = 3  # models; the share within ±10 % of a family of one or two is all or nothing


@dataclass(frozen=True, slots=True)
class ScoredModel:
    """One model: what was predicted, what was measured, and what the baselines said.

    Attributes:
        model: name of the model.
        family: its family.
        measured_ms: measured latency, in real milliseconds of the machine that was measured.
        halves_ms: latency in two independent halves of the measuring, for the noise floor.
        predicted_ms, low_ms, high_ms: prediction and its interval.
        fallback: share of the predicted time priced by the fallback.
        baselines_ms: latency by each baseline.
        state_ms: the measured latency in the state of the machine that the pack's prices are of; None where nothing is
            known of that state, or the machine is another one.
    """

    model: str
    family: str
    measured_ms: float
    halves_ms: tuple[float, float] | None
    predicted_ms: float
    low_ms: float
    high_ms: float
    fallback: float
    baselines_ms: Mapping[str, float]
    state_ms: float | None = None

    @property
    def compared_ms(self) -> float:
        """What the prediction is compared with."""
        return self.measured_ms if self.state_ms is None else self.state_ms


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Metrics of a device pack on one set of measured models.

    Attributes:
        device: id of the pack.
        split: how the models were kept apart from training, in a sentence.
        kernels_from: "rules" (detected by the pack's fusion rules) or "runtime".
        confidence: of the intervals.
        overall: metrics over all models.
        families: metrics by family.
        interval_coverage: per cent of models whose measured latency lies in the interval.
        interval_half_width: mean half width of the interval, per cent of the prediction.
        fallback: mean share of predicted time priced by the fallback, per cent; the rest is of trained predictors.
        noise_floor: metrics between two independent measurements of the same models.
        baselines: metrics of the baselines.
        models: the rows.
        kernels: prices of single kernels against their times, where kernels were timed.
        notes: what a reader should know of this evaluation, a sentence each.
        machine: what the pack is to the machine that was measured; None where that is not known.
    """

    device: str
    split: str
    kernels_from: str
    confidence: float
    overall: Metrics
    families: Mapping[str, Metrics]
    interval_coverage: float
    interval_half_width: float
    fallback: float
    noise_floor: Metrics | None
    baselines: Mapping[str, Metrics]
    models: tuple[ScoredModel, ...]
    kernels: KernelScores | None = None
    notes: tuple[str, ...] = ()
    machine: MachineMatch | None = None

    @property
    def worst_family(self) -> str:
        """The family with the largest MAPE."""
        return max(self.families, key=lambda f: self.families[f].mape)

    @property
    def worst_large_family(self) -> str | None:
        """Of the families of `LARGE_FAMILY` models or more: the least share within ±10 %, then the largest MAPE."""
        large = [f for f, metrics in self.families.items() if metrics.models >= LARGE_FAMILY]
        return min(large, key=lambda f: (self.families[f].within_10, -self.families[f].mape), default=None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, as `scorecard.json` stores it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "device": self.device,
            "machine": self.machine.measured_to_dict() if self.machine else None,
            "split": self.split,
            "kernels_from": self.kernels_from,
            "confidence": self.confidence,
            "overall": self.overall.to_dict(),
            "worst_family": self.worst_family,
            "worst_large_family": self.worst_large_family,
            "interval_coverage": round(self.interval_coverage, 2),
            "interval_half_width": round(self.interval_half_width, 2),
            "trained": round(100.0 - self.fallback, 3),
            "fallback": round(self.fallback, 3),
            "noise_floor": self.noise_floor.to_dict() if self.noise_floor else None,
            "baselines": {name: m.to_dict() for name, m in self.baselines.items()},
            "families": {name: m.to_dict() for name, m in sorted(self.families.items())},
            "kernels": self.kernels.to_dict() if self.kernels else None,
            "notes": list(self.notes),
            "models": [_rounded(asdict(m)) for m in self.models],
        }


def score_models(
    device: str,
    split: str,
    kernels_from: str,
    confidence: float,
    rows: Sequence[ScoredModel],
    kernels: KernelScores | None = None,
    notes: Sequence[str] = (),
    machine: MachineMatch | None = None,
) -> Scorecard:
    """Compute the scorecard of `rows`; ValueError if there are none."""
    if not rows:
        raise ValueError("no model to score")
    measured = [r.compared_ms for r in rows]
    by_family: dict[str, list[ScoredModel]] = {}
    for row in rows:
        by_family.setdefault(row.family, []).append(row)
    halves = [r.halves_ms for r in rows if r.halves_ms is not None]
    return Scorecard(
        device=device,
        split=split,
        kernels_from=kernels_from,
        confidence=confidence,
        overall=compute_metrics([r.predicted_ms for r in rows], measured),
        families={
            family: compute_metrics([r.predicted_ms for r in members], [r.compared_ms for r in members])
            for family, members in by_family.items()
        },
        interval_coverage=100.0 * float(np.mean([r.low_ms <= r.compared_ms <= r.high_ms for r in rows])),
        interval_half_width=50.0 * float(np.mean([(r.high_ms - r.low_ms) / r.predicted_ms for r in rows])),
        fallback=100.0 * float(np.mean([r.fallback for r in rows])),
        noise_floor=compute_metrics([h[0] for h in halves], [h[1] for h in halves]) if halves else None,
        baselines={
            name: compute_metrics([r.baselines_ms[name] for r in rows], measured)
            for name in sorted({n for r in rows for n in r.baselines_ms})
        },
        models=tuple(rows),
        kernels=kernels,
        notes=tuple(notes),
        machine=machine,
    )


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {k: _round_value(v) for k, v in row.items()}


def _round_value(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, list | tuple):
        return [_round_value(v) for v in value]
    if isinstance(value, dict):
        return {k: _round_value(v) for k, v in value.items()}
    return value
