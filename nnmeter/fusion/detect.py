"""Kernel detection: the kernels that a runtime will execute, foreseen from its fusion rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnmeter.errors import DeviceError, NnmeterError
from nnmeter.fusion.engine.matcher import RuleIndex
from nnmeter.fusion.engine.rewriting import WorkingGraph, split_kind
from nnmeter.fusion.engine.rules import FusionRules, Pass
from nnmeter.fusion.passes.common.folding import deduplicate, fold_constants
from nnmeter.fusion.passes.common.retyping import retype
from nnmeter.fusion.passes.common.splitting import split_slices
from nnmeter.fusion.passes.mobile.free_operators import drop_free_operators
from nnmeter.fusion.passes.mobile.linking import Linker
from nnmeter.fusion.passes.mobile.plain_attributes import plain_attributes
from nnmeter.fusion.passes.onnxruntime.blocks import slices_to_blocks
from nnmeter.fusion.passes.onnxruntime.casts import insert_casts
from nnmeter.fusion.passes.onnxruntime.layout import BlockedLayout
from nnmeter.fusion.passes.onnxruntime.quantization import QuantizedGroups, unshare, unsigned_activations
from nnmeter.fusion.passes.onnxruntime.transposes import TransposePusher
from nnmeter.fusion.passes.openvino.attention import AttentionGroups
from nnmeter.fusion.passes.openvino.biases import separate_shared_biases
from nnmeter.fusion.passes.openvino.concats import merge_concats
from nnmeter.fusion.passes.openvino.elementwise import ElementwiseGroups
from nnmeter.fusion.passes.openvino.in_place import drop_in_place
from nnmeter.fusion.passes.openvino.memory_layout import MemoryLayout
from nnmeter.fusion.passes.openvino.perceptrons import chain_products
from nnmeter.fusion.passes.openvino.post_operators import PostOperators
from nnmeter.fusion.passes.openvino.settings import settle
from nnmeter.graph.ir import Graph, TensorType
from nnmeter.kernels.kernel import Kernel
from nnmeter.kernels.naming import kernel_signature
from nnmeter.operators.cost import NESTED_COST, NESTED_GRAPHS

# What a pass meets whose fields are wrong: they are data of a device pack.
_FAULTS = (ArithmeticError, AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError)

Apply = Callable[[WorkingGraph], bool]


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
    work = rewrite_graph(graph, rules)
    types, constants, values = work.types, work.constants, work.values
    kernels = []
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
        signature = kernel_signature(op_type, domain, _own_attributes(node.attributes), kinds, fixed, written, known)
        kernels.append(Kernel(node.name, signature, node.sources))
        for nested, times in node.attributes.get(NESTED_GRAPHS, ()):
            kernels += _nested_kernels(node.name, nested, times, constants, rules)
    return kernels


def _own_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes of an operator, without the cost of its nested graphs, whose kernels are listed."""
    if NESTED_GRAPHS not in attributes:
        return attributes
    return {**attributes, **dict.fromkeys(NESTED_COST, 0)}


def _nested_kernels(
    name: str, graph: Graph, times: int, constants: Collection[str], rules: FusionRules
) -> Iterator[Kernel]:
    """The kernels of a graph in an operator; what is constant around it is constant in it."""
    graph = replace(graph, initializers=graph.initializers | (graph.types.keys() & set(constants)))
    for kernel in detect_kernels(graph, rules):
        inner = tuple([f"{name}/{node}" for node in kernel.nodes])
        yield Kernel(f"{name}/{kernel.name}", kernel.signature, inner, kernel.count * times)


def rewrite_graph(graph: Graph, rules: FusionRules) -> WorkingGraph:
    """The graph as the runtime will run it: the rules' stages applied to a working copy."""
    work = WorkingGraph(graph, dict(rules.parameters))
    last_run: dict[_PreparedPass, int] = {}
    for stage, passes in zip(rules.stages, _prepared(rules), strict=True):
        for _ in range(stage.repeat):
            before = work.version
            for item in passes:
                if item.may_apply(work, last_run.get(item)):
                    last_run[item] = work.version
                    for _ in range(item.repeat):
                        if not _applied(item, work):
                            break
            if work.version == before:
                break
    return work


def _applied(item: _PreparedPass, work: WorkingGraph) -> bool:
    """Apply a pass; what its fields or the graph lack is an error that names the pass."""
    try:
        return item.apply(work)
    except NnmeterError:
        raise
    except _FAULTS as fault:
        raise DeviceError(
            f"pass '{item.name}' of the fusion rules does not work on the graph '{work.name}' ({fault!r:.200}); "
            "restore the rules of the device pack, or report it with the model if they are its own"
        ) from fault


