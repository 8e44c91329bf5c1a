"""Applies rules or passes alone to a graph of a few nodes, to see what they make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnmeter.fusion.detect import rewrite_graph
from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.fusion.loading import load_rules
from nnmeter.fusion.rulesets.builder import Procedure, Rewrite, Rule, RuleSet, Stage, compile_rule_set
from tests.fusion.models import make_graph

Pass = Rewrite | Procedure


def applied(
    passes: Pass | Sequence[Rule] | Sequence[Pass],
    inputs: str,
    outputs: str,
    body: str,
    opset: int = 18,
    parameters: Mapping[str, Any] | None = None,
    **weights: Any,
) -> str:
    """The types of the operators that passes alone leave of a graph, in an order of execution."""
    text = f"agraph ({inputs}) => ({outputs}) {{ {body} }}"
    return " ".join(node.kind for node in rewritten(passes, text, opset, parameters, **weights).ordered())


def rewritten(
    passes: Pass | Sequence[Rule] | Sequence[Pass],
    text: str,
    opset: int = 18,
    parameters: Mapping[str, Any] | None = None,
    **weights: Any,
) -> WorkingGraph:
    """The graph that passes alone leave of a graph in ONNX's text form; rules are applied until none fits."""
    items = _passes(passes)
    repeat = 10 if all(isinstance(item, Rewrite) for item in items) else 1
    stage = Stage("only", items, repeat)
    rule_set = RuleSet("test", runtime="none", parameters=parameters or {}, stages=[stage])
    return rewrite_graph(make_graph(text, opset, **weights), load_rules(compile_rule_set(rule_set)))


def _passes(passes: Pass | Sequence[Rule] | Sequence[Pass]) -> list[Pass]:
    if isinstance(passes, (Rewrite, Procedure)):
        return [passes]
    rules = [item for item in passes if isinstance(item, Rule)]
    return [Rewrite("rules", rules)] if rules else [item for item in passes if not isinstance(item, Rule)]
