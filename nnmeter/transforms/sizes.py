"""Other sizes of inputs: of free dimensions, and of those that a file fixes.

1. A dimension that a file leaves free takes the size.
2. A batch that a file fixes is also written into shapes that its operators state (Reshape, Expand). It is followed
   through the operators, by the same relations by which channels are; each stated shape is brought to the new batch.
3. Of any other fixed size only the input is changed. Where the rest of the model fixes it too, binding says so: a
   classifier behind a Flatten, a table of positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import DeclaredType, UnboundModel
from nnmeter.transforms.channels.relations import Axis, Tie
from nnmeter.transforms.channels.rules import Shapes, speak
from nnmeter.transforms.draft import Draft, fitting_sizes, with_outputs
from nnmeter.transforms.faults import TransformError


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
    _follow(draft, {(d.name, 0): batch for d in with_batch})
    new = draft.finish(same_shapes=False)
    return _bound(new, sizes, f"a batch of {batch}")


def set_dimensions(model: UnboundModel, dims: Mapping[str, int]) -> UnboundModel:
    """The model with free dimensions fixed, by name.

    Raises:
        TransformError: it has no such dimension.
    """
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
    outputs = tuple([DeclaredType(d.name, d.dtype, None, d.container) for d in model.outputs])
    new = replace(model, inputs=tuple(changed), outputs=outputs, value_info=dict)
    return _bound(new, sizes, what)


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


def _bound(model: UnboundModel, sizes: InputSizes, what: str) -> UnboundModel:
    """The model with its outputs declared, if it takes the sizes."""
    try:
        types = bind_shapes(model, fitting_sizes(model, sizes)).types
    except ModelError as fault:
        raise TransformError(
            f"{model.source}: does not take {what}, for its file fixes the size elsewhere ({fault}); export it with "
            "free dimensions"
        ) from fault
    return with_outputs(model, types)


def _follow(draft: Draft, changed: dict[Axis, int]) -> None:
    """Bring every shape that an operator states to the new sizes (rule 2)."""
    shapes = Shapes(draft)
    for node in draft.nodes:
        if node.op_type in _RESHAPES and not node.domain:
            _follow_reshape(draft, node, shapes, changed)
            continue
        said = speak(node, shapes)
        for relation in said.relations if said is not None else ():
            if isinstance(relation, Tie):
                for here, there in ((relation.first, relation.second), (relation.second, relation.first)):
                    if here in changed and there[0] in node.outputs:
                        changed.setdefault(there, changed[here])
        if node.op_type == "Expand" and node.inputs[1] in draft.constants:
            _state(draft, node, {axis: size for (name, axis), size in changed.items() if name == node.outputs[0]})


_RESHAPES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})


def _follow_reshape(draft: Draft, node: Node, shapes: Shapes, changed: dict[Axis, int]) -> None:
    data, result = node.inputs[0], node.outputs[0]
    before, after = shapes[data], shapes[result]
    new: dict[int, int] = {}
    for axis, size in enumerate(before):
        if (data, axis) in changed and size:
            place = _place(prod(before[:axis]), after)
            grown = Fraction(changed[data, axis], size) * (after[place] if place is not None else 0)
            if place is None or grown.denominator != 1:
                raise TransformError(
                    f"{draft.source}: '{node.name}' ({node.op_type}) mixes the batch with other sizes; export the "
                    "model with a free batch"
                )
            new[place] = int(grown)
    changed.update({(result, place): size for place, size in new.items()})
    if node.op_type == "Reshape" and len(node.inputs) > 1 and node.inputs[1] in draft.constants:
        _state(draft, node, new)


def _place(before: int, shape: Sequence[int]) -> int | None:
    """The axis of a shape at which as many elements lie before as before an axis of another shape."""
    for axis in range(len(shape)):
        if prod(shape[:axis]) == before:
            return axis
    return next((axis for axis in range(len(shape)) if prod(shape[:axis]) <= before < prod(shape[: axis + 1])), None)


def _state(draft: Draft, node: Node, new: Mapping[int, int]) -> None:
    """Let an operator state other sizes in the constant that is its second input."""
    value = draft.known.get(node.inputs[1])
    if value is None or not new:
        return
    stated = [int(v) for v in value.ravel()]
    rank = len(draft.types[node.outputs[0]].shape)
    wanted = list(stated)
    for axis, size in new.items():
        place = axis - rank + len(stated)
        if place >= 0 and stated[place] > 0 and not (node.op_type == "Expand" and stated[place] == 1 == size):
            wanted[place] = size
    if wanted != stated:
        node.inputs = (node.inputs[0], draft.constant(f"{node.name}_shape", wanted, "int64"), *node.inputs[2:])
