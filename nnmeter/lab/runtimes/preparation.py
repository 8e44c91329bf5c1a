"""What every adapter does with a model before its runtime compiles it, so that all runtimes compile the same.

1. Weights that the file lacks are drawn at random (`nnmeter.lab.runtimes.weights`).
2. Free dimensions are bound before compiling: the sizes are written into the inputs of the model. A runtime that is
   given free dimensions plans for all sizes and executes other kernels (ONNX Runtime keeps the shape arithmetic and
   folds less). With `keep_free` it is given them, and only the inputs have the sizes.
3. Inputs are drawn at random, in these shapes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.lab.runtimes.weights import load_with_weights, random_inputs

if TYPE_CHECKING:
    import onnx

# Serialized protobuf ends at 2 GiB; beyond this the weights travel in a file.
_LARGEST_MODEL_BYTES = 1_900_000_000
# Smaller tensors stay in the model: axes, shapes and the like decide what is compiled.
EMBEDDED_BYTES = 1024


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model that a runtime can compile and run.

    Attributes:
        name: path of the model, for messages; "the model" where it came from memory.
        proto: the model, every weight present, every input with a static shape.
        feeds: a value for every input.
    """

    name: str
    proto: onnx.ModelProto
    feeds: dict[str, np.ndarray[Any, Any]]

    @property
    def batch(self) -> int:
        """Leading dimension of the first input; 1 where it has none, or nothing goes in by it."""
        first = next(iter(self.feeds.values()), np.empty(()))
        return max(1, int(first.shape[0])) if first.shape else 1


def prepare_model(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
    keep_free: bool = False,
) -> PreparedModel:
    """Reads a model and completes it (rules 1-3).

    Args:
        model: path, serialized model or `onnx.ModelProto`, which is changed in place.
        dims: sizes of named free dimensions.
        shapes: shapes of inputs with free dimensions.
        seed: of the random numbers.
        keep_free: leave free dimensions free in the model; the values of its inputs are of the sizes given.

    Raises:
        ModelError: the model cannot be read, or sizes are missing.
    """
    proto = load_with_weights(model, seed)
    static = bind_inputs(proto, dims or {}, shapes or {}, write=not keep_free)
    name = os.fspath(model) if isinstance(model, str | os.PathLike) else "the model"
    return PreparedModel(name, proto, random_inputs(proto, static, seed))


def bind_inputs(
    proto: onnx.ModelProto, dims: Mapping[str, int], shapes: Mapping[str, Sequence[int]], write: bool = True
) -> dict[str, tuple[int, ...]]:
    """The static shapes of a model's inputs by the rules of `bind_shapes`, written into the model (rule 2).

    Raises:
        ModelError: dimensions remain free, what is given contradicts the model, or an input is no tensor.
    """
    for value in proto.graph.input:
        _check_tensor(value)
    declared = {value.name: _declared_shape(value) for value in proto.graph.input}
    static = {name: shape for name, shape in declared.items() if shape is not None}
    if len(static) == len(declared) and not dims and not shapes:
        return static
    graph = bind_shapes(read_model(proto), InputSizes(dims, shapes))
    for value in proto.graph.input:
        if value.name in graph.inputs:
            static[value.name] = graph.types[value.name].shape
            if write:
                _write_shape(value, static[value.name])
    return static


def serialize(proto: onnx.ModelProto, folder: Path) -> bytes | str:
    """The model as bytes, or, where it is too large for them, the path of a file in `folder`, weights beside it."""
    # To count the true size costs as much as to serialize; elements have at most 8 bytes (complex ones are rare).
    upper_bytes = 8 * sum(math.prod(tensor.dims) for tensor in proto.graph.initializer)
    if upper_bytes < _LARGEST_MODEL_BYTES or proto.ByteSize() < _LARGEST_MODEL_BYTES:
        return bytes(proto.SerializeToString())
    import onnx

    path = folder / "model.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="model.weights", size_threshold=EMBEDDED_BYTES)
    return str(path)


def _check_tensor(value: onnx.ValueInfoProto) -> None:
    kind = value.type.WhichOneof("value")
    if kind not in ("tensor_type", None):
        word = kind.removesuffix("_type")
        raise ModelError(
            f"input {value.name!r} is no tensor but of kind {word}; measure a model of tensors, or predict this one"
        )


def _declared_shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """The shape that the model fixes for an input; None where it leaves something open."""
    kind = value.type.tensor_type
    if not kind.HasField("shape") or not all(dim.HasField("dim_value") for dim in kind.shape.dim):
        return None
    sizes = tuple(dim.dim_value for dim in kind.shape.dim)
    return sizes if all(size >= 0 for size in sizes) else None


def _write_shape(value: onnx.ValueInfoProto, shape: Sequence[int]) -> None:
    target = value.type.tensor_type.shape
    target.SetInParent()  # a scalar's shape has no dimensions, but is there
    del target.dim[len(shape) :]
    for axis, size in enumerate(shape):
        dim = target.dim[axis] if axis < len(target.dim) else target.dim.add()
        dim.dim_value = size
