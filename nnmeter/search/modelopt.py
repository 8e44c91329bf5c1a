"""NVIDIA ModelOpt: a runtime whose latency is predicted, for the latency constraint of its searches.

>>> mtp.prune(model, "fastnas", {"latency": 2.0}, dummy_input,
...           {"deployment": deployment("ID OF A DEVICE PACK"), "score_func": score, "data_loader": loader})

1. `deployment` registers the runtime `nnmeter` with ModelOpt and names the device as its `accelerator`.
2. A model is compiled to the ONNX that ModelOpt exports, and profiled by a prediction; it cannot be executed.
3. ModelOpt interpolates latency over FLOPs between the few models that it asks for, so that a search may end beyond its
   constraint. Predict what it found, and ask for less where that is more than the budget.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nnmeter.errors import NnmeterError

if TYPE_CHECKING:
    from nnmeter.devices import DevicePack
    from nnmeter.prediction.predict import LatencyPredictor

RUNTIME = "nnmeter"

_PREDICTORS: dict[str, LatencyPredictor] = {}  # by the name of the accelerator; ModelOpt knows texts only


def deployment(
    device: str | os.PathLike[str] | DevicePack | LatencyPredictor | None = None, onnx_opset: int = 17
) -> dict[str, str]:
    """The deployment of a device, as ModelOpt's searches take it.

    Args:
        device: id or path of a device pack, the pack, or a predictor; the pack nearest to this machine if not given.
        onnx_opset: version of the operators that ModelOpt exports.

    Raises:
        DeviceError: the device is unknown, or its pack is damaged.
        ModuleNotFoundError: ModelOpt is not installed.
    """
    from nnmeter.search.budget import predictor_of_device

    predictor = predictor_of_device(device)
    _PREDICTORS[predictor.device] = predictor
    _register()
    return {"runtime": RUNTIME, "accelerator": predictor.device, "version": "1", "onnx_opset": str(onnx_opset)}


def _register() -> None:
    from modelopt.torch._deploy._runtime import RuntimeClient, RuntimeRegistry
    from modelopt.torch._deploy.utils import OnnxBytes

    if RUNTIME in RuntimeRegistry._runtime_client_lookup:
        return

    class PredictedRuntime(RuntimeClient):
        """Rule 2."""

        @property
        def default_deployment(self) -> dict[str, str]:
            """The first value of each key."""
            return {key: values[0] for key, values in self.deployment_table.items()}

        @property
        def deployment_table(self) -> dict[str, list[str]]:
            """What a deployment may say."""
            return {
                "accelerator": list(_PREDICTORS),
                "version": ["1"],
                "precision": ["fp32"],
                "onnx_opset": [str(version) for version in range(13, 24)],
            }

        def _ir_to_compiled(self, ir_bytes: bytes, compilation_args: dict[str, Any] | None = None) -> bytes:
            model: bytes = OnnxBytes.from_bytes(ir_bytes).get_onnx_model_file_bytes()
            return model

        def _profile(
            self, compiled_model: bytes, compilation_args: dict[str, Any] | None = None
        ) -> tuple[float, dict[str, Any]]:
            prediction = _PREDICTORS[self.deployment["accelerator"]].predict(compiled_model)
            return prediction.latency_ms, prediction.to_dict()

        def _inference(self, compiled_model: bytes, inputs: Any, io_shapes: Any = None) -> Any:
            raise NnmeterError("nnmeter predicts latencies and executes no model; run it in its own runtime")

    RuntimeRegistry.register(RUNTIME)(PredictedRuntime)
