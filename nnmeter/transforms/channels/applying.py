"""The model in which axes have other indices: its weights, what states sizes, and the check that all came out so."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.graph.ir import TensorType
from nnmeter.graph.unbound import MAX_KNOWN_ELEMENTS, UnboundModel
from nnmeter.transforms.channels.relations import Resizing
from nnmeter.transforms.channels.rewriting import rewrite_sizes
from nnmeter.transforms.draft import Draft, fitting_sizes, with_outputs
from nnmeter.transforms.faults import TransformError


def apply_resizing(
    model: UnboundModel, sizes: InputSizes, change: Resizing, refusal: Callable[[str], TransformError]
) -> UnboundModel:
    """The model in which the indices of axes are what a change says.

    Args:
        model: the model; it is not changed.
        sizes: what it leaves open.
        change: what becomes of the indices of its axes.
        refusal: makes an error of a reason.

    Raises:
        TransformError: a shape in the model is fixed.
    """
    draft = Draft(model, sizes)
    expected = {name: _shape(change, name, kind.shape) for name, kind in draft.types.items()}
    for name in list(draft.constants):
        before = draft.constants[name]
        after = expected.get(name, before.shape)
        if after != before.shape:
            draft.constants[name] = TensorType(before.dtype, after)
            if name in draft.values:
                value = draft.values.pop(name)
                for axis in range(value.ndim):
                    value = np.repeat(value, change.counts((name, axis)), axis)
                if value.size <= MAX_KNOWN_ELEMENTS:
                    draft.values[name] = value
    rewrite_sizes(draft, change, expected)
    new = draft.finish(same_shapes=False)
    return with_outputs(new, _check(new, sizes, expected, refusal))


def _shape(change: Resizing, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(change.size((name, axis)) if (name, axis) in change.known else n for axis, n in enumerate(shape))


def _check(
    model: UnboundModel,
    sizes: InputSizes,
    expected: dict[str, tuple[int, ...]],
    refusal: Callable[[str], TransformError],
) -> Mapping[str, TensorType]:
    """The types of the new model, whose tensors must have the shapes that the relations give."""
    try:
        bound = bind_shapes(model, fitting_sizes(model, sizes))
    except ModelError as fault:
        raise refusal(f"a shape in the model is fixed ({fault})") from fault
    for node in bound.nodes:
        for name in node.outputs:
            if name in expected and bound.types[name].shape != expected[name]:
                raise refusal(f"'{node.name}' ({node.op_type}) keeps a shape that the file fixes")
    return bound.types
