"""Detected kernels under the rule set for OpenVINO on CPUs, against those that the runtime was seen to make."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.devices.machine import this_machine
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.for_machine import rules_for_machine
from nnmeter.fusion.loading import load_rules
from nnmeter.kernels.kernel import Kernel
from tests.fusion.models import Case, make_graph
from tests.fusion.openvino_cases import OPENVINO_CASES
from tests.fusion.openvino_dynamic_cases import DYNAMIC_CASES
from tests.fusion.openvino_signed_cases import SIGNED_CASES, SignedCase
from tests.fusion.openvino_static_cases import STATIC_CASES, quantized_case

RULES = load_rules("openvino_cpu")
RULES_HERE = rules_for_machine(RULES, this_machine().isa)
WITHOUT_AMX, WITH_AMX = (rules_for_machine(RULES, isa) for isa in ("avx512-vnni", "amx"))
CASES = (*OPENVINO_CASES, *DYNAMIC_CASES, *STATIC_CASES)
QUANTIZED = Path(__file__).parents[2] / "data" / "zoo-quantized"
QUANTIZED_SAMPLES = (
    "resnet18-160-b4.qdq-u8s8-channel",
    "mobilenet_v2-224.qdq-u8s8-channel",
    "regnety_008-224.qdq-u8s8-channel",
    "bert-tiny.dynamic-channel",
    "hrnet_w18_small-224.qdq-s8s8",
    "mixer_s32_224-224.qdq-u8s8",
    "shufflenet_v2_x1_0-224.qdq-u8s8",
    "vit_small_patch32_224-224.qdq-s8s8-channel",
)
# Weights that the plugin unpacks otherwise without AVX-512 (`ONEDNN_MAX_CPU_ISA=AVX2`): no rule knows that yet.
SAMPLES_OF_AVX512 = ("bert-mini.int4-b32-a4", "fdmobilenet_w1-224.qdq-u8u8")
# What the plugin makes of these with AMX was not seen since the rules for them were written.
SAMPLES_WITHOUT_AMX = ("repvgg_a0-224.qdq-s8s8", "mobilenet_v3_small-224.qdq-s8s8")
ZOO = Path(__file__).parents[2] / "data" / "zoo"
SAMPLES = ("mobilenet_v3_small-224", "shufflenet_v2_x0_5-224", "resnet18-224", "googlenet-224", "bert-tiny")


def described(kernels: list[Kernel]) -> Counter[tuple[object, ...]]:
    return Counter((k.type, k.signature.inputs, k.signature.outputs) for k in kernels)


def executed_kernels(model: object) -> list[Kernel]:
    pytest.importorskip("openvino")
    from nnmeter.lab.runtimes import load_runtime

    compiled = load_runtime("openvino").compile(model)  # type: ignore[arg-type]
    try:
        return list(compiled.kernels)
    finally:
        compiled.close()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels_are_those_that_the_runtime_was_seen_to_make(case: Case) -> None:
    kernels = detect_kernels(bind_shapes(read_model(case.model())), RULES)
    assert Counter(kernel.type for kernel in kernels) == Counter(case.kernels.split())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels_are_those_of_the_runtime_graph(case: Case) -> None:
    expected = executed_kernels(case.model())
    assert described(detect_kernels(bind_shapes(read_model(case.model())), RULES_HERE)) == described(expected)


@pytest.mark.parametrize("case", SIGNED_CASES, ids=str)
def test_signed_data_of_convolutions_are_unsigned_without_amx(case: SignedCase) -> None:
    for rules, expected in ((WITHOUT_AMX, case.case.kernels), (WITH_AMX, case.with_amx)):
        kernels = detect_kernels(bind_shapes(read_model(case.case.model())), rules)
        assert Counter(kernel.type for kernel in kernels) == Counter(expected.split())
        data = {kind.dtype for k in kernels if k.type.startswith("Conv") and (kind := k.signature.inputs[0])}
        assert ("uint8" in data) is (rules is WITHOUT_AMX and bool(data))
        assert "int8" not in data or rules is WITH_AMX


@pytest.mark.parametrize("case", SIGNED_CASES, ids=str)
def test_kernels_of_signed_data_are_those_of_the_runtime_graph(case: SignedCase) -> None:
    if this_machine().isa == "amx":
        pytest.skip("what the runtime makes of these graphs with AMX was not seen")
    expected = executed_kernels(case.case.model())
    assert described(detect_kernels(bind_shapes(read_model(case.case.model())), RULES_HERE)) == described(expected)


@pytest.mark.parametrize(("isa", "becomes_one"), [("avx2", False), ("avx512", False), ("avx512-vnni", True)])
def test_attention_of_integers_is_one_kernel_with_vnni(isa: str, becomes_one: bool) -> None:
    case = quantized_case(
        "attention of integers", "", "float[1,4,8,8] x", "float[1,4,8,8] y",
        "x -> xs,i0 -> a x -> ts,i0 -> k x -> ys,i0 -> c m=MatMul(a,k) m -> ts,i0 -> d s=Softmax(d) s -> xs,i0 -> e "
        "n=MatMul(e,c) n -> ys,i0 -> f y=Exp(f)",
    )  # fmt: skip
    kernels = detect_kernels(bind_shapes(read_model(case.model())), rules_for_machine(RULES, isa))
    types = Counter(kernel.type.partition("+")[0] for kernel in kernels)
    assert (types["Attention"], types["MatMul"]) == ((1, 0) if becomes_one else (0, 2))


@pytest.mark.skipif(not ZOO.is_dir(), reason="the zoo is not here")
@pytest.mark.parametrize("name", SAMPLES)
def test_kernels_of_the_zoo(name: str) -> None:
    path = ZOO / f"{name}.onnx"
    expected = described(executed_kernels(path))
    found = described(detect_kernels(bind_shapes(read_model(path)), RULES_HERE))
    assert 2 * (expected & found).total() / (expected.total() + found.total()) >= 0.98


@pytest.mark.skipif(not QUANTIZED.is_dir(), reason="the quantized zoo is not here")
@pytest.mark.parametrize("name", [*QUANTIZED_SAMPLES, *SAMPLES_OF_AVX512, *SAMPLES_WITHOUT_AMX])
def test_kernels_of_quantized_models(name: str) -> None:
    if name in SAMPLES_OF_AVX512 and not this_machine().isa.startswith(("avx512", "amx")):
        pytest.skip("the rules for this model's weights are those of processors with AVX-512")
    if name in SAMPLES_WITHOUT_AMX and this_machine().isa == "amx":
        pytest.skip("the rules for this model are those of processors without AMX")
    path = QUANTIZED / f"{name}.onnx"
    expected = described(executed_kernels(path))
    assert described(detect_kernels(bind_shapes(read_model(path)), RULES_HERE)) == expected


def test_layout_is_an_attribute_of_what_lies_channels_last() -> None:
    graph = make_graph("agraph (float[1,16,8,8] x) => (float[1,16,8,8] y) { a=Conv(x,w) y=Relu(a) }", w=(16, 16, 1, 1))
    layouts = {kernel.type: kernel.signature.attribute("layout") for kernel in detect_kernels(graph, RULES)}
    assert layouts == {"ReorderInput": None, "Conv+Relu": "acdb", "ReorderOutput": None}


def test_fused_kernels_list_the_operators_that_they_absorbed() -> None:
    text = "agraph (float[1,16,8,8] x) => (float[1,16,8,8] y) { a=Conv(x,w) b=Conv(x,v) c=Add(a,b) y=Relu(c) }"
    graph = make_graph(text, w=(16, 16, 1, 1), v=(16, 16, 1, 1))
    names = {node.outputs[0]: node.name for node in graph.nodes}
    (fused,) = [kernel for kernel in detect_kernels(graph, RULES) if kernel.type == "Conv+Add+Relu"]
    assert set(fused.nodes) == {names["a"], names["c"], names["y"]}
