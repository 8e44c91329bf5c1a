"""Models by the types that nn-Meter names, read by nnmeter.

1. `onnx`: a path or an `onnx.ModelProto`. Inputs that are weights count as such (`nnmeter.formats.parameters`).
2. `torch`: a `torch.nn.Module`, or the name of a model in torchvision; exported with torch's ONNX exporter.
3. `nnmeter-ir`: a graph of nn-Meter as a dictionary, or the path of one as JSON.
4. `nni-ir`: a graph of NNI as a dictionary, the path of one as JSON, or NNI's object of it (`nni_ir.py`).
5. `pb`: the path of a frozen TensorFlow graph, converted with tf2onnx where that is installed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from nnmeter import ModelError, UnboundModel, read_model
from nnmeter.formats.parameters import with_parameters

Shape = tuple[int, ...]


def read_any(model: Any, model_type: str, input_shape: Shape, parameters: Sequence[str] | None = None) -> UnboundModel:
    """Read a model of a type.

    Args:
        model: a path, or an object of the type.
        model_type: one of `MODEL_TYPES`.
        input_shape: shape of the input, where the model does not say.
        parameters: inputs that are weights; found by rule if not given.

    Raises:
        ModelError: it is no model of the type.
    """
    reader = MODEL_TYPES.get(model_type)
    if reader is None:
        raise ModelError(f"{model_type!r:.80} is no type of model; give one of {', '.join(MODEL_TYPES)}")
    return with_parameters(reader(model, tuple(input_shape)), parameters)


def model_file_to_graph(
    filename: str, model_type: str, input_shape: Shape = (1, 3, 224, 224), apply_nni: bool = False
) -> dict[str, Any]:
    """The graph of a model file in nn-Meter's form; see `model_to_graph`."""
    return model_to_graph(filename, model_type, input_shape, apply_nni)


def model_to_graph(
    model: Any, model_type: str, input_shape: Shape = (1, 3, 224, 224), apply_nni: bool = False
) -> dict[str, Any]:
    """The graph of a model in nn-Meter's form: by name, what an operator is, and which it reads and is read by.

    Raises:
        ModelError: it is no model of the type, or dimensions remain free.
    """
    from nn_meter.ir import graph_to_ir

    if model_type == "nnmeter-ir" and isinstance(model, dict):
        return model
    return graph_to_ir(read_any(model, model_type, input_shape))


def _onnx(model: Any, input_shape: Shape) -> UnboundModel:
    found = read_model(model)
    free = found.free_dimensions
    if len(found.inputs) == 1 and free and len(found.inputs[0].dims or ()) == len(input_shape):
        from dataclasses import replace

        found = replace(found, inputs=(replace(found.inputs[0], dims=input_shape),))
    return found


def _torch(model: Any, input_shape: Shape) -> UnboundModel:
    from nn_meter.torch_models import module_of, read_module

    return read_module(module_of(model), input_shape)


def _nnmeter_ir(model: Any, input_shape: Shape) -> UnboundModel:
    return read_model(json.dumps(model).encode() if isinstance(model, dict) else model)


def _nni_ir(model: Any, input_shape: Shape) -> UnboundModel:
    from nn_meter.nni_ir import module_of_ir
    from nn_meter.torch_models import read_module

    return read_module(module_of_ir(model), input_shape)


def _pb(model: Any, input_shape: Shape) -> UnboundModel:
    try:
        import tensorflow
        import tf2onnx
    except ModuleNotFoundError as fault:
        raise ModelError(
            f"{os.fspath(model)}: a frozen TensorFlow graph is read with tf2onnx, and {fault.name} is not installed; "
            "pip install 'nnmeter-nn-meter[tensorflow]', or convert it to ONNX elsewhere"
        ) from None
    graph = tensorflow.compat.v1.GraphDef()
    try:
        with open(model, "rb") as stream:
            graph.ParseFromString(stream.read())
    except Exception as fault:
        raise ModelError(f"{os.fspath(model)}: is no frozen TensorFlow graph ({type(fault).__name__})") from fault
    read = {name.split(":")[0].lstrip("^") for node in graph.node for name in node.input}
    inputs = [f"{node.name}:0" for node in graph.node if node.op == "Placeholder"]
    ends = [f"{node.name}:0" for node in graph.node if node.name not in read and node.op not in ("Const", "NoOp")]
    proto, _ = tf2onnx.convert.from_graph_def(graph, input_names=inputs, output_names=ends)
    return read_model(proto, os.path.basename(model))


MODEL_TYPES: dict[str, Callable[[Any, Shape], UnboundModel]] = {
    "onnx": _onnx,
    "torch": _torch,
    "nnmeter-ir": _nnmeter_ir,
    "nni-ir": _nni_ir,
    "pb": _pb,
}
