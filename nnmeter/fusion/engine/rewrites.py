"""Rewrite rules, compiled: a pattern that is found is replaced by what the rule says.

1. Rules are indexed by the kind of their anchor, so that a pass looks only at nodes where a rule could begin, and rules
   are set aside while the graph lacks a kind that they need, or a writer and a reader of the kinds that they need. What
   was set aside is remembered by the pairs of kinds that a graph has (`WorkingGraph.links`), of which there are few.
2. What the replaced nodes compute must not be needed outside of the match, except what the replacement writes.
3. What a rule makes must be possible: nodes with a name and attributes of the kinds that operators have, tensors of
   known types. What is not is a fault of the rule, named with the node at which it showed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnmeter.errors import DeviceError
from nnmeter.fusion.engine.expressions import compile_checked
from nnmeter.fusion.engine.faults import RuleFault
from nnmeter.fusion.engine.functions import NUMBER, NUMBERS, Match, is_of_kind
from nnmeter.fusion.engine.matcher import extend, search_from
from nnmeter.fusion.engine.passes import Prepared
from nnmeter.fusion.engine.patterns import Step, constants_of, names_of, prepare_glance, prepare_steps
from nnmeter.fusion.engine.rewriting import Links, WorkingGraph, WorkNode, split_kind
from nnmeter.fusion.engine.rules import NewTensor, RewriteRule, Template
from nnmeter.graph.ir import DTYPE_BITS, Node, TensorType
from nnmeter.graph.unbound import MAX_ELEMENTS, MAX_RANK
from nnmeter.operators.attributes import wrong_attribute

_REMEMBERED = 256  # sets of links, for each of which the rules that may fit are remembered


class CompiledRule:
    """A rewrite rule, ready to be applied."""

    def __init__(self, rule: RewriteRule) -> None:
        self.name = rule.name
        self.rule = rule
        self.shared = frozenset(node.id for node in rule.match if node.shared)
        self.steps = prepare_steps(rule.match, rule.where, constants_of(rule), set())
        names = {name for node in rule.match for name in names_of(node)}
        self.unless = [prepare_steps(item.match, item.where, frozenset(), set(names)) for item in rule.unless]
        self.anchors = self.steps[0].kinds
        self.kinds = frozenset(kind for step in self.steps for kind in step.kinds)
        self.other_kinds = [tuple(step.kinds) for step in self.steps[1:]]
        self.glance = prepare_glance(self.steps)
        self.links = _links_of(self.steps)
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

    def may_link(self, links: Links) -> bool:
        """Whether a graph of these pairs of writers and readers may hold the pattern."""
        for pairs in self.links:  # noqa: SIM110 - a loop takes half the time of a generator here
            if pairs.isdisjoint(links):
                return False
        return True

    def apply(self, graph: WorkingGraph, anchor: WorkNode) -> bool:
        """Replace the pattern at an anchor; False, and nothing changed, where it does not fit.

        Raises:
            DeviceError: the rule asks for something impossible.
        """
        try:
            match = Match(graph, {}, {})
            if not extend(self.steps, match, 0, anchor) or not self.is_closed(match):
                return False
            for steps in self.unless:
                if search_from(steps, Match(graph, dict(match.nodes), dict(match.tensors)), 0):
                    return False
            return self._forward(match) if self.rule.forward else self._replace(match)
        except RuleFault as fault:
            raise DeviceError(
                f"fusion rule '{self.name}' does not work on node '{anchor.name}' ({anchor.kind}): {fault}; "
                "restore the rules of the device pack"
            ) from fault

    def is_closed(self, match: Match) -> bool:
        """Rule 2 of the module: nothing outside needs what the match takes away."""
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
            if not new or (old in graph.outputs and not self.may_rename(graph, new)):
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

    def may_rename(self, graph: WorkingGraph, new: str) -> bool:
        """Whether a tensor may take the name of the graph's output that is forwarded to it."""
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
            name = gone[-1].name if template.main else graph.fresh(f"{gone[-1].name}~{kind}")
            heirs = sources if template.main else ()
            graph.add_node(kind, name, inputs, outputs, attributes, position + order * share / len(plans), heirs)
        graph.prune([*kept, *(f for f in feeders if f.alive)])
        return True


