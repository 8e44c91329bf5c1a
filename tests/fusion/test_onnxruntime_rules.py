"""Detected kernels of small models, one case a rule of the rule set for ONNX Runtime on CPUs."""

from __future__ import annotations

from collections import Counter

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules, with_parameters
from nnmeter.kernels.kernel import Kernel
from tests.fusion.convolution_cases import CONVOLUTION_CASES
from tests.fusion.models import CONV, Case, make_graph
from tests.fusion.other_cases import OTHER_CASES
from tests.fusion.quantized_cases import QUANTIZED_CASES

RULES = load_rules("onnxruntime_cpu")


@pytest.mark.parametrize("case", [*CONVOLUTION_CASES, *OTHER_CASES, *QUANTIZED_CASES], ids=str)
def test_kernels_are_those_that_the_runtime_was_seen_to_make(case: Case) -> None:
    kernels = detect_kernels(bind_shapes(read_model(case.model())), RULES)
    assert Counter(kernel.type for kernel in kernels) == Counter(case.kernels.split())


def weight_shapes(kernels: list[Kernel]) -> list[tuple[int, ...] | None]:
    weights = [kernel.signature.inputs[1] for kernel in kernels if kernel.type == "nchwc.Conv"]
    return [None if weight is None else weight.shape for weight in weights]


def test_block_size_is_a_parameter() -> None:
    graph = make_graph(f"agraph (float[1,24,8,8] x) => (float[1,24,8,8] y) {{ y={CONV}(x,w) }}", w=(24, 24, 3, 3))
    wide = detect_kernels(graph, RULES)
    narrow = detect_kernels(graph, with_parameters(RULES, block=8))
    assert weight_shapes(wide) == [(32, 32, 3, 3)]
    assert weight_shapes(narrow) == [(24, 24, 3, 3)]


def test_without_blocks_there_is_no_layout() -> None:
    graph = make_graph(
        f"agraph (float[1,32,8,8] x) => (float[1,32,8,8] y) {{ a={CONV}(x,w) y=Relu(a) }}", w=(32, 32, 3, 3)
    )
    kernels = detect_kernels(graph, with_parameters(RULES, block=1))
    assert [kernel.type for kernel in kernels] == ["Conv+Relu"]


def test_fused_kernels_list_the_operators_that_they_absorbed() -> None:
    text = f"agraph (float[1,32,8,8] x) => (float[1,32,8,8] y) {{ a={CONV}(x,w) b={CONV}(x,v) c=Add(a,b) y=Relu(c) }}"
    graph = make_graph(text, w=(32, 32, 3, 3), v=(32, 32, 3, 3))
    names = {node.outputs[0]: node.name for node in graph.nodes}
    (fused,) = [kernel for kernel in detect_kernels(graph, RULES) if kernel.type == "nchwc.Conv+Add+Relu"]
    assert set(fused.nodes) == {names["a"], names["c"], names["y"]}
