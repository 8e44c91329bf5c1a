"""The interface of nn-Meter 2.0, answered by nnmeter.

>>> from nn_meter import load_latency_predictor
>>> predictor = load_latency_predictor("cortexA76cpu_tflite21")
>>> predictor.predict("model.onnx", "onnx")

Latencies are those of nnmeter's device packs, in milliseconds. Any pack has a predictor, by its id.
"""

from nn_meter.models import model_file_to_graph, model_to_graph
from nn_meter.predictor import (
    list_latency_predictors,
    load_latency_predictor,
    load_predictor_config,
    nnMeterPredictor,
)

__all__ = [
    "list_latency_predictors",
    "load_latency_predictor",
    "load_predictor_config",
    "model_file_to_graph",
    "model_to_graph",
    "nnMeterPredictor",
]
