"""Kernel detection: the kernels that a runtime will execute, foreseen from its fusion rules."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np

from nnmeter.errors import DeviceError, ModelError, brief
from nnmeter.fusion.blocks import BlockMemory
from nnmeter.fusion.engine.faults import RuleFault
from nnmeter.fusion.engine.passes import Prepared
from nnmeter.fusion.engine.rewriting import OuterReads, WorkingGraph, split_kind
from nnmeter.fusion.engine.rules import FusionRules, Pass, Stage
from nnmeter.graph.ir import Graph, TensorType
from nnmeter.kernels.kernel import Kernel
from nnmeter.kernels.naming import known_signature
from nnmeter.limits import MAX_EXPANDED_CHARACTERS
from nnmeter.operators.cost import NESTED_COST, NESTED_GRAPHS


def detect_kernels(graph: Graph, rules: FusionRules) -> list[Kernel]:
    """The kernels that a runtime executes for a graph.

    Args:
        graph: a model with static shapes; it is not changed.
        rules: the fusion rules of the device.

    Returns:
        The kernels in an order of execution. `nodes` lists the operators of the graph that each absorbed, in order;
        it is empty for work that the runtime adds (reorders). Operators that cost nothing are in no kernel. Behind a
        kernel of `If`, `Loop`, `Scan` or `SequenceMap`, which computes nothing itself, come those of its nested graphs,
        named after it, with the number of their runs.
    """
    memory = rules.remembered.get("blocks")
    if memory is None:
        memory = rules.remembered["blocks"] = BlockMemory(rules)
    blocks = memory.cut(graph)
    found = None if blocks is None else memory.find(graph, blocks)
    if found is not None:
        return found
    kernels: list[Kernel] = []
    changed: set[str] = set()
    _detect(graph, rules, _Nesting(), "", 1, kernels, changed)
    if blocks is not None:
        memory.learn(graph, blocks, kernels, changed)
    return kernels


class _Nesting:
    """What the graphs nested in one model share: signatures, the length of all names that are made, what each reads."""

    def __init__(self) -> None:
        self.outer_reads: OuterReads = {}
        self._characters = 0

    def named(self, prefix: str, name: str) -> str:
        """The name of an operator in the graphs of the operators that the prefix names (counted before it is made)."""
        if not prefix:
            return name
        self._characters += len(prefix) + len(name)
        if self._characters > MAX_EXPANDED_CHARACTERS:
            raise ModelError(
                f"node '{brief(prefix[:-1], 200)}': the kernels of its graphs, named after it, have names of more than "
                f"{MAX_EXPANDED_CHARACTERS} characters; give the operators shorter names"
            )
        return prefix + name


def _detect(
    graph: Graph,
    rules: FusionRules,
    nesting: _Nesting,
    prefix: str,
    times: int,
    kernels: list[Kernel],
    changed: set[str],
) -> None:
    """Add the kernels of a graph that runs so many times, named behind a prefix, and the kinds of what changed it."""
    work = WorkingGraph(graph, dict(rules.parameters), nesting.outer_reads)

    def apply(stage: Stage, item: Pass) -> bool:
        applied = item.prepared.apply(work)
        if applied:
            changed.add(item.kind)
        return applied

    run_stages(work, rules, apply)
    types, constants, values = work.types, work.constants, work.values
    for node in work.ordered():
        domain, op_type = split_kind(node.kind)
        kinds: list[TensorType | None] = []
        fixed: list[bool] = []
        known: list[np.ndarray | None] = []
        for name in node.inputs:
            kinds.append(types[name] if name else None)
            constant = name in constants
            fixed.append(constant)
            known.append(values.get(name) if constant else None)
        written = [types[name] for name in node.outputs if name in types]
        signature = known_signature(op_type, domain, _own_attributes(node.attributes), kinds, fixed, written, known)
        name, sources = node.name, node.sources
        if prefix:
            name, sources = nesting.named(prefix, name), tuple([nesting.named(prefix, s) for s in sources])
        kernels.append(Kernel(name, signature, sources, times))
        for nested, runs in node.attributes.get(NESTED_GRAPHS, ()):
            _detect(inner_graph(nested, constants), rules, nesting, f"{name}/", times * runs, kernels, changed)


def _own_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes of an operator, without the cost of its nested graphs, whose kernels are listed."""
    if NESTED_GRAPHS not in attributes:
        return attributes
    return {**attributes, **dict.fromkeys(NESTED_COST, 0)}


def inner_graph(graph: Graph, constants: Collection[str]) -> Graph:
    """A graph nested in an operator; what is constant around it is constant in it."""
    return replace(graph, initializers=graph.initializers | {name for name in graph.types if name in constants})


def rewrite_graph(graph: Graph, rules: FusionRules) -> WorkingGraph:
    """The graph as the runtime will run it: the rules' stages applied to a working copy."""
    work = WorkingGraph(graph, dict(rules.parameters))
    run_stages(work, rules, lambda stage, item: item.prepared.apply(work))
    return work


def run_stages(work: WorkingGraph, rules: FusionRules, apply: Callable[[Stage, Pass], bool]) -> None:
    """Let each pass of a rule set that has work be applied, stage by stage (rules 2 and 3 of `engine.rules`).

    Args:
        work: the working graph, which `apply` changes.
        rules: the rule set.
        apply: applies one pass of one stage once; whether it changed the graph.

    Raises:
        DeviceError: a pass asks for something impossible.
    """
    last_run: dict[Prepared, int] = {}
    for stage in rules.stages:
        for _ in range(stage.repeat):
            before = work.version
            for item in stage.passes:
                if why_idle(item, work) is None and _is_due(item.prepared, work, last_run.get(item.prepared)):
                    last_run[item.prepared] = work.version
                    _repeat(stage, item, work, apply)
            if work.version == before:
                break


def _repeat(stage: Stage, item: Pass, work: WorkingGraph, apply: Callable[[Stage, Pass], bool]) -> None:
    try:
        for _ in range(item.repeat):
            if not apply(stage, item):
                return
    except RuleFault as fault:
        raise DeviceError(
            f"pass '{item.name}' of the fusion rules does not work on the graph '{work.name}' ({fault}); "
            "restore the rules of the device pack"
        ) from fault


def why_idle(item: Pass, graph: WorkingGraph) -> str | None:
    """Why a pass is left out on a graph; None where it is not."""
    if item.only_if and not graph.parameters.get(item.only_if):
        return f"parameter {item.only_if} is not true"
    if item.only_with and not graph.has_any(item.only_with):
        return f"the graph has no {' or '.join(item.only_with)}"
    looks_at = item.prepared.looks_at
    if looks_at is not None and not graph.has_any(looks_at):
        return "the graph has none of its operators"
    return None


def _is_due(prepared: Prepared, graph: WorkingGraph, last_run: int | None) -> bool:
    """Whether anything that a pass looks at has changed since it last began."""
    if last_run is None:
        return True
    if not prepared.local or prepared.looks_at is None:
        return graph.version != last_run
    looks_at = prepared.looks_at
    for kind, version in graph.touched.items():  # noqa: SIM110 - a loop takes half the time of a generator here
        if version > last_run and kind in looks_at:
            return True
    return False
