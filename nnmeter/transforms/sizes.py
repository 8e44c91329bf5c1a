"""Other sizes of inputs: of free dimensions, and of those that a file fixes.

1. A dimension that a file leaves free takes the size.
2. A size that a file fixes is also written into what its operators state and into constants: shapes, masks, tables of
   positions. It is followed through them (`nnmeter.transforms.following`).
3. Where the rest of the model cannot take it, the error says so: a classifier behind a Flatten, a product over tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nnmeter.binding.bind import bind_shapes, refuse_empty_batch
from nnmeter.errors import ModelError
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.unbound import DeclaredType, UnboundModel
from nnmeter.transforms.draft import Draft, fitting_sizes, with_outputs
from nnmeter.transforms.faults import TransformError
from nnmeter.transforms.following import follow_sizes


def set_batch(model: UnboundModel, batch: int, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model with another batch: the first dimension of its inputs.

    Args:
        model: the model; it is not changed.
        batch: how many go in together.
        sizes: what the model leaves open.

    Raises:
        TransformError: the model cannot take another batch; the message says which operator fixes it.
    """
    if batch < 1:
        raise TransformError(f"{model.source}: a batch of {batch} is none; give 1 or more")
    first = next((d for d in model.inputs if d.dims), None)
    if first is None or not first.dims:
        raise TransformError(f"{model.source}: no input has dimensions, so there is no batch; give other sizes")
    stated = first.dims[0]
    if isinstance(stated, str):
        return _with_dimension(model, stated, batch)
    draft = Draft(model, sizes)
    with_batch = [d for d in model.inputs if d.dims and d.dims[0] == stated]
    if stated == batch:
        return model
    draft.inputs = [replace(d, dims=(batch, *(d.dims or ())[1:])) if d in with_batch else d for d in draft.inputs]
    return _followed(draft, sizes, f"a batch of {batch}", batch=True)


def set_dimensions(model: UnboundModel, dims: Mapping[str, int]) -> UnboundModel:
    """The model with free dimensions fixed, by name.

    Raises:
        TransformError: it has no such dimension.
        ModelError: the batch would be 0.
    """
    refuse_empty_batch(model, dims)
    for name, size in dims.items():
        model = _with_dimension(model, name, size)
    return model


def set_resolution(model: UnboundModel, height: int, width: int, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model with another size of picture: the last two dimensions of its inputs of rank 4, or 5 for films.

    Raises:
        TransformError: it has no such input, or something else in it fixes the size.
    """
    pictures = [d for d in model.inputs if d.dims is not None and len(d.dims) in (4, 5)]
    if not pictures:
        raise TransformError(f"{model.source}: no input is a picture (rank 4 or 5); give --dim or --shape instead")
    return _with_axes(model, pictures, {-2: height, -1: width}, sizes, f"pictures of {height} x {width}")


def set_sequence(model: UnboundModel, length: int, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model with another length of sequence: the second dimension of its inputs of rank 2 and 3.

    Raises:
        TransformError: it has no such input, or something else in it fixes the length.
    """
    sequences = [d for d in model.inputs if d.dims is not None and len(d.dims) in (2, 3)]
    if not sequences:
        raise TransformError(f"{model.source}: no input is a sequence (rank 2 or 3); give --dim or --shape instead")
    return _with_axes(model, sequences, {1: length}, sizes, f"sequences of {length}")


def set_axis(model: UnboundModel, name: str, axis: int, size: int, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model with another size of one dimension of one input, free or fixed.

    Args:
        model: the model; it is not changed.
        name: of the input.
        axis: number of the dimension, from 0 on.
        size: its size.
        sizes: what else the model leaves open.

    Raises:
        TransformError: there is no such dimension, or something else in the model fixes the size.
    """
    inputs = [d for d in model.inputs if d.name == name and d.dims is not None and axis < len(d.dims)]
    if not inputs:
        raise TransformError(f"{model.source}: there is no dimension '{name}.{axis}'; give an input and a number")
    return _with_axes(model, inputs, {axis: size}, sizes, f"a size of {size} for '{name}.{axis}'")


def _with_axes(
    model: UnboundModel, inputs: Sequence[DeclaredType], axes: Mapping[int, int], sizes: InputSizes, what: str
) -> UnboundModel:
    if min(axes.values()) < 1:
        raise TransformError(f"{model.source}: {what} are none; give sizes from 1 on")
    names = {dim: size for d in inputs for axis, size in axes.items() if isinstance(dim := (d.dims or ())[axis], str)}
    model = set_dimensions(model, names)
    changed = []
    for declared in model.inputs:
        dims = list(declared.dims or ())
        if any(declared.name == d.name for d in inputs):
            for axis, size in axes.items():
                dims[axis] = size
        changed.append(replace(declared, dims=tuple(dims)) if declared.dims is not None else declared)
    if changed == list(model.inputs):
        return model
    draft = Draft(model, sizes)
    draft.inputs = changed
    return _followed(draft, sizes, what, batch=0 in axes)


def _with_dimension(model: UnboundModel, name: str, size: int) -> UnboundModel:
    free = sorted({str(n) for names in model.free_dimensions.values() for n in names})
    if name not in free:
        has = f"its free dimensions are {', '.join(free)}" if free else "none of its dimensions is free"
        raise TransformError(f"{model.source}: there is no free dimension '{name}'; {has}")
    inputs = [
        d if d.dims is None else replace(d, dims=tuple([size if dim == name else dim for dim in d.dims]))
        for d in model.inputs
    ]
    return replace(model, inputs=tuple(inputs))


def _followed(draft: Draft, sizes: InputSizes, what: str, batch: bool = False) -> UnboundModel:
    """The model of a draft with new inputs (rule 2)."""
    follow_sizes(draft, what, batch)
    return _bound(draft.finish(same_shapes=False), sizes, what)


def _bound(model: UnboundModel, sizes: InputSizes, what: str) -> UnboundModel:
    """The model with its outputs declared, if it takes the sizes."""
    try:
        types = bind_shapes(model, fitting_sizes(model, sizes)).types
    except ModelError as fault:
        raise TransformError(
            f"{model.source}: does not take {what}, for its file fixes the size elsewhere ({fault}); export it at "
            "that size, or with free dimensions"
        ) from fault
    return with_outputs(model, types)
