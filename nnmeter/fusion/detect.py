"""Kernel detection: the kernels that a runtime will execute, foreseen from its fusion rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnmeter.fusion.folding import deduplicate, fold_constants
from nnmeter.fusion.layout import BlockedLayout
from nnmeter.fusion.matcher import RuleIndex
from nnmeter.fusion.rewriting import WorkingGraph, split_kind
from nnmeter.fusion.rules import FusionRules, Pass
from nnmeter.fusion.splitting import split_slices
from nnmeter.fusion.transposes import TransposePusher
from nnmeter.graph.ir import Graph
from nnmeter.kernels.kernel import Kernel
from nnmeter.kernels.naming import kernel_signature

Apply = Callable[[WorkingGraph], bool]


def detect_kernels(graph: Graph, rules: FusionRules) -> list[Kernel]:
    """The kernels that a runtime executes for a graph.

    Args:
        graph: a model with static shapes; it is not changed.
        rules: the fusion rules of the device.

    Returns:
        The kernels in an order of execution. `nodes` lists the operators of the graph that each absorbed, in order;
        it is empty for work that the runtime adds (reorders). Operators that cost nothing are in no kernel.
    """
    work = rewrite_graph(graph, rules)
    types, constants, values = work.types, work.constants, work.values
    kernels = []
    for node in work.ordered():
        domain, op_type = split_kind(node.kind)
        signature = kernel_signature(
            op_type,
            domain,
            node.attributes,
            [types[name] if name else None for name in node.inputs],
            [name in constants for name in node.inputs],
            [types[name] for name in node.outputs if name],
            [values.get(name) if name in constants else None for name in node.inputs],
        )
        kernels.append(Kernel(node.name, signature, node.sources))
    return kernels


def rewrite_graph(graph: Graph, rules: FusionRules) -> WorkingGraph:
    """The graph as the runtime will run it: the rules' stages applied to a working copy."""
    work = WorkingGraph(graph, dict(rules.parameters))
    for stage_index, stage in enumerate(rules.stages):
        idle_since: dict[str, int] = {}
        for _ in range(stage.repeat):
            before = work.version
            for pass_index, item in enumerate(stage.passes):
                key = f"{stage_index}.{pass_index}"
                if idle_since.get(key) == work.version:
                    continue
                if not _prepared(rules, key, item)(work):
                    idle_since[key] = work.version
            if work.version == before:
                break
    return work


def _prepared(rules: FusionRules, key: str, item: Pass) -> Apply:
    apply = rules.prepared.get(key)
    if apply is None:
        apply = rules.prepared[key] = _PREPARE[item.kind](item)
    return apply  # type: ignore[no-any-return]


def _prepare_rewrite(item: Pass) -> Apply:
    return RuleIndex(item.rules).apply


def _prepare_procedure(procedure: Callable[[WorkingGraph, Any], bool]) -> Callable[[Pass], Apply]:
    return lambda item: lambda graph: procedure(graph, item.fields)


_PREPARE: dict[str, Callable[[Pass], Apply]] = {
    "rewrite": _prepare_rewrite,
    "fold_constants": _prepare_procedure(fold_constants),
    "deduplicate": _prepare_procedure(deduplicate),
    "split_slices": _prepare_procedure(split_slices),
    "layout": lambda item: BlockedLayout(item.fields).apply,
    "push_transposes": lambda item: TransposePusher(item.fields).apply,
}
