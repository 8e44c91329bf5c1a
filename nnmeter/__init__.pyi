# What `import nnmeter` offers, for editors and type checkers; `__init__.py` imports it when it is used.

from nnmeter._version import __version__ as __version__
from nnmeter.advice.advice import Advised as Advised
from nnmeter.advice.sweep import Sweep as Sweep
from nnmeter.advice.what_if import WhatIf as WhatIf
from nnmeter.api import advise as advise
from nnmeter.api import compare as compare
from nnmeter.api import detect_kernels as detect_kernels
from nnmeter.api import load_model as load_model
from nnmeter.api import predict as predict
from nnmeter.api import predict_memory as predict_memory
from nnmeter.api import predict_sparsity as predict_sparsity
from nnmeter.api import read_model as read_model
from nnmeter.api import sweep as sweep
from nnmeter.api import what_if as what_if
from nnmeter.comparison.comparison import Comparison as Comparison
from nnmeter.devices import list_devices as list_devices
from nnmeter.errors import CoverageError as CoverageError
from nnmeter.errors import DeviceError as DeviceError
from nnmeter.errors import MeasurementError as MeasurementError
from nnmeter.errors import ModelError as ModelError
from nnmeter.errors import NnmeterError as NnmeterError
from nnmeter.graph.input_sizes import InputSizes as InputSizes
from nnmeter.graph.notes import Note as Note
from nnmeter.graph.unbound import UnboundModel as UnboundModel
from nnmeter.lab.api import calibrate as calibrate
from nnmeter.lab.api import discover_fusion as discover_fusion
from nnmeter.lab.api import evaluate as evaluate
from nnmeter.lab.api import measure as measure
from nnmeter.lab.api import profile as profile
from nnmeter.lab.api import train as train
from nnmeter.lab.frames import read_measurements as read_measurements
from nnmeter.lab.measuring.measurement import Measurement as Measurement
from nnmeter.memory.memory import MemoryPrediction as MemoryPrediction
from nnmeter.prediction.frames import predictions_to_pandas as predictions_to_pandas
from nnmeter.prediction.groups import KernelGroup as KernelGroup
from nnmeter.prediction.interval import Coverage as Coverage
from nnmeter.prediction.interval import Interval as Interval
from nnmeter.prediction.many import predict_many as predict_many
from nnmeter.prediction.predict import LatencyPredictor as LatencyPredictor
from nnmeter.prediction.predict import load_predictor as load_predictor
from nnmeter.prediction.prediction import Prediction as Prediction
from nnmeter.sparsity.sparsity import SparsityPrediction as SparsityPrediction
from nnmeter.transforms import TransformError as TransformError

__all__ = [
    "Advised",
    "Comparison",
    "Coverage",
    "CoverageError",
    "DeviceError",
    "InputSizes",
    "Interval",
    "KernelGroup",
    "LatencyPredictor",
    "Measurement",
    "MeasurementError",
    "MemoryPrediction",
    "ModelError",
    "NnmeterError",
    "Note",
    "Prediction",
    "SparsityPrediction",
    "Sweep",
    "TransformError",
    "UnboundModel",
    "WhatIf",
    "__version__",
    "advise",
    "calibrate",
    "compare",
    "detect_kernels",
    "discover_fusion",
    "evaluate",
    "list_devices",
    "load_model",
    "load_predictor",
    "measure",
    "predict",
    "predict_many",
    "predict_memory",
    "predict_sparsity",
    "predictions_to_pandas",
    "profile",
    "read_measurements",
    "read_model",
    "sweep",
    "train",
    "what_if",
]
