"""The matcher: finds a rule's pattern in a working graph and replaces it. It knows no device and no operator.

1. Rules are indexed by the kind of their anchor, so that a pass looks only at nodes where a rule could begin, and rules
   are set aside while the graph lacks a kind that they need. Most nodes are then refused at a glance, by the kinds of
   their neighbours or because an input is no constant.
2. From the anchor, each further pattern node is reached along a tensor that is bound already: the writer of an output,
   or each reader of an input in turn, up to `_MOST_READERS` of them. Input orders of commutative nodes are tried in
   turn. The first match is taken.
3. A condition is evaluated as soon as the names that it uses are bound.
4. What the replaced nodes compute must not be needed outside of the match, except what the replacement writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnmeter.errors import DeviceError, NnmeterError
from nnmeter.fusion.engine.expressions import Evaluate, Expression, compile_expression, names_in
from nnmeter.fusion.engine.match import Match
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.engine.rules import NewTensor, PatternNode, RewriteRule, Template
from nnmeter.graph.ir import DTYPE_BITS, TensorType
from nnmeter.graph.unbound import MAX_ELEMENTS, MAX_RANK

# What expressions and templates of a rule meet that does not fit their subject: rules are data, and may be wrong.
_FAULTS = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)


_MOST_READERS = 256  # of a tensor that thousands read, all would be tried for each of them


class _Step:
    """One pattern node, prepared: how it is reached, what it binds, and what can be checked then."""

    __slots__ = (
        "by_input", "by_output", "checks", "commutative", "id", "inputs", "kinds", "more_inputs", "more_outputs",
        "outputs", "slots",
    )  # fmt: skip

    def __init__(self, node: PatternNode, bound: set[str], checks: list[Evaluate], constants: frozenset[str]) -> None:
        self.id = node.id
        self.kinds = frozenset(node.op)
        self.more_inputs = node.inputs[-1:] == ("...",)
        self.more_outputs = node.outputs[-1:] == ("...",)
        self.inputs = [
            (name.rstrip("?"), name.endswith("?"), name in constants) for name in node.inputs if name != "..."
        ]
        self.outputs = [name for name in node.outputs if name != "..."]
        self.commutative = node.commutative
        self.checks = checks
        self.by_output = next((name for name in self.outputs if name in bound), None)
        self.by_input = next((name for name, _, _ in self.inputs if name in bound), None)
        # What binding asks of each input: the name to bind, if any; whether it may be absent; whether it is a constant.
        self.slots = [("" if name == "_" else name, optional, constant) for name, optional, constant in self.inputs]


class CompiledRule:
    """A rewrite rule, ready to be applied."""

    def __init__(self, rule: RewriteRule) -> None:
        self.name = rule.name
        self.rule = rule
        self.shared = frozenset(node.id for node in rule.match if node.shared)
        self.steps = _prepare_steps(rule.match, rule.where, _constants_of(rule), set())
        names = {name for node in rule.match for name in _names_of(node)}
        self.unless = [_prepare_steps(item.match, item.where, frozenset(), set(names)) for item in rule.unless]
        self.anchors = self.steps[0].kinds
        self.kinds = frozenset(kind for step in self.steps for kind in step.kinds)
        self.other_kinds = [tuple(step.kinds) for step in self.steps[1:]]
        self.glance = _prepare_glance(self.steps)
        self.written = frozenset(name.rstrip("?") for t in rule.replace for name in t.outputs) | frozenset(rule.forward)
        self.templates = [_CompiledTemplate(t, len(rule.replace) == 1) for t in rule.replace]
        self.new_tensors = [_CompiledTensor(t) for t in rule.tensors]

    def may_fit(self, graph: WorkingGraph) -> bool:
        """Whether the graph has nodes of the kinds that the pattern has besides its anchor."""
        by_kind = graph.by_kind
        for kinds in self.other_kinds:
            for kind in kinds:
                if by_kind.get(kind):
                    break
            else:
                return False
        return True

    def apply(self, graph: WorkingGraph, anchor: WorkNode) -> bool:
        """Replace the pattern at an anchor; False, and nothing changed, where it does not fit."""
        try:
            return self._apply(graph, anchor)
        except NnmeterError:
            raise
        except _FAULTS as fault:
            raise DeviceError(
                f"fusion rule '{self.name}' does not work on node '{anchor.name}' ({anchor.kind}): {fault!r}; "
                "restore the rules of the device pack"
            ) from fault

    def _apply(self, graph: WorkingGraph, anchor: WorkNode) -> bool:
        match = Match(graph, {}, {})
        if not _extend(self.steps, match, 0, anchor) or not self._is_closed(match):
            return False
        for steps in self.unless:
            if _continue(steps, Match(graph, dict(match.nodes), dict(match.tensors)), 0):
                return False
        return self._forward(match) if self.rule.forward else self._replace(match)

    def _is_closed(self, match: Match) -> bool:
        """Rule 4 of the module: nothing outside needs what the match takes away."""
        graph, tensors = match.graph, match.tensors
        written = {tensors[name] for name in self.written if name in tensors}
        inside = [node for key, node in match.nodes.items() if key not in self.shared]
        everyone = list(match.nodes.values())
        for node in inside:
            for tensor in node.outputs:
                if not tensor or tensor in written:
                    continue
                if tensor in graph.outputs:
                    return False
                for reader in graph.readers.get(tensor, ()):
                    if not any(reader is other for other in everyone):
                        return False
        return True

    def _forward(self, match: Match) -> bool:
        graph, tensors = match.graph, match.tensors
        pairs = [(tensors[old], tensors[new]) for old, new in self.rule.forward.items()]
        for old, new in pairs:
            if old in graph.outputs and not self._may_rename(graph, new):
                return False
        gone = [node for key, node in match.nodes.items() if key not in self.shared]
        kept = [node for key, node in match.nodes.items() if key in self.shared]
        for node in gone:
            graph.remove_node(node)
        for old, new in pairs:
            if old in graph.outputs:
                writer = graph.producer[new]
                graph.set_output(writer, writer.outputs.index(new), old)
                graph.redirect(new, old)
            else:
                graph.redirect(old, new)
                if new in graph.constants:
                    graph.constants.add(old)
        graph.prune(kept)
        return True

    def _may_rename(self, graph: WorkingGraph, new: str) -> bool:
        return self.rule.outputs and new in graph.producer and new not in graph.outputs

    def _replace(self, match: Match) -> bool:
        graph = match.graph
        for tensor in self.new_tensors:
            if not tensor.create(match):
                return False
        gone = [node for key, node in match.nodes.items() if key not in self.shared]
        kept = [node for key, node in match.nodes.items() if key in self.shared]
        plans = [template.plan(match) for template in self.templates]
        position = max(node.position for node in gone)
        gone.sort(key=lambda node: node.position)
        sources = tuple(source for node in gone for source in node.sources)
        feeders = [graph.producer[t] for node in gone for t in node.inputs if t in graph.producer]
        for node in gone:
            graph.remove_node(node)
        share = 1e-3
        for order, (template, (kind, inputs, outputs, attributes)) in enumerate(
            zip(self.templates, plans, strict=True)
        ):
            name = gone[-1].name if template.main else graph.fresh(kind)
            heirs = sources if template.main else ()
            graph.add_node(kind, name, inputs, outputs, attributes, position + order * share / len(plans), heirs)
        graph.prune([*kept, *(f for f in feeders if f.alive)])
        return True


def _extend(steps: list[_Step], match: Match, index: int, node: WorkNode) -> bool:
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
        if _bind(match, step, node, order):
            nodes[step.id] = node
            for check in step.checks:
                if not check(match):
                    break
            else:
                if _continue(steps, match, index + 1):
                    return True
            del nodes[step.id]
        while len(tensors) > bound:  # names are only ever added, so the last ones are those of this step
            tensors.popitem()
    return False


def _bind(match: Match, step: _Step, node: WorkNode, inputs: list[str]) -> bool:
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
        if not tensor or tensors.setdefault(name, tensor) != tensor:
            return False
    return True


def _continue(steps: list[_Step], match: Match, index: int) -> bool:
    if index == len(steps):
        return True
    step = steps[index]
    graph = match.graph
    if step.by_output is not None:
        writer = graph.producer.get(match.tensors[step.by_output])
        return writer is not None and _extend(steps, match, index, writer)
    assert step.by_input is not None  # the loader checked that every pattern node is connected
    reading: Sequence[WorkNode] = graph.readers.get(match.tensors[step.by_input], ())
    if len(reading) > _MOST_READERS:
        reading = reading[:_MOST_READERS]
        graph.spend(_MOST_READERS >> 3)
    for reader in reading:  # noqa: SIM110 - as in rewriting.py
        if _extend(steps, match, index, reader):
            return True
    return False


class _CompiledTemplate:
    def __init__(self, template: Template, only: bool) -> None:
        self.template = template
        self.main = template.main or only
        self.op = compile_expression(template.op)
        self.settings = {key: compile_expression(value) for key, value in template.attributes_set.items()}

    def plan(self, match: Match) -> tuple[str, list[str], list[str], dict[str, Any]]:
        """Kind, inputs, outputs and attributes of the node to create."""
        template, tensors = self.template, match.tensors
        inputs = [tensors.get(name.rstrip("?"), "") for name in template.inputs]
        while inputs and not inputs[-1]:
            inputs.pop()
        outputs = [tensors.get(name.rstrip("?"), "") for name in template.outputs]
        attributes: dict[str, Any] = {}
        if template.attributes_from:
            attributes.update(match.nodes[template.attributes_from].attributes)
            for key in template.attributes_drop:
                attributes.pop(key, None)
        for key, evaluate in self.settings.items():
            attributes[key] = evaluate(match)
        return self.op(match), inputs, outputs, attributes


class _CompiledTensor:
    def __init__(self, tensor: NewTensor) -> None:
        self.tensor = tensor
        self.dtype = compile_expression(tensor.dtype)
        self.shape = compile_expression(tensor.shape)
        self.value = compile_expression(tensor.value)

    def create(self, match: Match) -> bool:
        """Add the tensor to the graph and bind its name; False where its type is not known."""
        graph, spec = match.graph, self.tensor
        if spec.value is not None:
            value = self.value(match)
            if value is None:
                return False
            dtype = self.dtype(match) or "int64"
            if dtype not in DTYPE_BITS:
                raise ValueError(f"the new tensor '{spec.name}' is of an unknown type")
            match.tensors[spec.name] = graph.add_constant(spec.name, np.asarray(value), dtype)
            return True
        if spec.like:
            kind = graph.types[match.tensors[spec.like]]
        else:
            dtype, shape = self.dtype(match), self.shape(match)
            if dtype is None or shape is None or None in shape:
                return False
            kind = TensorType(dtype, tuple(int(size) for size in shape))
            if dtype not in DTYPE_BITS or len(kind.shape) > MAX_RANK or min(kind.shape, default=0) < 0:
                raise ValueError(f"the new tensor '{spec.name}' is impossible")
            if kind.elements > MAX_ELEMENTS:
                return False
        if spec.constant:
            match.tensors[spec.name] = graph.add_weight(spec.name, kind)
        else:
            name = match.tensors[spec.name] = graph.fresh(spec.name)
            graph.types[name] = kind
        return True


_Glance = Callable[[WorkingGraph, WorkNode], bool]
_IMPLY_CONSTANT = frozenset({"constant", "known", "value", "scalar", "filled"})


def _prepare_glance(steps: list[_Step]) -> _Glance:
    """A cheap necessary condition on an anchor: an input that is a constant, a neighbour of the right kind."""
    anchor = steps[0]
    names = [name for name, _, _ in anchor.inputs]
    swaps = anchor.commutative and len(names) == 2
    tests: list[_Glance] = []
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


def _glance_constant(positions: list[int]) -> _Glance:
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


def _glance_writer(positions: list[int], kinds: frozenset[str]) -> _Glance:
    def test(graph: WorkingGraph, node: WorkNode) -> bool:
        inputs, producer = node.inputs, graph.producer
        for position in positions:
            if position < len(inputs):
                writer = producer.get(inputs[position])
                if writer is not None and writer.kind in kinds:
                    return True
        return False

    return test


def _glance_reader(position: int, kinds: frozenset[str]) -> _Glance:
    def test(graph: WorkingGraph, node: WorkNode) -> bool:
        if position < len(node.outputs):
            for reader in graph.readers.get(node.outputs[position], ()):
                if reader.kind in kinds:
                    return True
        return False

    return test


def _constants_of(rule: RewriteRule) -> frozenset[str]:
    """The tensors that a rule's conditions require to be constants, as far as their form shows."""
    found: set[str] = set()
    for expression in rule.where:
        if not isinstance(expression, (list, tuple)):
            continue
        subjects = [expression] if expression[0] in _IMPLY_CONSTANT else []
        if expression[0] in ("eq", "near", "in", "lt", "le", "gt", "ge", "all_equal"):
            subjects = [part for part in expression[1:2] if isinstance(part, (list, tuple)) and part]
        found.update(part[1] for part in subjects if part[0] in _IMPLY_CONSTANT and isinstance(part[1], str))
    return frozenset(found)


