"""Predict how long a neural network takes on a device, and say why.

>>> import nnmeter
>>> nnmeter.predict("model.onnx", "ID OR PATH OF A DEVICE PACK", dims={"batch": 1}).latency_ms
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nnmeter._version import __version__

if TYPE_CHECKING:
    from nnmeter.api import detect_kernels, load_model, predict, read_model
    from nnmeter.devices import list_devices
    from nnmeter.errors import CoverageError, DeviceError, MeasurementError, ModelError, NnmeterError
    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.graph.unbound import UnboundModel
    from nnmeter.prediction.interval import Coverage, Interval
    from nnmeter.prediction.predict import LatencyPredictor, load_predictor, predict_many
    from nnmeter.prediction.prediction import Prediction


__all__ = [
    "Coverage",
    "CoverageError",
    "DeviceError",
    "InputSizes",
    "Interval",
    "LatencyPredictor",
    "MeasurementError",
    "ModelError",
    "NnmeterError",
    "Prediction",
    "UnboundModel",
    "__version__",
    "detect_kernels",
    "list_devices",
    "load_model",
    "load_predictor",
    "predict",
    "predict_many",
    "read_model",
]

# Public name -> module; imported when first used, so that `import nnmeter` costs nothing.
_HOMES = {
    "Coverage": "nnmeter.prediction.interval",
    "CoverageError": "nnmeter.errors",
    "DeviceError": "nnmeter.errors",
    "InputSizes": "nnmeter.graph.input_sizes",
    "Interval": "nnmeter.prediction.interval",
    "LatencyPredictor": "nnmeter.prediction.predict",
    "MeasurementError": "nnmeter.errors",
    "ModelError": "nnmeter.errors",
    "NnmeterError": "nnmeter.errors",
    "Prediction": "nnmeter.prediction.prediction",
    "UnboundModel": "nnmeter.graph.unbound",
    "detect_kernels": "nnmeter.api",
    "list_devices": "nnmeter.devices",
    "load_model": "nnmeter.api",
    "load_predictor": "nnmeter.prediction.predict",
    "predict": "nnmeter.api",
    "predict_many": "nnmeter.prediction.predict",
    "read_model": "nnmeter.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nnmeter' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
