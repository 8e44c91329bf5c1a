"""Types of If, Loop and Scan, whose work is in nested graphs.

Rules:
1. An `If` whose condition is known is replaced by its branch before rules are applied (`nnmeter.graph.branches`). Of
   another, both branches are inferred; each output has the larger of the two types, and the graph has a warning.
2. The body of a `Loop` or `Scan` is inferred once. Its trip count is that of the input or of the scanned axis; where
   only the run decides it, it counts as 1. The graph has a warning.
3. What the nested graphs compute and move is written into the node's attributes (`NESTED_COST`), times the trip count.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.graph.cost import NESTED_COST, Cost, graph_cost
from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.graph.shape_rules.common import (
    Context,
    Inputs,
    Rule,
    ShapeError,
    UnknownShapeError,
    axis_of,
    present,
    table,
)
from nnmeter.graph.unbound import UnboundGraph
from nnmeter.limits import MAX_OPERATIONS


def _body(node: Node, name: str) -> UnboundGraph:
    body = node.attributes.get(name)
    if not isinstance(body, UnboundGraph):
        raise ShapeError(f"attribute {name} holds no graph")
    return body


def _infer(context: Context, body: UnboundGraph, inputs: Sequence[TensorType | None]) -> tuple[list[TensorType], Graph]:
    if context.infer_body is None:
        raise UnknownShapeError("its nested graph cannot be inferred here")
    return context.infer_body(body, inputs)


def _note_cost(node: Node, cost: Cost, trips: int) -> None:
    if max(cost) * trips > MAX_OPERATIONS:
        raise ShapeError(f"its repetitions come to more than {MAX_OPERATIONS:.0e} operations or bytes")
    node.attributes.update(zip(NESTED_COST, (number * trips for number in cost), strict=True))


def _if(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    types, graphs = zip(
        *(_infer(context, _body(node, name), ()) for name in ("then_branch", "else_branch")), strict=True
    )
    node.attributes = {**node.attributes, "then_branch": graphs[0], "else_branch": graphs[1]}
    _note_cost(node, max(map(graph_cost, graphs)), 1)
    context.bound(node, "the run decides which branch is taken; counted as the more expensive one")
    return [max(pair, key=lambda t: t.bytes) for pair in zip(*types, strict=True)]


def _trips(node: Node, context: Context) -> int | None:
    """Trip count of a Loop: its first input, unless the condition that enters is known to be false."""
    condition = context.value(node, 1)
    if condition is not None and not condition.any():
        return 0
    limit = context.value(node, 0)
    return None if limit is None else max(int(limit.item()), 0)


def _loop(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    carried = [present(inputs, position) for position in range(2, len(inputs))]
    outputs, graph = _infer(context, _body(node, "body"), [TensorType("int64", ()), TensorType("bool", ()), *carried])
    known = _trips(node, context)
    trips = 1 if known is None else known
    node.attributes = {**node.attributes, "body": graph}
    _note_cost(node, graph_cost(graph), trips)
    context.bound(
        node, "the run decides how often it repeats; counted once" if known is None else f"counted {trips} times"
    )
    final = outputs[1 : 1 + len(carried)]
    if any(a.shape != b.shape for a, b in zip(carried, final, strict=True)):
        context.bound(node, "a tensor that it carries changes its shape; counted with that after the first repetition")
    scanned = [TensorType(t.dtype, (trips, *t.shape)) for t in outputs[1 + len(carried) :]]
    return [*final, *scanned]


def _scan(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    if context.opsets.get("", 9) < 9:
        raise UnknownShapeError("Scan of opset 8 has another meaning")
    attributes = node.attributes
    scans = attributes["num_scan_inputs"]
    if not 0 < scans <= len(inputs):
        raise ShapeError(f"it scans {scans} of {len(inputs)} inputs")
    states = len(inputs) - scans
    axes = attributes.get("scan_input_axes") or (0,) * scans
    elements = []
    trips = 0
    for position in range(scans):
        x = present(inputs, states + position)
        axis = axis_of(axes[position], len(x.shape))
        trips = x.shape[axis]
        elements.append(TensorType(x.dtype, (*x.shape[:axis], *x.shape[axis + 1 :])))
    outputs, graph = _infer(context, _body(node, "body"), [*inputs[:states], *elements])
    node.attributes = {**attributes, "body": graph}
    _note_cost(node, graph_cost(graph), trips)
    context.bound(node, f"counted {trips} times")
    places = attributes.get("scan_output_axes") or (0,) * (len(outputs) - states)
    scanned = []
    for t, place in zip(outputs[states:], places, strict=True):
        axis = axis_of(place, len(t.shape) + 1)
        scanned.append(TensorType(t.dtype, (*t.shape[:axis], trips, *t.shape[axis:])))
    return [*outputs[:states], *scanned]


RULES: dict[str, Rule] = table(("If", _if), ("Loop", _loop), ("Scan", _scan))
