"""PyTorch's modules: exported without weights, since a prediction reads none."""

from __future__ import annotations

import io
import warnings
from typing import Any

from nnmeter import ModelError, UnboundModel, read_model
from nnmeter.errors import brief


def module_of(model: Any) -> Any:
    """A module, or the one of torchvision that has a name.

    Raises:
        ModelError: torchvision has none of this name, or it is not installed.
    """
    if not isinstance(model, str):
        return model
    try:
        from torchvision import models
    except ModuleNotFoundError as fault:
        raise ModelError(f"{model}: a model of torchvision is named, and {fault.name} is not installed") from None
    try:
        return models.get_model(model, weights=None)
    except ValueError as fault:
        known = ", ".join(models.list_models(module=models)[:5])
        raise ModelError(f"{model}: torchvision has no such model; it has, for instance, {known}") from fault


def read_module(module: Any, input_shape: tuple[int, ...]) -> UnboundModel:
    """Read a module with one input.

    Args:
        module: the module.
        input_shape: shape of its input.

    Raises:
        ModelError: torch cannot export it.
    """
    import torch

    name = type(module).__name__
    try:
        proto = export_module(module, (torch.zeros(*input_shape),))
    except Exception as fault:  # of the exporter, or of the module itself
        raise ModelError(f"{name}: torch cannot export it ({type(fault).__name__}: {brief(fault)})") from fault
    return read_model(proto, name)


def export_module(module: Any, example_inputs: Any) -> Any:
    """A module as an `onnx.ModelProto` whose weights are inputs.

    Args:
        module: the `torch.nn.Module`.
        example_inputs: what it is called with.
    """
    import onnx
    import torch

    stream = io.BytesIO()
    training = module.training
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(), example_inputs, stream, export_params=False, dynamo=False, verbose=False
            )  # the exporter by tracing, for one module at a time
    finally:
        module.train(training)
    return onnx.load_from_string(stream.getvalue())
