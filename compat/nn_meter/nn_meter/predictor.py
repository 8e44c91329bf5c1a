"""Predictors by the names that nn-Meter has for them, and by the ids of device packs."""

from __future__ import annotations

import sys
from typing import Any

from nn_meter.models import read_any
from nnmeter import DeviceError, LatencyPredictor, list_devices, load_predictor

# The predictors of nn-Meter 2.0: each is one version, and a pack of nnmeter is called the same.
_VERSION = 1.0
_NN_METER = {
    "cortexA76cpu_tflite21": "cpu",
    "adreno640gpu_tflite21": "gpu",
    "adreno630gpu_tflite21": "gpu",
    "myriadvpu_openvino2019r2": "vpu",
}


class UnknownPredictorError(DeviceError, NotImplementedError):
    """There is no predictor of this name and version; nn-Meter raised a `NotImplementedError`."""


def list_latency_predictors() -> list[dict[str, Any]]:
    """The predictors that can be loaded: nn-Meter's own first, then every device pack that is found."""
    ids = [device.id for device in list_devices()]
    names = [*(name for name in _NN_METER if name in ids), *(one for one in ids if one not in _NN_METER)]
    return [load_predictor_config(name) for name in names]


def load_predictor_config(predictor_name: str, predictor_version: float | None = None) -> dict[str, Any]:
    """What is known of a predictor: its name, its version and the kind of its hardware.

    Raises:
        UnknownPredictorError: there is none of this name and version.
    """
    if predictor_version is not None and float(predictor_version) != _VERSION:
        raise UnknownPredictorError(f"{predictor_name}: there is version {_VERSION} only, not {predictor_version}")
    return {"name": predictor_name, "version": _VERSION, "category": _NN_METER.get(predictor_name, "device pack")}


def load_latency_predictor(predictor_name: str, predictor_version: float | None = None) -> nnMeterPredictor:
    """Load a predictor.

    Args:
        predictor_name: one of `list_latency_predictors`, or the path of a device pack.
        predictor_version: 1.0, or None for the latest.

    Raises:
        UnknownPredictorError: there is none of this name and version.
    """
    load_predictor_config(predictor_name, predictor_version)
    if "nni.nas.profiler.pytorch.nn_meter" in sys.modules:
        from nn_meter.nni import lighten

        lighten()
    try:
        predictor = load_predictor(predictor_name)
    except DeviceError as fault:
        raise UnknownPredictorError(str(fault)) from fault
    return nnMeterPredictor(predictor)


class nnMeterPredictor:  # noqa: N801  (the name that programs import)
    """Predicts models on one device.

    Args:
        predictor: of the device, as `nnmeter.load_predictor` loads it.
    """

    def __init__(self, predictor: LatencyPredictor) -> None:
        self.predictor = predictor

    def predict(
        self,
        model: Any,
        model_type: str,
        input_shape: tuple[int, ...] = (1, 3, 224, 224),
        apply_nni: bool = False,
        *,
        parameters: list[str] | None = None,
    ) -> float:
        """Predict how long a model takes.

        Args:
            model: a path, or an object of the type.
            model_type: `onnx`, `torch`, `nnmeter-ir`, `nni-ir` or `pb`.
            input_shape: shape of the input of a torch module, and of an ONNX model that leaves it free.
            apply_nni: as in nn-Meter, which then converted torch modules by NNI; the result is the same here.
            parameters: inputs that are weights, where a model was exported without them; found by their names and
                readers if not given.

        Returns:
            Milliseconds; 0 for a model without any operator.

        Raises:
            ModelError: the model cannot be read, or dimensions remain free.
        """
        unbound = read_any(model, model_type, input_shape, parameters)
        if not unbound.nodes:
            return 0.0  # an identity: the device executes nothing, and a sum over modules must not count a run of it
        return self.predictor.predict(unbound).latency_ms
