"""Why a rule does not fit at a node: the matcher once more, slowly, keeping what went furthest.

1. The search is that of `matcher`. Where it fails, the place is noted: the pattern node that was looked for and what
   stands there instead, or the condition that does not hold, with its values. The attempt that got furthest counts.
2. Where the pattern is there, the rest is asked in the order of `rewrites`: whether what goes away is needed outside,
   whether an `unless` forbids, whether what is to be made can be.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.fusion.engine.expressions import names_in
from nnmeter.fusion.engine.functions import Match
from nnmeter.fusion.engine.matcher import MOST_READERS, bind, search_from
from nnmeter.fusion.engine.patterns import Step
from nnmeter.fusion.engine.rewrites import CompiledRule
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.engine.wording import condition_on

_MOST_NAMED = 4


def why_not(rule: CompiledRule, graph: WorkingGraph, anchor: WorkNode) -> str:
    """Why a rule that was just tried at an anchor did not apply, in a few words (rules 1 and 2)."""
    search = _Search()
    match = Match(graph)
    if not search.extend(rule.steps, match, 0, anchor):
        return search.reason
    if not rule.is_closed(match):
        return _needed_outside(rule, match)
    for steps in rule.unless:
        around = Match(graph, dict(match.nodes), dict(match.tensors))
        if search_from(steps, around, 0):
            found = [node_text(node) for key, node in around.nodes.items() if key not in match.nodes]
            conditions = [condition_on(c, around) for step in steps for c in step.conditions]
            return f"forbidden by unless: {', '.join([*found, *conditions])}"
    if rule.rule.forward:
        return "the graph returns what would go away, and its name cannot be taken over"
    return "the type of a tensor that the rule would make is not known"


def node_text(node: WorkNode) -> str:
    """A node as a trace names it."""
    return f"{node.kind} '{node.name}'"


class _Search:
    """One search; `reason` is why it failed where it got furthest."""

    def __init__(self) -> None:
        self.reason = ""
        self._reached = (-1, -1)

    def _note(self, index: int, place: int, reason: str) -> None:
        if (index, place) > self._reached:
            self._reached, self.reason = (index, place), reason

    def extend(self, steps: list[Step], match: Match, index: int, node: WorkNode) -> bool:
        """As `matcher.extend`."""
        step = steps[index]
        if any(node is other for other in match.nodes.values()):
            self._note(index, 0, f"{_pattern_text(step)}: {node_text(node)} has another place in the pattern already")
            return False
        orders: Sequence[list[str]] = (node.inputs,)
        if step.commutative and len(node.inputs) == 2:
            orders = (node.inputs, node.inputs[::-1])
        for order in orders:
            tensors = dict(match.tensors)
            if not bind(match, step, node, order):
                match.tensors = tensors
                self._note(index, 1, f"{node_text(node)}: {_why_unbound(match, step, node, order)}")
                continue
            match.nodes[step.id] = node
            failed = next((c for c, check in zip(step.conditions, step.checks, strict=True) if not check(match)), None)
            if failed is None:
                if self._search_from(steps, match, index + 1):
                    return True
            else:
                named = [f"{name} is '{match.tensors[name]}'" for name in sorted(names_in(failed) & set(match.tensors))]
                where = f" ({', '.join(named[:_MOST_NAMED])})" if named else ""
                self._note(index, 2, f"{condition_on(failed, match)}{where}")
            del match.nodes[step.id]
            match.tensors = tensors
        return False

    def _search_from(self, steps: list[Step], match: Match, index: int) -> bool:
        if index == len(steps):
            return True
        step, graph = steps[index], match.graph
        if step.by_output is not None:
            tensor = match.tensors[step.by_output]
            writer = graph.producer.get(tensor)
            found = [writer] if writer is not None else []
            place = f"'{tensor}' is written by"
        else:
            tensor = match.tensors[step.by_input or ""]
            found = list(graph.readers.get(tensor, ()))[:MOST_READERS]
            place = f"'{tensor}' is read by"
        fit = [node for node in found if node.kind in step.kinds]
        if not fit:
            others = ", ".join([node_text(node) for node in found[:_MOST_NAMED]]) or "no operator"
            more = ", ..." if len(found) > _MOST_NAMED else ""
            self._note(index, 0, f"no {_pattern_text(step)}: {place} {others}{more}")
        return any(self.extend(steps, match, index, node) for node in fit)


def _pattern_text(step: Step) -> str:
    return f"{' or '.join(sorted(step.kinds))} ({step.id})"


def _why_unbound(match: Match, step: Step, node: WorkNode, inputs: list[str]) -> str:
    """What of a node's inputs and outputs does not fit a pattern node."""
    slots, tensors = step.slots, dict(match.tensors)
    if not step.more_inputs and any(inputs[len(slots) :]):
        return f"has {len(inputs)} inputs, the pattern {len(slots)}"
    for (name, optional, constant), tensor in zip(slots, [*inputs, *[""] * len(slots)], strict=False):
        if not tensor and not optional:
            return f"input {name or '_'} is absent"
        if constant and tensor not in match.graph.constants:
            return f"constant({name}): '{tensor}' is computed in the run"
        if name and tensors.setdefault(name, tensor) != tensor:
            return f"{name} is '{tensors[name]}', not '{tensor}'"
    outputs = [tensor for tensor in node.outputs if tensor]
    if len(outputs) != len(step.outputs):
        return f"has {len(outputs)} outputs, the pattern {len(step.outputs)}"
    return "an output is bound to another name already"


def _needed_outside(rule: CompiledRule, match: Match) -> str:
    """Which tensor that the rule would take away is needed, and by whom."""
    graph = match.graph
    written = {match.tensors[name] for name in rule.written if name in match.tensors}
    everyone = list(match.nodes.values())
    for key, node in match.nodes.items():
        for tensor in node.outputs if key not in rule.shared else ():
            if not tensor or tensor in written:
                continue
            if tensor in graph.outputs:
                return f"the graph returns '{tensor}' of {node_text(node)}"
            for reader in graph.readers.get(tensor, ()):
                if reader not in everyone:
                    return f"'{tensor}' of {node_text(node)} is also read by {node_text(reader)}"
    return "what it would take away is needed elsewhere"
