"""Predict how long a neural network takes on a device, and say why.

>>> import nnmeter
>>> nnmeter.predict("model.onnx", "ID OR PATH OF A DEVICE PACK", dims={"batch": 1}).latency_ms

Names are imported when they are first used, so that `import nnmeter` costs nothing; `__init__.pyi` tells editors and
type checkers what they are.
"""

from __future__ import annotations

import importlib
from typing import Any

from nnmeter._version import __version__ as __version__

# Public name -> module of the core.
_HOMES = {
    "Advised": "nnmeter.advice.advice",
    "Comparison": "nnmeter.comparison.comparison",
    "Coverage": "nnmeter.prediction.interval",
    "CoverageError": "nnmeter.errors",
    "DeviceError": "nnmeter.errors",
    "InputSizes": "nnmeter.graph.input_sizes",
    "Interval": "nnmeter.prediction.interval",
    "KernelGroup": "nnmeter.prediction.groups",
    "LatencyPredictor": "nnmeter.prediction.predict",
    "MeasurementError": "nnmeter.errors",
    "MemoryPrediction": "nnmeter.memory.memory",
    "ModelError": "nnmeter.errors",
    "NnmeterError": "nnmeter.errors",
    "Note": "nnmeter.graph.notes",
    "Prediction": "nnmeter.prediction.prediction",
    "SparsityPrediction": "nnmeter.sparsity.sparsity",
    "Sweep": "nnmeter.advice.sweep",
    "TransformError": "nnmeter.transforms",
    "UnboundModel": "nnmeter.graph.unbound",
    "WhatIf": "nnmeter.advice.what_if",
    "advise": "nnmeter.api",
    "compare": "nnmeter.api",
    "detect_kernels": "nnmeter.api",
    "list_devices": "nnmeter.devices",
    "load_model": "nnmeter.api",
    "load_predictor": "nnmeter.prediction.predict",
    "predict": "nnmeter.api",
    "predict_many": "nnmeter.prediction.many",
    "predict_memory": "nnmeter.api",
    "predict_sparsity": "nnmeter.api",
    "predictions_to_pandas": "nnmeter.prediction.frames",
    "read_model": "nnmeter.api",
    "sweep": "nnmeter.api",
    "what_if": "nnmeter.api",
}

# Public names of the lab, which `nnmeter.lab_door` finds; some of them need what `pip install 'nnmeter[lab]'` brings.
_LAB = (
    "Measurement",
    "calibrate",
    "discover_fusion",
    "evaluate",
    "measure",
    "profile",
    "read_measurements",
    "train",
)

__all__ = sorted(("__version__", *_HOMES, *_LAB))


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _LAB:
        from nnmeter.lab_door import from_lab

        value = from_lab(name)
    else:
        raise AttributeError(f"module 'nnmeter' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
