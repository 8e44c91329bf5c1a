"""The same network as a graph of the benchmark and as ONNX gives the same kernels, on every device."""

from __future__ import annotations

from collections import Counter

import pytest

from nnmeter.api import load_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.lab.importing.node_list import graph_of_node_list
from tests.lab.importing.conftest import FAMILIES, excerpt
from tests.lab.importing.pairs import as_onnx

RULES = {
    name: load_rules(name)
    for name in ("tflite21_cpu", "tflite21_gpu", "tflite_gpu", "openvino2019r2_myriad", "tensorrt_cuda")
}


def kernels(graph, rules) -> Counter:
    return Counter(kernel.signature.to_json() for kernel in detect_kernels(graph, rules))


@pytest.mark.parametrize("folded", [True, False], ids=["folded", "decomposed"])
@pytest.mark.parametrize("family", FAMILIES)
def test_onnx_has_the_kernels_of_the_benchmark(family: str, folded: bool):
    entry = excerpt(family)[0]
    benchmark = graph_of_node_list(entry["id"], entry["nodes"])
    exported = load_model(as_onnx(entry["nodes"], folded))
    for name, rules in RULES.items():
        expected, found = kernels(benchmark, rules), kernels(exported, rules)
        assert found == expected, f"{name}: missing {expected - found}, added {found - expected}"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_operator_is_in_a_kernel(family: str):
    entry = excerpt(family)[-1]
    graph = graph_of_node_list(entry["id"], entry["nodes"])
    for rules in RULES.values():
        taken = {node for kernel in detect_kernels(graph, rules) for node in kernel.nodes}
        left = {node.op_type for node in graph.nodes if node.name not in taken}
        assert left <= {"Reshape", "Flatten"}
