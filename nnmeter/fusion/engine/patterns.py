"""Patterns, compiled: in which order their nodes are reached, what each binds, and what can be checked then.

1. From the anchor, each further pattern node is reached along a tensor that is bound already.
2. A condition is evaluated as soon as the names that it uses are bound.
3. At a glance, most anchors can be refused: by the kinds of their neighbours or because an input is no constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nnmeter.fusion.engine.expressions import Evaluate, Expression, compile_checked, names_in
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.engine.rules import PatternNode, RewriteRule

Condition = tuple[Expression, Evaluate]


class Step:
    """One pattern node, prepared: how it is reached, what it binds, and what can be checked then."""

    __slots__ = (
        "by_input", "by_output", "checks", "commutative", "conditions", "id", "inputs", "kinds", "more_inputs",
        "more_outputs", "outputs", "slots",
    )  # fmt: skip

    def __init__(
        self, node: PatternNode, bound: set[str], conditions: list[Condition], constants: frozenset[str]
    ) -> None:
        self.id = node.id
        self.kinds = frozenset(node.op)
        self.more_inputs = node.inputs[-1:] == ("...",)
        self.more_outputs = node.outputs[-1:] == ("...",)
        self.inputs = [
            (name.rstrip("?"), name.endswith("?"), name in constants) for name in node.inputs if name != "..."
        ]
        self.outputs = ["" if name == "_" else name for name in node.outputs if name != "..."]
        self.commutative = node.commutative
        self.conditions = [expression for expression, _ in conditions]
        self.checks = [check for _, check in conditions]
        self.by_output = next((name for name in self.outputs if name in bound), None)
        self.by_input = next((name for name, _, _ in self.inputs if name in bound), None)
        # What binding asks of each input: the name to bind, if any; whether it may be absent; whether it is a constant.
        self.slots = [("" if name == "_" else name, optional, constant) for name, optional, constant in self.inputs]


def constants_of(rule: RewriteRule) -> frozenset[str]:
    """The tensors that a rule's conditions require to be constants, as far as their form shows."""
    found: set[str] = set()
    for expression in rule.where:
        if not isinstance(expression, (list, tuple)) or not expression:
            continue
        subjects = [expression] if expression[0] in _IMPLY_CONSTANT else []
        if expression[0] in ("eq", "near", "in", "lt", "le", "gt", "ge", "all_equal"):
            subjects = [part for part in expression[1:2] if isinstance(part, (list, tuple)) and part]
        found.update(part[1] for part in subjects if part[0] in _IMPLY_CONSTANT and isinstance(part[1], str))
    return frozenset(found)


def names_of(node: PatternNode) -> set[str]:
    """The names that a pattern node binds: its own, and those of its tensors."""
    return ({name.rstrip("?") for name in (*node.inputs, *node.outputs)} - {"_", "..."}) | {node.id}


def prepare_steps(
    nodes: Sequence[PatternNode], where: Sequence[Expression], constants: frozenset[str], bound: set[str]
) -> list[Step]:
    """The pattern nodes in order, each with the conditions whose names are bound once it is."""
    waiting = [(names_in(expression), (expression, compile_checked(expression))) for expression in where]
    steps: list[Step] = []
    for index, node in enumerate(nodes):
        reached = set(bound)
        bound |= names_of(node)
        last = index == len(nodes) - 1
        ready = [check for names, check in waiting if last or names <= bound]
        waiting = [] if last else [(names, check) for names, check in waiting if not names <= bound]
        steps.append(Step(node, reached, ready, constants))
    return steps


Glance = Callable[[WorkingGraph, WorkNode], bool]
_IMPLY_CONSTANT = frozenset({"constant", "known", "value", "scalar", "filled"})


def prepare_glance(steps: list[Step]) -> Glance:
    """A cheap necessary condition on an anchor: an input that is a constant, a neighbour of the right kind."""
    anchor = steps[0]
    names = [name for name, _, _ in anchor.inputs]
    swaps = anchor.commutative and len(names) == 2
    tests: list[Glance] = []
    for position, (_, optional, constant) in enumerate(anchor.inputs):
        if constant and not optional:
            tests.append(_glance_constant([0, 1] if swaps else [position]))
    if len(steps) > 1:
        second = steps[1]
        if second.by_output in names:
            tests.append(_glance_writer([0, 1] if swaps else [names.index(second.by_output)], second.kinds))
        elif second.by_input in anchor.outputs:
            tests.append(_glance_reader(anchor.outputs.index(second.by_input), second.kinds))
    if not tests:
        return lambda graph, node: True
    if len(tests) == 1:
        return tests[0]
    first, second_test = tests[0], tests[1]
    return lambda graph, node: first(graph, node) and second_test(graph, node)


def _glance_constant(positions: list[int]) -> Glance:
    if len(positions) == 1:
        only = positions[0]
        return lambda graph, node: only < len(node.inputs) and node.inputs[only] in graph.constants

    def test(graph: WorkingGraph, node: WorkNode) -> bool:
        inputs, constants = node.inputs, graph.constants
        for position in positions:  # noqa: SIM110 - a loop takes half the time of a generator here
            if position < len(inputs) and inputs[position] in constants:
                return True
        return False

    return test


def _glance_writer(positions: list[int], kinds: frozenset[str]) -> Glance:
    def test(graph: WorkingGraph, node: WorkNode) -> bool:
        inputs, producer = node.inputs, graph.producer
        for position in positions:
            if position < len(inputs):
                writer = producer.get(inputs[position])
                if writer is not None and writer.kind in kinds:
                    return True
        return False

    return test


def _glance_reader(position: int, kinds: frozenset[str]) -> Glance:
    def test(graph: WorkingGraph, node: WorkNode) -> bool:
        if position < len(node.outputs):
            for reader in graph.readers.get(node.outputs[position], ()):
                if reader.kind in kinds:
                    return True
        return False

    return test
