"""The comparison of two predictions: which is faster, by how much, how sure that is, and what makes the difference."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import TYPE_CHECKING, Any, Literal

from nnmeter.comparison.changes import Change, ChangeGroup, find_changes, group_by_kind, group_changes
from nnmeter.comparison.difference import LogRatio, difference_interval_ms, log_ratio
from nnmeter.errors import NnmeterError
from nnmeter.prediction.interval import Interval
from nnmeter.prediction.modules import module_name
from nnmeter.wording import format_ms, format_probability

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction

SCHEMA_VERSION = 1
DEFAULT_CONFIDENCE = 0.9

Verdict = Literal["faster", "slower", "equal", "cannot tell"]


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """What a second prediction is to a first one.

    Attributes:
        before: the first prediction.
        after: the second.
        changes: every kernel of both, with what became of it, in the order of execution.
        log_ratio: log of how many times longer the second takes, with its uncertainty.
        confidence: of the intervals and of the verdict: 0.5, 0.8, 0.9 or 0.95.
    """

    before: Prediction
    after: Prediction
    changes: tuple[Change, ...]
    log_ratio: LogRatio
    confidence: float

    @property
    def difference_ms(self) -> float:
        """How much longer the second takes, in milliseconds; negative where it is faster."""
        return self.after.latency_ms - self.before.latency_ms

    @property
    def difference_interval_ms(self) -> Interval:
        """Holds the measured difference in milliseconds with probability `confidence`."""
        if self.is_equal:
            return Interval(self.difference_ms, self.difference_ms, self.confidence)
        first = self.before.latency_ms
        own = log(first / self.before.interval_ms.low) if self.before.interval_ms.low else 0.0
        half = self.log_ratio.halves[self.confidence]
        return Interval(*difference_interval_ms(first, self.ratio, half, own), self.confidence)

    @property
    def ratio(self) -> float:
        """How many times longer the second takes."""
        return self.after.latency_ms / self.before.latency_ms

    @property
    def ratio_interval(self) -> Interval:
        """Holds the measured ratio with probability `confidence`; it is a ratio, not milliseconds."""
        if self.is_equal:
            return Interval(self.ratio, self.ratio, self.confidence)
        half = self.log_ratio.halves[self.confidence]
        return Interval(self.ratio * exp(-half), self.ratio * exp(half), self.confidence)

    @property
    def probability_slower(self) -> float:
        """The probability that the second takes longer, as measured."""
        return 0.5 if self.is_equal else self.log_ratio.probability_positive

    @property
    def is_equal(self) -> bool:
        """Whether both execute the same kernels on the same device."""
        return self.before.device == self.after.device and all(c.kind == "unchanged" for c in self.changes)

    @property
    def verdict(self) -> Verdict:
        """Whether the second is "faster" or "slower" with this confidence, "equal" to the first, or "cannot tell"."""
        if self.is_equal:
            return "equal"
        low, high = self.ratio_interval
        return "slower" if low > 1 else "faster" if high < 1 else "cannot tell"

    def by_kind(self) -> tuple[ChangeGroup, ...]:
        """The difference by what became of the kernels: added, removed, resized, and so on."""
        return group_by_kind(self.changes)

    def by_type(self) -> tuple[ChangeGroup, ...]:
        """The difference by fused type (`nchwc.Conv+Relu`), the greatest first."""
        return group_changes(self.changes, lambda kernel: kernel.type)

    def by_operator(self) -> tuple[ChangeGroup, ...]:
        """The difference by the operator that kernels compute (`Conv`), the greatest first."""
        return group_changes(self.changes, lambda kernel: kernel.operator)

    def by_module(self, depth: int | None = None) -> tuple[ChangeGroup, ...]:
        """The difference by module of the framework that exported the models, the greatest first.

        Args:
            depth: levels of modules to tell apart; all of them if not given.
        """
        return group_changes(self.changes, lambda kernel: module_name(kernel.place, depth))

    @property
    def overhead_difference_ms(self) -> float:
        """What of the difference is of no kernel."""
        return self.after.overhead_ms - self.before.overhead_ms

    def __repr__(self) -> str:
        return f"<Comparison {self}>"

    def __str__(self) -> str:
        low, high = self.difference_interval_ms
        sure = max(self.probability_slower, 1 - self.probability_slower)
        return (
            f"{self.verdict}: {self.difference_ms:+.3g} ms ({low:+.3g} to {high:+.3g}), "
            f"{format_ms(self.before.latency_ms)} -> {format_ms(self.after.latency_ms)} ms, "
            f"sure to {format_probability(sure)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The comparison in the stable JSON schema, version 1 (`docs/schema/comparison.schema.json`)."""
        from nnmeter._version import __version__

        return {
            "schema_version": SCHEMA_VERSION,
            "nnmeter_version": __version__,
            "before": _side(self.before),
            "after": _side(self.after),
            "confidence": self.confidence,
            "difference_ms": self.difference_ms,
            "difference_interval_ms": list(self.difference_interval_ms),
            "ratio": self.ratio,
            "ratio_interval": list(self.ratio_interval),
            "probability_slower": self.probability_slower,
            "verdict": self.verdict,
            "overhead_difference_ms": self.overhead_difference_ms,
            "by_kind": [group.to_dict() for group in self.by_kind()],
            "by_type": [group.to_dict() for group in self.by_type()],
            "by_module": [group.to_dict() for group in self.by_module()],
            "changes": [change.to_dict() for change in self.changes],
        }


def compare_predictions(before: Prediction, after: Prediction, confidence: float = DEFAULT_CONFIDENCE) -> Comparison:
    """Compare two predictions: of two models, or of one on two devices, at two sizes, in two precisions.

    Args:
        before: what the second is compared with.
        after: what became of it.
        confidence: of the intervals: 0.5, 0.8, 0.9 or 0.95.

    Raises:
        NnmeterError: no intervals of differences are calibrated for this confidence, or nothing of a model runs.
    """
    for prediction in (before, after):
        if prediction.latency_ms <= 0:
            raise NnmeterError(f"{prediction.model}: nothing of it is left to run, so that there is nothing to compare")
    ratio = log_ratio(before, after)
    if confidence not in ratio.halves:
        known = ", ".join(map(str, ratio.halves))
        raise NnmeterError(f"confidence {confidence} is not calibrated for differences; choose one of {known}")
    changes = find_changes(before.kernels, after.kernels, before.device == after.device)
    return Comparison(before, after, changes, ratio, confidence)


def _side(prediction: Prediction) -> dict[str, Any]:
    return {
        "model": prediction.model,
        "device": prediction.device,
        "machine": None if prediction.machine is None else prediction.machine.to_dict(),
        "dims": dict(prediction.dims),
        "latency_ms": prediction.latency_ms,
        "interval_ms": list(prediction.interval_ms),
        "kernels": len(prediction.kernels),
        "overhead_ms": prediction.overhead_ms,
        "warnings": list(prediction.warnings),
    }
