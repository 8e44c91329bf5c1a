"""Detected kernels of small models against the runtime's own dumps, shapes and types included."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from nnmeter.binding.bind import bind_shapes
from nnmeter.devices.machine import this_machine
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.fusion.for_machine import rules_for_machine
from nnmeter.fusion.loading import load_rules
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.runtimes import load_runtime
from nnmeter.lab.runtimes.executed import kernels_of_executed_graph
from tests.fusion.convolution_cases import CONVOLUTION_CASES
from tests.fusion.models import CONV, Case, make_graph, make_model
from tests.fusion.other_cases import OTHER_CASES
from tests.fusion.quantized_cases import QUANTIZED_CASES
from tests.fusion.random_graphs import WEIGHTS, random_texts

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.needs_onnxruntime((1, 30))  # older ones fuse otherwise


@pytest.fixture(scope="module")
def rules() -> FusionRules:
    """The rules for this machine."""
    return rules_for_machine(load_rules("onnxruntime_cpu"), this_machine().isa)


def executed_kernels(model: object) -> list[Kernel]:
    return kernels_of_executed_graph(load_runtime("onnxruntime").executed_graph(model))  # type: ignore[attr-defined]


def described(kernels: list[Kernel]) -> Counter[tuple[object, ...]]:
    return Counter((k.type, k.signature.inputs, k.signature.outputs) for k in kernels)


def test_the_block_of_this_machine_is_the_one_that_the_runtime_uses(rules: FusionRules) -> None:
    """A convolution to four channels is padded to a block; where the runtime has no blocked layout a block is 1."""
    model = make_model(f"agraph (float[1,3,8,8] x) => (float[1,4,8,8] y) {{ y={CONV}(x,w) }}", w=(4, 3, 3, 3))
    blocked = [kernel for kernel in executed_kernels(model) if kernel.type == "nchwc.Conv"]
    assert rules.parameters["block"] == (blocked[0].signature.outputs[0].shape[1] if blocked else 1)


@pytest.mark.parametrize("case", [*CONVOLUTION_CASES, *OTHER_CASES, *QUANTIZED_CASES], ids=str)
def test_kernels_are_those_of_the_dump(case: Case, rules: FusionRules) -> None:
    detected = detect_kernels(bind_shapes(read_model(case.model())), rules)
    assert described(detected) == described(executed_kernels(case.model()))


@given(random_texts())
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_kernels_of_random_graphs_are_those_of_the_dump(rules: FusionRules, text: str) -> None:
    detected = detect_kernels(make_graph(text, **WEIGHTS), rules)
    assert described(detected) == described(executed_kernels(make_model(text, **WEIGHTS)))
