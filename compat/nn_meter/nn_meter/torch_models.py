"""PyTorch's modules: exported without weights, since a prediction reads none."""

from __future__ import annotations

from typing import Any

from nnmeter import ModelError, UnboundModel, read_model


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

    return read_model(module, example_inputs=(torch.zeros(*input_shape),))
