"""What happened when kernels were detected: which passes and rules changed the graph where, and why a rule did not.

A trace is made by the same walk through the stages as detection, over a working graph that records its changes. The
detector itself knows nothing of it: tracing costs nothing where it is not asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from nnmeter.errors import DeviceError
from nnmeter.fusion.detect import inner_graph, run_stages, why_idle
from nnmeter.fusion.engine.explaining import why_not
from nnmeter.fusion.engine.rewrites import PreparedRules
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.engine.rules import FusionRules, Pass, Stage
from nnmeter.graph.ir import Graph
from nnmeter.operators.cost import NESTED_GRAPHS


@dataclass(frozen=True)
class TracedNode:
    """A node as it was, or became."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}'"


@dataclass(frozen=True)
class Firing:
    """One change: by a rule at one place, or by a pass that has no rules."""

    stage: str
    pass_name: str
    rule: str  # "" for a pass without rules
    consumed: tuple[TracedNode, ...]
    produced: tuple[TracedNode, ...]
    changed: tuple[TracedNode, ...] = ()  # nodes that stay, with other inputs, outputs or attributes


@dataclass(frozen=True)
class Refusal:
    """A node where the rule that was asked for could begin, and why it did not apply there."""

    stage: str
    pass_name: str
    rule: str
    anchor: TracedNode
    reason: str


@dataclass(frozen=True)
class TracedRule:
    """A rule that was asked for, or a pass without rules; `why` and `source` as the rule set has them, "" for none."""

    name: str
    why: str
    source: str


@dataclass(frozen=True)
class Trace:
    """The changes in order; of the rules that were asked for what they say, where they did not apply, and where idle.

    `idle` has the passes of these rules that never ran, as pairs of the pass and the reason.
    """

    firings: tuple[Firing, ...]
    refusals: tuple[Refusal, ...] = ()
    rules: tuple[TracedRule, ...] = ()
    idle: tuple[tuple[str, str], ...] = ()


def trace_kernels(graph: Graph, rules: FusionRules, rule: str | None = None) -> Trace:
    """What fusion rules do to a graph, in order; bodies of control flow follow the graph around them.

    Args:
        graph: a model with static shapes; it is not changed.
        rules: the fusion rules of the device.
        rule: name of a rule (or of a pass without rules), a part of names, or a pattern with `*`: what is said of a
            rule, and refusals, are given for these.

    Raises:
        DeviceError: no rule has such a name, or the rules ask for something impossible.
    """
    chosen = _chosen(rules, rule) if rule is not None else []
    tracer = _Tracer(rules, {found.name for found in chosen})
    tracer.run(graph, "")
    return Trace(
        tuple(tracer.firings),
        tuple(tracer.refusals.values()),
        tuple(dict.fromkeys(chosen)),
        tuple(tracer.idle()),
    )


def _named_things(rules: FusionRules) -> Iterator[tuple[Pass, TracedRule]]:
    """Every rule, and every pass without rules, in order, with the pass that it is in."""
    for stage in rules.stages:
        for item in stage.passes:
            if isinstance(item.prepared, PreparedRules):
                for compiled in item.prepared.index.rules:
                    yield item, TracedRule(compiled.name, compiled.rule.why, compiled.rule.source)
            else:
                yield item, TracedRule(item.name, item.why, item.source)


def _chosen(rules: FusionRules, name: str) -> list[TracedRule]:
    """The rules of a name; else those whose names fit it as a pattern; else those that have it as a part."""
    known = [rule for _, rule in _named_things(rules)]
    lower = name.lower()
    for found in (
        [rule for rule in known if rule.name == name],
        [rule for rule in known if fnmatchcase(rule.name.lower(), lower)],
        [rule for rule in known if lower in rule.name.lower()],
    ):
        if found:
            return found
    names = sorted({rule.name for rule in known})
    near = difflib.get_close_matches(name, names, 3, 0.4) or names[:3]
    raise DeviceError(
        f"{rules.name}: no fusion rule is called {name!r}; there are {len(names)}, such as {', '.join(map(repr, near))}"
    )


