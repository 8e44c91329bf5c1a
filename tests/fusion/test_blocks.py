"""Kernels of blocks that were seen before are those of the whole network."""

from __future__ import annotations

import pickle
from itertools import product
from typing import Any

import numpy as np
import onnx
import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.fusion.blocks import BlockMemory
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.fusion.loading import load_rules
from nnmeter.graph.ir import Graph
from nnmeter.kernels.kernel import Kernel
from tests.fusion.models import make_model

RULE_SETS = ("onnxruntime_cpu", "tflite21_cpu", "tensorrt_cuda")


def network(blocks: list[tuple[int, int, str, bool]], last: str = "Relu") -> Graph:
    """Bottlenecks one behind the other: middle channels, kernel, activation, whether there is a gate on channels."""
    lines: list[str] = []
    weights: dict[str, tuple[int, ...]] = {}
    x = "x"
    for at, (middle, kernel, act, gated) in enumerate(blocks):
        half = kernel // 2
        pads = f"pads=[{half},{half},{half},{half}]"
        weights |= {f"a{at}w": (middle, 32, 1, 1), f"c{at}w": (32, middle, 1, 1)}
        weights[f"b{at}w"] = (middle, 1, kernel, kernel)
        lines += [
            f"a{at} = Conv({x},a{at}w)", f"aa{at} = {act}(a{at})",
            f"b{at} = Conv<group={middle},kernel_shape=[{kernel},{kernel}],{pads}>(aa{at},b{at}w)",
            f"bb{at} = {act}(b{at})",
        ]  # fmt: skip
        y = f"bb{at}"
        if gated:
            weights[f"g{at}w"] = (middle, middle, 1, 1)
            lines += [
                f"p{at} = GlobalAveragePool({y})", f"q{at} = Conv(p{at},g{at}w)", f"r{at} = HardSigmoid(q{at})",
                f"s{at} = Mul({y},r{at})",
            ]  # fmt: skip
            y = f"s{at}"
        lines += [f"c{at} = Conv({y},c{at}w)", f"d{at} = Add(c{at},{x})"]
        x = f"d{at}"
        if last:
            lines.append(f"e{at} = {last}(d{at})")
            x = f"e{at}"
    lines[-1] = lines[-1].replace(x, "y", 1)
    model = make_model(f"agraph (float[1,32,8,8] x) => (float[1,32,8,8] y) {{ {' '.join(lines)} }}", **weights)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
    return bind_shapes(read_model(model))


def fresh(name: str) -> FusionRules:
    """A rule set that remembers nothing."""
    return load_rules(name)


def without_memory(graph: Graph, rules: FusionRules) -> list[Kernel]:
    rules.remembered.clear()
    return detect_kernels(graph, rules)


CHOICES = list(product((32, 48, 50), (3, 5), ("Relu", "HardSwish"), (False, True)))


@pytest.mark.parametrize("name", RULE_SETS)
@pytest.mark.parametrize("last", ["", "Relu", "HardSwish"])
def test_networks_of_blocks_that_were_seen_have_the_kernels_of_the_whole(
    name: str, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []
    find = BlockMemory.find

    def watched(self: BlockMemory, *arguments: Any) -> Any:
        kernels = find(self, *arguments)
        found.append(kernels is not None)
        return kernels

    monkeypatch.setattr(BlockMemory, "find", watched)
    rules, whole = fresh(name), fresh(name)
    random = np.random.default_rng(0)
    few = [CHOICES[at] for at in random.permutation(len(CHOICES))[:3]]
    for _ in range(30):
        graph = network([few[at] for at in random.integers(0, len(few), random.integers(2, 6))], last)
        assert detect_kernels(graph, rules) == without_memory(graph, whole)
    assert sum(found) > 5


@pytest.mark.parametrize("name", RULE_SETS)
def test_other_operators_and_types_are_left_to_whole_detection(name: str) -> None:
    rules = fresh(name)
    memory = BlockMemory(rules)
    plain = [(32, 3, "Relu", False)] * 3
    assert [(b.start, b.end) for b in memory.cut(network(plain)) or ()] == [(0, 6), (6, 13), (13, 20), (20, 21)]
    other = network(plain)
    other.nodes[3].op_type = "Sin"
    assert memory.cut(other) is None
    half = network(plain)
    half.types = {tensor: type(kind)("float16", kind.shape) for tensor, kind in half.types.items()}
    assert memory.cut(half) is None
    shared = network(plain)
    shared.nodes[-7].inputs = ("e1", "a0w")
    assert memory.cut(shared) is None


def test_two_results_for_one_block_close_the_memory() -> None:
    rules = fresh("onnxruntime_cpu")
    memory = BlockMemory(rules)
    graph = network([(32, 3, "Relu", False)] * 3)
    blocks = memory.cut(graph)
    assert blocks is not None
    kernels = detect_kernels(graph, rules)
    memory.learn(graph, blocks, kernels, {"rewrite"})
    assert memory.find(graph, blocks) == kernels
    memory.learn(graph, blocks, [*kernels[:-1], kernels[0]], {"rewrite"})
    other = [Kernel(k.name, kernels[0].signature, k.nodes) for k in kernels]
    memory.learn(graph, blocks, other, {"rewrite"})
    assert memory.find(graph, blocks) is None
    assert memory.cut(graph) is None


def test_networks_that_passes_of_wider_reach_changed_teach_nothing() -> None:
    rules = fresh("onnxruntime_cpu")
    memory = BlockMemory(rules)
    graph = network([(32, 3, "Relu", False)] * 3)
    blocks = memory.cut(graph)
    assert blocks is not None
    memory.learn(graph, blocks, detect_kernels(graph, rules), {"rewrite", "push_transposes"})
    assert memory.find(graph, blocks) is None


def test_another_process_begins_with_nothing() -> None:
    rules = fresh("onnxruntime_cpu")
    memory = BlockMemory(rules)
    graph = network([(32, 3, "Relu", False)] * 3)
    blocks = memory.cut(graph)
    assert blocks is not None
    memory.learn(graph, blocks, detect_kernels(graph, rules), {"rewrite"})
    again = pickle.loads(pickle.dumps(memory))
    assert again.find(graph, again.cut(graph) or ()) in (None, [])
    assert again.cut(graph) is not None