def _links_of(steps: Sequence[Step]) -> list[frozenset[tuple[str, str]]]:
    """The pairs of kinds, of a writer and a reader, one of which each further node of a pattern is reached by."""
    found = []
    for at, step in enumerate(steps[1:], 1):
        before = steps[:at]
        if step.by_output is not None:
            readers = [other for other in before if step.by_output in [name for name, _, _ in other.inputs]]
            pairs = {(kind, reader) for kind in step.kinds for reader in readers[0].kinds} if readers else set()
        else:
            writers = [other for other in before if step.by_input in other.outputs]
            pairs = {(writer, kind) for kind in step.kinds for writer in writers[0].kinds} if writers else set()
        if pairs:  # none for two readers of one tensor
            found.append(frozenset(pairs))
    return found


class _CompiledTemplate:
    def __init__(self, template: Template, only: bool) -> None:
        self.template = template
        self.main = template.main or only
        self.op = compile_checked(template.op)
        self.settings = {key: compile_checked(value) for key, value in template.attributes_set.items()}
        # Attributes that were made and checked before, by the node's that they come from, which equal nodes share.
        self._made: dict[tuple[Any, ...], tuple[dict[str, Any], dict[str, Any]]] = {}

    def plan(self, match: Match) -> tuple[str, list[str], list[str], dict[str, Any]]:
        """Kind, inputs, outputs and attributes of the node to create."""
        template, tensors = self.template, match.tensors
        inputs = [tensors.get(name.rstrip("?"), "") for name in template.inputs]
        while inputs and not inputs[-1]:
            inputs.pop()
        outputs = [tensors.get(name.rstrip("?"), "") for name in template.outputs]
        kind = self.op(match)
        if not isinstance(kind, str) or not kind:
            raise RuleFault(f"the operator of a new node is {kind!r:.60}, not a word")
        source = match.nodes[template.attributes_from].attributes if template.attributes_from else _NOTHING
        values = [_attribute(key, evaluate(match)) for key, evaluate in self.settings.items()]
        made = (id(source), kind, *values, *map(type, values))
        known = self._made.get(made)
        if known is not None:
            return kind, inputs, outputs, known[1]
        attributes = {key: value for key, value in source.items() if key not in template.attributes_drop}
        attributes.update(zip(self.settings, values, strict=True))
        domain, op_type = split_kind(kind)
        wrong = wrong_attribute(Node(op_type, domain, "", (), (), attributes)) if attributes else None
        if wrong:
            raise RuleFault(f"a new {kind}: {wrong}")
        if len(self._made) >= _REMEMBERED:
            self._made.clear()
        self._made[made] = (source, attributes)
        return kind, inputs, outputs, attributes


_NOTHING: dict[str, Any] = {}


def _attribute(name: str, value: Any) -> Any:
    """A computed value as an attribute has it: lists of numbers and words are tuples."""
    if isinstance(value, (list, tuple)):
        value = tuple(value)
        if all(item is None or isinstance(item, int | float | str) for item in value):
            return value
    elif value is None or isinstance(value, int | float | str):
        return value
    raise RuleFault(f"attribute {name} of a new node is {str(value)[:60]!r}, not numbers or words")


class _CompiledTensor:
    def __init__(self, tensor: NewTensor) -> None:
        self.tensor = tensor
        self.dtype = compile_checked(tensor.dtype)
        self.shape = compile_checked(tensor.shape)
        self.value = compile_checked(tensor.value)

    def create(self, match: Match) -> bool:
        """Add the tensor to the graph and bind its name; False where its type is not known."""
        graph, spec = match.graph, self.tensor
        if spec.value is not None:
            value = self.value(match)
            if value is None:
                return False
            dtype = self.dtype(match) or "int64"
            if not _is_element_type(dtype) or not (is_of_kind(NUMBERS, value) or is_of_kind(NUMBER, value)):
                raise RuleFault(f"the new tensor '{spec.name}' has a value or type that a tensor cannot have")
            match.tensors[spec.name] = graph.add_constant(spec.name, np.asarray(value), dtype)
            return True
        if spec.like:
            tensor = match.tensors[spec.like]
            if not tensor:
                return False
            kind = graph.types[tensor]
        else:
            dtype, shape = self.dtype(match), self.shape(match)
            if dtype is None or shape is None or (isinstance(shape, (list, tuple)) and None in shape):
                return False
            if not _is_element_type(dtype) or not is_of_kind(NUMBERS, shape) or len(shape) > MAX_RANK:
                raise RuleFault(f"the new tensor '{spec.name}' is impossible")
            if not all(0 <= size < 2**63 for size in shape):
                raise RuleFault(f"the new tensor '{spec.name}' has a dimension that is no size")
            kind = TensorType(dtype, tuple(int(size) for size in shape))
            if kind.elements > MAX_ELEMENTS:
                return False
        if spec.constant:
            match.tensors[spec.name] = graph.add_weight(spec.name, kind)
        else:
            name = match.tensors[spec.name] = graph.fresh(spec.name)
            graph.types[name] = kind
        return True


