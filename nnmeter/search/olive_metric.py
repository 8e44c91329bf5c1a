"""Olive: predicted latency as a metric of its searches, and an evaluator that knows no other.

1. `evaluator(device, max_ms)` is the configuration of an evaluator that answers Olive's own latency metric with a
   prediction. It needs neither data nor a session. Importing this module registers it with Olive, as `user_script` of
   the configuration does. A prediction is the mean and the median of runs; it knows no other percentile.
2. `latency_metric(device, max_ms)` is a custom metric, to stand beside others in any evaluator's configuration. Olive
   calls `evaluate_latency` of this file for it. (olive-ai 0.13.0 cannot write a custom metric into its cache, whosever
   it is, so that `olive run` fails with one.)
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nnmeter.errors import NnmeterError

if TYPE_CHECKING:
    from nnmeter.prediction.predict import LatencyPredictor

METRIC = "nnmeter_latency"
EVALUATOR = "NnmeterEvaluator"
_SUB = "latency_ms"
_KNOWN = frozenset({_SUB, "avg", "p50"})


def evaluator(device: str | None = None, max_ms: float | None = None) -> dict[str, Any]:
    """The configuration of an evaluator whose latency is predicted (rule 1).

    Args:
        device: id or path of a device pack; the pack nearest to this machine if not given.
        max_ms: what a model may take, in milliseconds; a goal of the search.
    """
    sub: dict[str, Any] = {"name": "avg", "priority": 1}
    if max_ms is not None:
        sub["goal"] = {"type": "threshold", "value": max_ms}
    return {
        "type": EVALUATOR,
        "type_args": {"predicted_device": device},
        "user_script": os.path.abspath(__file__),
        "metrics": [{"name": "latency", "type": "latency", "sub_types": [sub]}],
    }


def latency_metric(device: str | None = None, max_ms: float | None = None, priority: int = 1) -> dict[str, Any]:
    """A metric for the configuration of an evaluator (rule 2).

    Args:
        device: id or path of a device pack; the pack nearest to this machine if not given.
        max_ms: what a model may take, in milliseconds; a goal of the search.
        priority: rank of the metric among others; 1 is the first.
    """
    sub: dict[str, Any] = {"name": _SUB, "priority": priority, "higher_is_better": False}
    if max_ms is not None:
        sub["goal"] = {"type": "threshold", "value": max_ms}
    return {
        "name": METRIC,
        "type": "custom",
        "sub_types": [sub],
        "user_config": {
            "user_script": os.path.abspath(__file__),
            "evaluate_func": "evaluate_latency",
            "evaluate_func_kwargs": {"predicted_device": device},
        },
    }


def evaluate_latency(
    model: Any, device: Any = None, execution_providers: Any = None, predicted_device: str | None = None
) -> dict[str, float]:
    """What a model of Olive takes: the function that Olive calls for the metric.

    Args:
        model: an `ONNXModelHandler`.
        device: what Olive runs models on; predictions need none.
        execution_providers: the same.
        predicted_device: id or path of a device pack.

    Raises:
        NnmeterError: the model is not ONNX.
    """
    path = getattr(model, "model_path", None)
    if path is None or not str(path).endswith(".onnx"):
        raise NnmeterError(f"{path or type(model).__name__}: is no ONNX model; let a pass of Olive convert it first")
    return {_SUB: _predictor(predicted_device).predict(path).latency_ms}


@lru_cache
def _predictor(device: str | None) -> LatencyPredictor:
    from nnmeter.prediction.predict import load_predictor

    return load_predictor(device)


def _register() -> None:
    from olive.evaluator.metric_result import SubMetricResult, flatten_metric_result
    from olive.evaluator.olive_evaluator import OliveEvaluator
    from olive.evaluator.registry import Registry

    if Registry.get(EVALUATOR) is not None:
        return  # Olive runs a user script once for each place that names it

    @Registry.register(EVALUATOR)
    class NnmeterEvaluator(OliveEvaluator):
        """Rule 1."""

        def __init__(self, predicted_device: str | None = None, **more: Any) -> None:
            super().__init__(**more)
            self.predicted_device = predicted_device

        def evaluate(self, model: Any, metrics: Any, device: Any = None, execution_providers: Any = None) -> Any:
            """The predicted latency for each metric that asks for it."""
            value = evaluate_latency(model, predicted_device=self.predicted_device)[_SUB]
            found = {}
            for metric in metrics:
                unknown = [str(sub.name) for sub in metric.sub_types if str(sub.name) not in _KNOWN]
                if (str(metric.type) != "latency" and metric.name != METRIC) or unknown:
                    asked = f"{metric.name} ({', '.join(unknown)})" if unknown else metric.name
                    raise NnmeterError(
                        f"{asked}: this evaluator predicts latency, avg or p50; use Olive's own for others"
                    )
                found[metric.name] = {
                    sub.name: SubMetricResult(value=value, priority=sub.priority, higher_is_better=sub.higher_is_better)
                    for sub in metric.sub_types
                }
            return flatten_metric_result(found)


try:
    _register()
except ModuleNotFoundError as fault:
    if not (fault.name or "").startswith("olive"):
        raise
