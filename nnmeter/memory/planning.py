"""From a graph as a runtime runs it to the memory that it takes: by runtime, for there are two ways to plan.

1. ONNX Runtime takes memory from its arena. In the first run each tensor has a chunk of its own; that run is recorded,
   and from the second on one block holds the tensors by their pattern, and only results and the working memory of
   kernels have chunks beside it. What the first run touched stays resident.
2. Other runtimes plan all tensors into one block, largest first.
3. A kernel with nested graphs needs the memory of the largest of them while it runs.
4. Before the first run weights are packed, some through scratch memory from the arena (`nnmeter.memory.weights`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nnmeter.fusion.detect import inner_graph, rewrite_graph
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.fusion.passes.onnxruntime.topological_order import topological_order
from nnmeter.memory.arena import Arena, aligned, plan_best_fit, plan_largest_first
from nnmeter.memory.lifetimes import Buffer, plan_buffers
from nnmeter.memory.weights import held_weights
from nnmeter.memory.workspace import workspace_chunks
from nnmeter.operators.cost import NESTED_GRAPHS

ARENA_RUNTIME = "onnxruntime"


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The memory of one graph.

    Attributes:
        order: its kernels, in the order of the run.
        buffers: what holds their outputs.
        workspace: working memory of each kernel, in bytes.
        weights: bytes of the weights.
        block: bytes of the block that the buffers are planned into.
        resident: bytes of activations and working memory that stay resident.
        reserved: bytes that the runtime asks the system for, for the same.
    """

    order: tuple[WorkNode, ...]
    buffers: tuple[Buffer, ...]
    workspace: tuple[int, ...]
    weights: int
    block: int
    resident: int
    reserved: int


def plan_memory(graph: WorkingGraph, rules: FusionRules, runtime: str, threads: int = 1) -> MemoryPlan:
    """Plan the memory of a graph that the fusion rules have rewritten."""
    has_arena = runtime == ARENA_RUNTIME
    order = tuple(_runtime_order(graph) if has_arena else graph.ordered())
    buffers = plan_buffers(graph, order, share=has_arena)
    chunks = [
        (*_nested_bytes(node, graph, rules, runtime, threads), *(workspace_chunks(node, graph, threads) * has_arena))
        for node in order
    ]
    workspace = [sum(of_kernel) for of_kernel in chunks]
    plain, packed = held_weights(graph, order, runtime)
    weights = plain + sum(weight.bytes for weight in packed)
    if has_arena:
        _, block = plan_best_fit([buffer for buffer in buffers if not buffer.result])
        arena = _run_twice(order, buffers, chunks, block, [weight.scratch for weight in packed])
        resident, reserved = arena.touched, arena.reserved
    else:
        _, block = plan_largest_first(buffers)
        resident = reserved = block + max(workspace, default=0)
    return MemoryPlan(order, tuple(buffers), tuple(workspace), weights, block, resident, reserved)


def _runtime_order(graph: WorkingGraph) -> list[WorkNode]:
    places = topological_order(graph)
    return sorted(places, key=places.__getitem__)


def _run_twice(
    order: Sequence[WorkNode],
    buffers: Sequence[Buffer],
    chunks: Sequence[tuple[int, ...]],
    block: int,
    scratch: Sequence[int],
) -> Arena:
    """The arena after two runs (rules 1 and 4)."""
    arena = Arena()
    for size in scratch:
        arena.take("scratch", size)
        arena.give_back("scratch")
    starting: dict[int, list[Buffer]] = {}
    ending: dict[int, list[Buffer]] = {}
    for buffer in buffers:
        starting.setdefault(buffer.first, []).append(buffer)
        ending.setdefault(buffer.last, []).append(buffer)
    for recorded in (True, False):
        if not recorded:
            arena.take("", block)
        for step in range(len(order)):
            for buffer in starting.get(step, ()):
                if recorded or buffer.result:
                    arena.take(buffer.tensor, aligned(buffer.bytes))
            names = [f"workspace {number}" for number in range(len(chunks[step]))]
            for name, size in zip(names, chunks[step], strict=True):
                arena.take(name, size)
            for name in reversed(names):
                arena.give_back(name)
            for buffer in ending.get(step, ()):
                arena.give_back(buffer.tensor)
        arena.give_back("")
    return arena


def _nested_bytes(
    node: WorkNode, graph: WorkingGraph, rules: FusionRules, runtime: str, threads: int
) -> tuple[int, ...]:
    """Rule 3: weights of the nested graphs are constants of the outer one, or small."""
    needs = [
        plan_memory(rewrite_graph(inner_graph(nested, graph.constants), rules), rules, runtime, threads).block
        for nested, _ in node.attributes.get(NESTED_GRAPHS, ())
    ]
    return (max(needs),) if needs else ()