@dataclass(frozen=True, eq=False)
class _PreparedPass:
    """A pass with the kinds of nodes that it looks at, None for all of them."""

    apply: Apply
    kinds: frozenset[str] | None
    only_with: tuple[str, ...] = ()
    only_if: str = ""
    repeat: int = 1
    name: str = ""

    def may_apply(self, graph: WorkingGraph, last_run: int | None) -> bool:
        """Whether the pass is wanted, and anything that it looks at is there and has changed since it last began."""
        if self.only_if and not graph.parameters.get(self.only_if):
            return False
        if self.only_with and not any(graph.by_kind.get(kind) for kind in self.only_with):
            return False
        if last_run is None:
            return True
        if self.kinds is None:
            return graph.version != last_run
        touched = graph.touched
        return any(touched.get(kind, -1) > last_run for kind in self.kinds)


def _prepared(rules: FusionRules) -> list[list[_PreparedPass]]:
    """The compiled passes of a rule set; passes of one content are one object: what one did spares the other."""
    stages = rules.prepared.get("stages")
    if stages is None:
        known: dict[str, _PreparedPass] = {}
        stages = []
        for stage in rules.stages:
            stages.append([])
            for item in stage.passes:
                key = repr(
                    (
                        item.kind,
                        item.rules,
                        sorted(item.fields.items(), key=str),
                        item.only_with,
                        item.only_if,
                        item.repeat,
                    )
                )
                if key not in known:
                    known[key] = _prepare(item)
                stages[-1].append(known[key])
        rules.prepared["stages"] = stages
    return stages


def _prepare(item: Pass) -> _PreparedPass:
    try:
        prepared = _PREPARE[item.kind](item)
    except _FAULTS as fault:
        raise DeviceError(
            f"pass '{item.name}' of the fusion rules is malformed ({fault!r:.200}); "
            "restore the rules of the device pack"
        ) from fault
    return replace(prepared, only_with=item.only_with, only_if=item.only_if, repeat=item.repeat, name=item.name)


def _prepare_rewrite(item: Pass) -> _PreparedPass:
    index = RuleIndex(item.rules)
    return _PreparedPass(index.apply, index.kinds)


def _prepare_with(make: Callable[[Any], Any]) -> Callable[[Pass], _PreparedPass]:
    """For a pass that is a class with a method `apply`, made of the pass's fields."""
    return lambda item: _PreparedPass(make(item.fields).apply, None)


def _prepare_transposes(item: Pass) -> _PreparedPass:
    pusher = TransposePusher(item.fields)
    return _PreparedPass(pusher.apply, frozenset(pusher.kinds))


def _prepare_procedure(procedure: Callable[[WorkingGraph, Any], bool]) -> Callable[[Pass], _PreparedPass]:
    return lambda item: _PreparedPass(lambda graph: procedure(graph, item.fields), None)


_PREPARE: dict[str, Callable[[Pass], _PreparedPass]] = {
    "rewrite": _prepare_rewrite,
    "fold_constants": _prepare_procedure(fold_constants),
    "deduplicate": _prepare_procedure(deduplicate),
    "slices_to_blocks": _prepare_procedure(slices_to_blocks),
    "split_slices": _prepare_procedure(split_slices),
    "layout": _prepare_with(BlockedLayout),
    "quantized_groups": _prepare_with(QuantizedGroups),
    "insert_casts": _prepare_procedure(insert_casts),
    "unshare": _prepare_procedure(unshare),
    "unsigned_activations": _prepare_procedure(unsigned_activations),
    "push_transposes": _prepare_transposes,
    "post_operators": _prepare_with(PostOperators),
    "group_elementwise": _prepare_with(ElementwiseGroups),
    "group_attention": _prepare_with(AttentionGroups),
    "memory_layout": _prepare_with(MemoryLayout),
    "in_place": _prepare_procedure(drop_in_place),
    "retype": _prepare_procedure(retype),
    "settings": _prepare_procedure(settle),
    "plain_attributes": _prepare_procedure(plain_attributes),
    "link": _prepare_with(Linker),
    "free_operators": _prepare_procedure(drop_free_operators),
    "shared_biases": _prepare_procedure(separate_shared_biases),
    "merge_concats": _prepare_procedure(merge_concats),
    "chain_products": _prepare_procedure(chain_products),
}