def _is_element_type(value: Any) -> bool:
    return isinstance(value, str) and value in DTYPE_BITS


class RuleIndex:
    """The rules of one rewrite pass by the kinds of their anchors; each is compiled when its anchor is met."""

    def __init__(self, rules: Sequence[RewriteRule]) -> None:
        self._rules = tuple(rules)
        self._compiled: dict[int, CompiledRule] = {}
        self._possible: dict[Links, dict[str, list[CompiledRule]]] = {}
        self.by_anchor: dict[str, list[int]] = {}
        for number, rule in enumerate(self._rules):
            for kind in dict.fromkeys(rule.match[0].op):
                self.by_anchor.setdefault(kind, []).append(number)
        self.kinds = frozenset(kind for rule in self._rules for node in rule.match for kind in node.op)

    @property
    def rules(self) -> list[CompiledRule]:
        """All rules, in order."""
        return [self._rule(number) for number in range(len(self._rules))]

    def rules_at(self, kind: str) -> list[CompiledRule]:
        """The rules whose anchor may be of this kind, in order."""
        return [self._rule(number) for number in self.by_anchor[kind]]

    def _rule(self, number: int) -> CompiledRule:
        rule = self._compiled.get(number)
        if rule is None:
            rule = self._compiled[number] = CompiledRule(self._rules[number])
        return rule

    def _possible_at(self, kinds: Iterable[str], links: Links) -> dict[str, list[CompiledRule]]:
        """The rules that may fit a graph of these pairs of writers and readers, by the kind of the anchor, in order."""
        known = self._possible.get(links)
        if known is None:
            if len(self._possible) >= _REMEMBERED:
                self._possible.clear()
            known = self._possible[links] = {}
        found = {}
        for kind in kinds:
            rules = known.get(kind)
            if rules is None:
                rules = known[kind] = [rule for rule in self.rules_at(kind) if rule.may_link(links)]
            if rules:
                found[kind] = rules
        return found

    def apply(self, graph: WorkingGraph) -> bool:
        """Visit the nodes in order, apply at each the first rule that fits; whether any did."""
        by_anchor, by_kind = self.by_anchor, graph.by_kind
        kinds = [kind for kind in by_anchor if by_kind.get(kind)]
        fitting = self._possible_at(kinds, graph.known_links())
        if not fitting:
            return False
        changed = False
        possible: dict[str, list[CompiledRule]] = {}
        for node in graph.of_kinds(kinds):
            if not node.alive:
                continue
            rules = possible.get(node.kind)
            if rules is None:
                rules = possible[node.kind] = [rule for rule in fitting.get(node.kind, ()) if rule.may_fit(graph)]
            for rule in rules:
                if rule.glance(graph, node) and rule.apply(graph, node):
                    changed = True
                    possible = {}  # what replaced the nodes may be of a kind that was not there
                    fitting = self._possible_at(kinds, graph.known_links())
                    break
        return changed


@dataclass(frozen=True, eq=False)
class PreparedRules(Prepared):
    """A rewrite pass, ready to be applied, with its rules for those who want to see more than what changes."""

    index: RuleIndex = field(kw_only=True)


def prepare_rules(rules: Sequence[RewriteRule]) -> PreparedRules:
    """The rewrite pass of some rules."""
    index = RuleIndex(rules)
    return PreparedRules(index.apply, index.kinds, local=True, index=index)
