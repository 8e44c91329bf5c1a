"""Predict how long a neural network takes on a device, and say why.

>>> import nnmeter
>>> predictor = nnmeter.load_predictor("ID OR PATH OF A DEVICE PACK")
>>> predictor.predict("model.onnx", dims={"batch": 1}).latency_ms
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nnmeter._version import __version__

if TYPE_CHECKING:
    from nnmeter.api import detect_kernels, load_model
    from nnmeter.devices import list_devices
    from nnmeter.errors import CoverageError, DeviceError, MeasurementError, ModelError, NnmeterError
    from nnmeter.prediction.predict import LatencyPredictor, Prediction, load_predictor, predict_many


__all__ = [
    "CoverageError",
    "DeviceError",
    "LatencyPredictor",
    "MeasurementError",
    "ModelError",
    "NnmeterError",
    "Prediction",
    "__version__",
    "detect_kernels",
    "list_devices",
    "load_model",
    "load_predictor",
    "predict_many",
]

# Public name -> module; imported when first used, so that `import nnmeter` costs nothing.
_HOMES = {
    "CoverageError": "nnmeter.errors",
    "DeviceError": "nnmeter.errors",
    "LatencyPredictor": "nnmeter.prediction.predict",
    "MeasurementError": "nnmeter.errors",
    "ModelError": "nnmeter.errors",
    "NnmeterError": "nnmeter.errors",
    "Prediction": "nnmeter.prediction.predict",
    "detect_kernels": "nnmeter.api",
    "list_devices": "nnmeter.devices",
    "load_model": "nnmeter.api",
    "load_predictor": "nnmeter.prediction.predict",
    "predict_many": "nnmeter.prediction.predict",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nnmeter' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
