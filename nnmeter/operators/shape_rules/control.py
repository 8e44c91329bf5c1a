"""Types of If, Loop, Scan and SequenceMap, whose work is in nested graphs.

Rules:
1. An `If` whose condition is known is replaced by its branch before rules are applied (`nnmeter.binding.branches`). Of
   another, both branches are inferred; each output has the larger of the two types, the dearer branch counts, and the
   graph has a warning.
2. The body of a `Loop`, `Scan` or `SequenceMap` costs its own cost times the trip count. That of a Scan is the length
   of the scanned axis, that of a SequenceMap the length of the sequence.
3. That of a `Loop` is the first of these that is known: what the user gave for it (`--trips NODE=N`); its limit, if
   nothing can end it before; the size that the file declares for a tensor it collects; its limit as a bound, up to
   `_LARGEST_BOUND`; else 1. The graph has a warning that says which.
4. Where a tensor that a Loop carries has another shape after the first repetition, the body is inferred again with
   that. If nothing changes then, all further repetitions cost what the second did. If all grow by the same again, the
   body is inferred for the last repetition, and half of them count as the second and half as the last, and one more as
   that in the middle where their number is odd, which is exact where cost is linear in size. Else all count like the
   second, and there is a warning.
5. The nested graphs and how often each runs are written into the node's attributes (`NESTED_GRAPHS`), and what they
   compute and move together (`NESTED_COST`).
6. A branch that cannot run on the shapes at hand, as that of a network for another sample rate, is not taken: the other
   one counts, with a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nnmeter.errors import ModelError
from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.graph.unbound import UnboundGraph
from nnmeter.limits import MAX_OPERATIONS
from nnmeter.operators.cost import NESTED_COST, NESTED_GRAPHS, graph_cost
from nnmeter.operators.shape_rules.common import (
    Body,
    BodyLimitError,
    Context,
    Elements,
    Inputs,
    Rule,
    ShapeError,
    UnknownShapeError,
    axis_of,
    present,
    table,
)

_LARGEST_BOUND = 4096
_MAX_PARTS = 1_000_000


def _graph(node: Node, name: str) -> UnboundGraph:
    body = node.attributes.get(name)
    if not isinstance(body, UnboundGraph):
        raise ShapeError(f"attribute {name} holds no graph")
    return body


def _infer(
    context: Context, body: UnboundGraph, inputs: Sequence[TensorType | None], elements: Sequence[Elements] = ()
) -> Body:
    if context.infer_body is None:
        raise UnknownShapeError("its nested graph cannot be inferred here")
    return context.infer_body(body, inputs, elements)


def _keep(node: Node, runs: Sequence[tuple[Graph, int]], **bodies: Graph) -> None:
    """Write rule 5 into a node, its graphs bound."""
    costs = [[number * times for number in graph_cost(graph)] for graph, times in runs] or [[0, 0, 0]]
    total = [sum(numbers) for numbers in zip(*costs, strict=True)]
    if max(total) > MAX_OPERATIONS:
        raise ShapeError(f"its repetitions come to more than {MAX_OPERATIONS:.0e} operations or bytes")
    node.attributes = {
        **node.attributes,
        **bodies,
        **dict(zip(NESTED_COST, total, strict=True)),
        NESTED_GRAPHS: tuple([(graph, times) for graph, times in runs if times]),
    }


def _remember(node: Node, context: Context, position: int, elements: Elements) -> None:
    if elements is not None and position < len(node.outputs) and node.outputs[position]:
        context.sequences[node.outputs[position]] = elements


def _flat(elements: list[TensorType], like: TensorType) -> TensorType:
    return TensorType(elements[0].dtype if elements else like.dtype, (sum(t.elements for t in elements),))


def _branches(node: Node, context: Context) -> list[Body]:
    """Both branches; one that cannot run on the shapes at hand stands aside for the other (rule 6)."""
    found: list[Body] = []
    fault: ModelError | None = None
    for name in ("then_branch", "else_branch"):
        try:
            found.append(_infer(context, _graph(node, name), ()))
        except BodyLimitError:
            raise
        except ModelError as reason:
            fault, stranger = reason, name
    if fault is None:
        return found
    if not found:
        raise fault
    context.note(node, f"its {stranger} cannot run on these shapes and is left out ({fault})")
    return found * 2


def _if(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    bodies = _branches(node, context)
    if len(bodies[0].outputs) != len(bodies[1].outputs):
        raise ShapeError("its branches have different numbers of outputs")
    then, other = bodies[0].graph, bodies[1].graph
    dearer = then if graph_cost(then) >= graph_cost(other) else other
    _keep(node, [(dearer, 1)], then_branch=then, else_branch=other)
    alike = bodies[0].outputs == bodies[1].outputs
    if bodies[0] is not bodies[1]:
        (context.note if alike else context.bound)(
            node, "the run decides which branch is taken; counted as the more expensive one"
        )
    outputs = []
    for position, pair in enumerate(zip(*(body.outputs for body in bodies), strict=True)):
        larger = 0 if pair[0].bytes >= pair[1].bytes else 1
        outputs.append(pair[larger])
        _remember(node, context, position, bodies[larger].elements[position])
    return outputs


def _ends_early(node: Node, context: Context, body: UnboundGraph) -> bool:
    """Whether the body computes the condition anew; if not, it goes on as it began."""
    if not body.outputs or len(body.inputs) < 2:
        return False
    passed = {body.inputs[1].name: True}
    for inner in body.nodes:
        if inner.op_type == "Identity" and inner.inputs and inner.inputs[0] in passed:
            passed[inner.outputs[0]] = True
    condition = body.outputs[0].name
    value = body.values.get(condition)
    return not (condition in passed or (value is not None and bool(value.any())))


def _trips(node: Node, context: Context, body: UnboundGraph, carried: int) -> tuple[int, str, bool]:
    """Trip count of a Loop by rule 3, what the warning says of it, and whether the data may decide another."""
    condition = context.value(node, 1)
    if condition is not None and not condition.any():
        return 0, "never runs; counted as nothing", False
    given = context.trips.get(node.name)
    if given is not None:
        context.asked.add(node.name)
        return max(given, 0), f"counted {given} times, as given", False
    value = context.value(node, 0)
    limit = None if value is None else max(int(value.item()), 0)
    early = _ends_early(node, context, body)
    if limit is not None and not early:
        return limit, f"counted {limit} times", False
    for name in node.outputs[carried:]:
        collected = context.declared(name) if name else None
        if collected is not None and collected.shape:
            size = collected.shape[0]
            return size, f"counted {size} times, because the file declares that for '{name}'", False
    give = f"give the number with --trips {node.name}=N"
    if limit is not None and limit <= _LARGEST_BOUND:
        return limit, f"the run decides how often it repeats, at most {limit} times; counted as these; {give}", True
    return 1, f"the run decides how often it repeats; counted once; {give}", True


def _more(before: Elements, after: Elements, trips: int) -> Elements:
    """The elements of a carried sequence after some repetitions (rule 4)."""
    if before is None or after is None:
        return after
    change = len(after) - len(before)
    if change <= 0:
        return after[: max(len(before) + change * trips, 0)]
    if change * trips > _MAX_PARTS:
        raise ShapeError(f"it would make {change * trips} tensors")
    return [*before, *after[len(before) :] * trips]


def _loop(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    body = _graph(node, "body")
    carried = [present(inputs, position) for position in range(2, len(inputs))]
    start = _Carried(carried, [context.sequences.get(name) for name in node.inputs[2:]])
    trips, warning, open_ended = _trips(node, context, body, len(carried))
    first = start.after(context, body)
    final = _Carried.of(first, len(carried))
    runs, last, irregular = [(first.graph, trips)], first, False
    if trips > 1 and not final.fits(start):
        second = final.after(context, body)
        later = _Carried.of(second, len(carried))
        runs, last = [(first.graph, 1), (second.graph, trips - 1)], second
        if not later.fits(final):
            before_last = start.grown(final, later, trips - 1)
            try:
                if before_last is None:
                    raise ShapeError("it does not grow by the same")
                last = before_last.after(context, body)
                later = _Carried.of(last, len(carried))
                half = (trips - 1) // 2
                runs = [(first.graph, 1), (second.graph, half), (last.graph, half)]
                if trips - 1 > 2 * half:
                    middle = start.grown(final, _Carried.of(second, len(carried)), trips // 2)
                    runs.append(((second if middle is None else middle.after(context, body)).graph, 1))
            except BodyLimitError:
                raise
            except (ModelError, ShapeError, UnknownShapeError):
                irregular = True
        final = later
    if trips == 0:
        final = start
    _keep(node, runs, body=first.graph)
    scanned = [TensorType(t.dtype, (trips, *t.shape)) for t in last.outputs[1 + len(carried) :]]
    (context.bound if open_ended and (scanned or trips > 1) else context.note)(node, warning)
    if irregular:
        context.bound(
            node, "a tensor that it carries changes its shape irregularly; counted as in the second repetition"
        )
    for position, found in enumerate(final.elements):
        _remember(node, context, position, found)
    return [*final.types, *scanned]


@dataclass(frozen=True, slots=True)
class _Carried:
    """What a Loop carries from one repetition to the next: types, and the elements of those that are sequences."""

    types: Sequence[TensorType]
    elements: Sequence[Elements]

    @classmethod
    def of(cls, body: Body, count: int) -> _Carried:
        if len(body.outputs) < 1 + count:
            raise ShapeError(f"it carries {count} tensors, its body returns {len(body.outputs) - 1}")
        return cls(body.outputs[1 : 1 + count], body.elements[1 : 1 + count])

    def after(self, context: Context, body: UnboundGraph) -> Body:
        """The body, inferred with this."""
        counters = [TensorType("int64", ()), TensorType("bool", ())]
        return _infer(context, body, [*counters, *self.types], [None, None, *self.elements])

    def fits(self, before: _Carried) -> bool:
        """Whether nothing changed; a sequence of more equal elements is another one."""
        return all(a.shape == b.shape for a, b in zip(before.types, self.types, strict=True)) and list(
            before.elements
        ) == list(self.elements)

    def grown(self, second: _Carried, third: _Carried, trips: int) -> _Carried | None:
        """What is carried after some repetitions, if it grows by the same each time (rule 4)."""
        types, elements = [], []
        for a, b, c in zip(self.types, second.types, third.types, strict=True):
            if not len(a.shape) == len(b.shape) == len(c.shape):
                return None
            steps = [y - x for x, y in zip(a.shape, b.shape, strict=True)]
            if steps != [z - y for y, z in zip(b.shape, c.shape, strict=True)]:
                return None
            sizes = [x + step * trips for x, step in zip(a.shape, steps, strict=True)]
            if sizes and min(sizes) < 0:
                return None
            types.append(TensorType(c.dtype, tuple(sizes)))
        for before, after in zip(self.elements, second.elements, strict=True):
            elements.append(_more(before, after, trips))
        flat = [t if e is None else _flat(e, t) for t, e in zip(types, elements, strict=True)]
        return _Carried(flat, elements)


def _scan(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    attributes = node.attributes
    scans = attributes["num_scan_inputs"]
    old = context.opsets.get("", 9) < 9  # sequence lengths come first, every tensor has the batch in front
    if old:
        inputs = inputs[1:]
    if not 0 < scans <= len(inputs):
        raise ShapeError(f"it scans {scans} of {len(inputs)} inputs")
    states = len(inputs) - scans
    batch = present(inputs, states).shape[:1] if old else ()
    axes = attributes.get("scan_input_axes") or (0,) * scans
    if len(axes) != scans:
        raise ShapeError(f"it names {len(axes)} axes for the {scans} inputs that it scans")
    elements = []
    trips = 0
    for position in range(scans):
        x = present(inputs, states + position)
        own = x.shape[len(batch) :]
        axis = axis_of(axes[position], len(own))
        trips = own[axis]
        elements.append(TensorType(x.dtype, (*own[:axis], *own[axis + 1 :])))
    carried = [present(inputs, position) for position in range(states)]
    body = _infer(
        context,
        _graph(node, "body"),
        [*(TensorType(t.dtype, t.shape[len(batch) :]) for t in carried), *elements],
    )
    _keep(node, [(body.graph, trips * (batch[0] if batch else 1))], body=body.graph)
    context.note(node, f"counted {trips} times")
    collected = len(body.outputs) - states
    places = attributes.get("scan_output_axes") or (0,) * collected
    if collected < 0 or len(places) != collected:
        raise ShapeError(
            f"its nested graph returns {len(body.outputs)} tensors, which do not fit {states} that it carries and "
            f"{len(places)} that it collects"
        )
    scanned = []
    for t, place in zip(body.outputs[states:], places, strict=True):
        axis = axis_of(place, len(t.shape) + 1)
        scanned.append(TensorType(t.dtype, (*batch, *t.shape[:axis], trips, *t.shape[axis:])))
    return [*(TensorType(t.dtype, batch + t.shape) for t in body.outputs[:states]), *scanned]


def _sequence_map(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """The first input is a sequence; each other is one of the same length, or a tensor that every step reads."""
    parts = [context.sequences.get(name) for name in node.inputs]
    first = parts[0]
    if first is None:
        raise UnknownShapeError(f"the elements of the sequence '{node.inputs[0]}' are not known")
    steps: dict[tuple[TensorType, ...], tuple[Body, int]] = {}
    order = []
    for step in range(len(first)):
        kinds = tuple(
            [present(inputs, i) if e is None else e[min(step, len(e) - 1)] for i, e in enumerate(parts) if e != []]
        )
        if kinds not in steps:
            steps[kinds] = (_infer(context, _graph(node, "body"), kinds), 0)
        steps[kinds] = (steps[kinds][0], steps[kinds][1] + 1)
        order.append(kinds)
    node.attributes = {k: v for k, v in node.attributes.items() if k != "body"}
    _keep(node, [(body.graph, count) for body, count in steps.values()])
    context.note(node, f"counted {len(first)} times")
    outputs = []
    for position in range(len(node.outputs)):
        made = [steps[kinds][0].outputs[position] for kinds in order]
        _remember(node, context, position, made)
        outputs.append(_flat(made, present(inputs, 0)))
    return outputs


RULES: dict[str, Rule] = table(("If", _if), ("Loop", _loop), ("Scan", _scan), ("SequenceMap", _sequence_map))
