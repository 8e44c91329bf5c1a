"""All that is known of the zeros of a model: from its weights forward, then back from its outputs."""

from __future__ import annotations

from typing import Any

from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.unbound import UnboundModel
from nnmeter.sparsity.backward import propagate_dead
from nnmeter.sparsity.forward import propagate_zeros
from nnmeter.sparsity.slices import Slices
from nnmeter.sparsity.weights import WeightZeros
from nnmeter.transforms.channels.rules import Shapes
from nnmeter.transforms.draft import Draft


def analyse(model: UnboundModel, weights: WeightZeros, sizes: InputSizes = AS_DECLARED) -> Slices:
    """The zero, constant and dead slices of all tensors of a model.

    Args:
        model: the model.
        weights: what is known of its constants.
        sizes: what the model leaves open.

    Raises:
        ModelError: dimensions remain free.
    """
    draft = Draft(model, sizes)
    values: dict[str, Any] = {**draft.known, **weights.values}
    known = Slices(
        {name: kind.shape for name, kind in draft.types.items()},
        weights.links,
        values,
        dict(weights.zero),
        dict(weights.constant),
    )
    shapes = Shapes(draft)
    for node in draft.nodes:
        if all(name in known.shapes for name in (*node.inputs, *node.outputs) if name):
            propagate_zeros(node, known, shapes)
    propagate_dead(draft.nodes, [declared.name for declared in draft.outputs], known, shapes)
    return known
