"""Trying a change on a whole model, and what it brings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from nnmeter.advice.what_if import predict_stage, single_sizes
from nnmeter.comparison.comparison import Comparison, compare_predictions
from nnmeter.errors import ModelError
from nnmeter.prediction.predict import predict_on
from nnmeter.prediction.sweep import one_each
from nnmeter.transforms import Transform, TransformError

if TYPE_CHECKING:
    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.graph.unbound import UnboundModel
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.prediction.prediction import Prediction

Effect = Literal["same", "weights", "function"]

_JUDGED = 0.1  # share of the new kernels' time outside of the trained range up to which the pack can judge a change


@dataclass(frozen=True)
class Trial:
    """A change of a model that was tried.

    Attributes:
        kind: `precision`, `width`, `activation` or `rewrite`.
        what: what is done, in a few words.
        why: why it is worth a try, a sentence without its full stop.
        effect: what becomes of the model: it computes the `same`, needs other `weights`, or is another `function`.
        transform: what was applied.
        comparison: with the model as it is.
        outside: share of the time of new kernels that the device's training did not have.
    """

    kind: str
    what: str
    why: str
    effect: Effect
    transform: Transform
    comparison: Comparison
    outside: float

    @property
    def judged(self) -> bool:
        """Whether the pack was trained on what the change brings."""
        return self.outside <= _JUDGED

    @property
    def gains(self) -> bool:
        """Whether the model is faster for sure, by the confidence of the comparison."""
        return self.comparison.verdict == "faster"

    @property
    def gain_ms(self) -> float:
        """How much less time the model takes, in milliseconds."""
        return -self.comparison.difference_ms

    def to_dict(self) -> dict[str, Any]:
        """The trial as JSON has it."""
        comparison = self.comparison
        low, high = comparison.difference_interval_ms
        return {
            "kind": self.kind,
            "what": self.what,
            "why": self.why,
            "effect": self.effect,
            "option": self.transform.option,
            "latency_ms": comparison.after.latency_ms,
            "gain_ms": self.gain_ms,
            "gain_interval_ms": [-high, -low],
            "ratio": comparison.ratio,
            "probability_faster": 1 - comparison.probability_slower,
            "verdict": comparison.verdict,
            "outside_share": self.outside,
        }


class Workbench:
    """A model on a device, to try changes on.

    Args:
        model: the model.
        predictor: of the device.
        sizes: what the model leaves open.
        confidence: of the intervals.
        name: what predictions call it.
    """

    def __init__(
        self, model: UnboundModel, predictor: LatencyPredictor, sizes: InputSizes, confidence: float, name: str
    ) -> None:
        self.model = model
        self.predictor = predictor
        self.sizes = single_sizes(sizes)
        self._given = sizes.updated(dims=one_each(self.sizes.dims))
        self.confidence = confidence
        self.name = name

    @cached_property
    def before(self) -> Prediction:
        """What the model takes as it is."""
        given, name = self._given, self.name
        return next(predict_on([self.predictor], self.model, given, confidence=self.confidence, name=name))

    def predict(self, model: UnboundModel) -> Prediction:
        """What a model takes."""
        return predict_stage(model, [self.predictor], self._given, self.confidence, self.name)[0]

    def try_change(self, kind: str, what: str, why: str, effect: Effect, transform: Transform) -> Trial | None:
        """Try a change; None where the model does not take it."""
        try:
            return self.judge(kind, what, why, effect, transform, transform(self.model, self.sizes))
        except (TransformError, ModelError):
            return None

    def judge(
        self, kind: str, what: str, why: str, effect: Effect, transform: Transform, changed: UnboundModel
    ) -> Trial:
        """What a change brings whose result is known."""
        after = self.predict(changed)
        known = {kernel.signature for kernel in self.before.kernels}
        new = [kernel for kernel in after.kernels if kernel.signature not in known]
        total = sum(kernel.latency_ms for kernel in new)
        outside = sum(kernel.latency_ms for kernel in new if kernel.gaps) / total if total else 0.0
        comparison = compare_predictions(self.before, after, self.confidence)
        return Trial(kind, what, why, effect, transform, comparison, outside)