class _RecordedGraph(WorkingGraph):
    """A working graph that keeps a list of what was added and removed."""

    def __init__(self, graph: Graph, parameters: dict[str, Any]) -> None:
        super().__init__(graph, parameters)
        self.added: list[WorkNode] = []
        self.removed: list[WorkNode] = []

    def add_node(self, *args: Any, **named: Any) -> WorkNode:
        node = super().add_node(*args, **named)
        self.added.append(node)
        return node

    def remove_node(self, node: WorkNode) -> None:
        super().remove_node(node)
        self.removed.append(node)

    def forget(self) -> None:
        """Begin a new list."""
        self.added, self.removed = [], []


@dataclass
class _Tracer:
    rules: FusionRules
    wanted: set[str]
    firings: list[Firing] = field(default_factory=list)
    refusals: dict[tuple[str, str, str, str], Refusal] = field(default_factory=dict)
    applied: set[str] = field(default_factory=set)  # passes
    _idle: dict[str, str] = field(default_factory=dict)

    def run(self, graph: Graph, prefix: str) -> None:
        """Trace a graph, and then the graphs nested in it, whose nodes are named after the operator around them."""
        work = _RecordedGraph(graph, dict(self.rules.parameters))
        run_stages(work, self.rules, lambda stage, item: self._apply(work, stage, item, prefix))
        for item, rule in _named_things(self.rules):
            if rule.name in self.wanted:
                self._idle[item.name] = why_idle(item, work) or "it had nothing to do"
        for node in work.ordered():
            for nested, _ in node.attributes.get(NESTED_GRAPHS, ()):
                self.run(inner_graph(nested, work.constants), f"{prefix}{node.name}/")

    def idle(self) -> Iterator[tuple[str, str]]:
        """The passes of the rules asked for that never ran, with the reason."""
        return ((name, reason) for name, reason in self._idle.items() if name not in self.applied)

    def _apply(self, work: _RecordedGraph, stage: Stage, item: Pass, prefix: str) -> bool:
        self.applied.add(item.name)
        work.forget()
        if isinstance(item.prepared, PreparedRules):
            return self._apply_rules(work, stage, item, item.prepared, prefix)
        before = {node: _content(node) for node in work.nodes()}
        result = item.prepared.apply(work)
        after = {node: _content(node) for node in work.nodes()}
        consumed = [node for node in before if node not in after]
        produced = [node for node in after if node not in before]
        changed = [node for node, content in after.items() if node in before and before[node] != content]
        if consumed or produced or changed:
            self.firings.append(
                Firing(
                    stage.name,
                    item.name,
                    "",
                    _named(consumed, prefix),
                    _named(produced, prefix),
                    _named(changed, prefix),
                )
            )
        return result

    def _apply_rules(
        self, work: _RecordedGraph, stage: Stage, item: Pass, prepared: PreparedRules, prefix: str
    ) -> bool:
        """As `RuleIndex.apply`."""
        changed = False
        by_anchor = prepared.index.by_anchor
        for node in work.of_kinds(by_anchor):
            if not node.alive:
                continue
            anchor = _named([node], prefix)[0]
            fired = ""
            for rule in prepared.index.rules_at(node.kind):
                key = stage.name, item.name, rule.name, anchor.name
                if fired:
                    if rule.name in self.wanted and rule.name != fired:
                        reason = f"rule '{fired}' comes before it and was applied"
                        self.refusals[key] = Refusal(*key[:3], anchor, reason)
                    continue
                work.forget()
                if rule.may_fit(work) and rule.glance(work, node) and rule.apply(work, node):
                    fired, changed = rule.name, True
                    self.refusals.pop(key, None)
                    consumed, produced = _named(work.removed, prefix), _named(work.added, prefix)
                    self.firings.append(Firing(*key[:3], consumed, produced))
                elif rule.name in self.wanted:
                    self.refusals[key] = Refusal(*key[:3], anchor, why_not(rule, work, node))
        return changed


def _content(node: WorkNode) -> tuple[Any, ...]:
    """What shows that a node has changed; attributes are replaced, never changed in their place."""
    return node.kind, tuple(node.inputs), tuple(node.outputs), id(node.attributes)


def _named(nodes: list[WorkNode], prefix: str) -> tuple[TracedNode, ...]:
    return tuple([TracedNode(node.kind, f"{prefix}{node.name}") for node in nodes])