def _names_of(node: PatternNode) -> set[str]:
    return {name.rstrip("?") for name in (*node.inputs, *node.outputs)} | {node.id}


def _prepare_steps(
    nodes: Sequence[PatternNode], where: Sequence[Expression], constants: frozenset[str], bound: set[str]
) -> list[_Step]:
    waiting = [(names_in(expression), compile_expression(expression)) for expression in where]
    steps: list[_Step] = []
    for index, node in enumerate(nodes):
        reached = set(bound)
        bound |= _names_of(node)
        last = index == len(nodes) - 1
        ready = [check for names, check in waiting if last or names <= bound]
        waiting = [] if last else [(names, check) for names, check in waiting if not names <= bound]
        steps.append(_Step(node, reached, ready, constants))
    return steps


class RuleIndex:
    """The rules of one rewrite pass by the kinds of their anchors."""

    def __init__(self, rules: Sequence[RewriteRule]) -> None:
        self.by_anchor: dict[str, list[CompiledRule]] = {}
        for rule in rules:
            compiled = CompiledRule(rule)
            for kind in compiled.anchors:
                self.by_anchor.setdefault(kind, []).append(compiled)
        self.kinds = frozenset(kind for rules in self.by_anchor.values() for rule in rules for kind in rule.kinds)

    def apply(self, graph: WorkingGraph) -> bool:
        """Visit the nodes in order, apply at each the first rule that fits; whether any did."""
        changed = False
        by_anchor = self.by_anchor
        possible: dict[str, list[CompiledRule]] = {}
        for node in graph.of_kinds(by_anchor):
            if not node.alive:
                continue
            rules = possible.get(node.kind)
            if rules is None:
                rules = possible[node.kind] = [rule for rule in by_anchor[node.kind] if rule.may_fit(graph)]
            for rule in rules:
                if rule.glance(graph, node) and rule.apply(graph, node):
                    changed = True
                    possible = {}  # what replaced the nodes may be of a kind that was not there
                    break
        return changed
