"""The matcher: finds a compiled pattern in a working graph. It knows no device and no operator.

From the anchor, each further pattern node is reached along a tensor that is bound: the writer of an output, or each
reader of an input in turn, up to `MOST_READERS` of them. Input orders of commutative nodes are tried in turn. The first
match is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.fusion.engine.functions import Match
from nnmeter.fusion.engine.patterns import Step
from nnmeter.fusion.engine.rewriting import WorkNode

MOST_READERS = 256  # of a tensor that thousands read, all would be tried for each of them


def extend(steps: list[Step], match: Match, index: int, node: WorkNode) -> bool:
    """Bind a node to a step, and from there all later steps; leaves no trace where that fails."""
    step = steps[index]
    if node.kind not in step.kinds:
        return False
    match.graph.spend(1)
    nodes, tensors = match.nodes, match.tensors
    for other in nodes.values():
        if node is other:
            return False
    inputs = node.inputs
    orders: Sequence[list[str]] = (inputs,)
    if step.commutative and len(inputs) == 2:
        orders = (inputs, inputs[::-1])
    bound = len(tensors)
    for order in orders:
        if bind(match, step, node, order):
            nodes[step.id] = node
            for check in step.checks:
                if not check(match):
                    break
            else:
                if search_from(steps, match, index + 1):
                    return True
            del nodes[step.id]
        while len(tensors) > bound:  # names are only ever added, so the last ones are those of this step
            tensors.popitem()
    return False


def bind(match: Match, step: Step, node: WorkNode, inputs: list[str]) -> bool:
    """Bind the tensors of a node to the names of a step; where that fails, some may stay bound."""
    tensors = match.tensors
    slots = step.slots
    extra = len(inputs) - len(slots)
    if extra > 0 and not step.more_inputs and any(inputs[len(slots) :]):
        return False
    constants = match.graph.constants
    for (name, optional, constant), tensor in zip(
        slots, inputs if extra >= 0 else inputs + [""] * -extra, strict=False
    ):
        if (not tensor and not optional) or (constant and tensor not in constants):
            return False
        if name and tensors.setdefault(name, tensor) != tensor:
            return False
    names, outputs = step.outputs, node.outputs
    extra = len(outputs) - len(names)
    if extra < 0 or (extra > 0 and not step.more_outputs and any(outputs[len(names) :])):
        return False
    for name, tensor in zip(names, outputs, strict=False):
        if not tensor or (name and tensors.setdefault(name, tensor) != tensor):
            return False
    return True


def search_from(steps: list[Step], match: Match, index: int) -> bool:
    """Bind all steps from one on, the first of which is reached along what is bound."""
    if index == len(steps):
        return True
    step = steps[index]
    graph = match.graph
    if step.by_output is not None:
        writer = graph.producer.get(match.tensors[step.by_output])
        return writer is not None and extend(steps, match, index, writer)
    assert step.by_input is not None  # the loader checked that every pattern node is connected
    reading: Sequence[WorkNode] = graph.readers.get(match.tensors[step.by_input], ())
    if len(reading) > MOST_READERS:
        reading = reading[:MOST_READERS]
        graph.spend(MOST_READERS >> 3)
    for reader in reading:  # noqa: SIM110 - as in rewriting.py
        if extend(steps, match, index, reader):
            return True
    return False
