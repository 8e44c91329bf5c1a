"""Weights that a file has as inputs: a model exported without its parameters (`export_params=False`), read with them.

An exporter that leaves the weights out makes inputs of them. A runtime would then neither pack nor fold them, and the
device would execute other kernels than it does for the model with weights. Rules:

1. Inputs that are named count as constants of their types.
2. Where none are named, an input is a parameter if it is called as frameworks call them (`conv1.weight`,
   `bn.running_var`), or if every operator that reads it reads it where a weight goes (`_WEIGHTS`). The first input is
   data in any case.
3. A parameter has a fixed shape; an input with free dimensions is data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from nnmeter.errors import ModelError, brief
from nnmeter.graph.unbound import UnboundModel

_NAMED = re.compile(r"(?:^|[./])(?:\w+_)?(?:weight|bias|running_mean|running_var|num_batches_tracked)(?:_\w+)?$")

# Operator -> the inputs that are weights of it.
_WEIGHTS: dict[str, tuple[int, ...]] = {
    "BatchNormalization": (1, 2, 3, 4),
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "GRU": (1, 2, 3),
    "Gemm": (1, 2),
    "GroupNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LSTM": (1, 2, 3),
    "LayerNormalization": (1, 2),
    "PRelu": (1,),
    "RNN": (1, 2, 3),
    "RMSNormalization": (1,),
}


def with_parameters(model: UnboundModel, names: Iterable[str] | None = None) -> UnboundModel:
    """The model whose parameters are constants, in place of inputs.

    Args:
        model: the model; it is not changed.
        names: the inputs that are parameters; found by rule 2 if not given.

    Raises:
        ModelError: a name is of no input, or of one with free dimensions.
    """
    inputs = {declared.name: declared for declared in model.inputs}
    if names is None:
        chosen = [name for name in find_parameters(model) if inputs[name].static is not None]
    else:
        chosen = list(dict.fromkeys(names))
        for name in chosen:
            if name not in inputs:
                raise ModelError(
                    f"{model.source}: the parameter '{brief(name, 80)}' is no input; inputs are "
                    f"{', '.join(brief(one, 60) for one in list(inputs)[:8])}"
                )
            if inputs[name].static is None:
                raise ModelError(
                    f"{model.source}: the parameter '{brief(name, 80)}' has free dimensions; fix its shape"
                )
    types = {name: inputs[name].static for name in chosen}
    constants = {**model.constants, **{name: kind for name, kind in types.items() if kind is not None}}
    left = tuple([declared for declared in model.inputs if declared.name not in types])
    return replace(model, inputs=left, constants=constants) if types else model


def find_parameters(model: UnboundModel) -> tuple[str, ...]:
    """The inputs that are parameters by rule 2, in the order of the file."""
    data: set[str] = set()
    weights: set[str] = set()
    for node in model.nodes:
        places = _WEIGHTS.get(node.op_type, ()) if not node.domain else ()
        for place, name in enumerate(node.inputs):
            (weights if place in places else data).add(name)
    return tuple(
        [
            declared.name
            for declared in model.inputs[1:]
            if _NAMED.search(declared.name) or (declared.name in weights and declared.name not in data)
        ]
    )
