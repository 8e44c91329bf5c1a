"""Random networks of other types than float32: what ONNX Runtime executes of them, and that detection foresees it."""

from __future__ import annotations

from collections import Counter

import onnx
import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.devices.machine import this_machine
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.for_machine import rules_for_machine
from nnmeter.fusion.loading import load_rules
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.campaign.recipes import random_network
from nnmeter.lab.campaign.recipes.network import PRIOR

pytest.importorskip("onnxruntime")

RULES = rules_for_machine(load_rules("onnxruntime_cpu"), this_machine().isa)
SHARES = {
    "quantized_static": 0.11, "quantized_static_tokens": 0.05, "quantized_dynamic": 0.06,
    "quantized_dynamic_maps": 0.03, "half_precision": 0.10, "quantized_blocks": 0.05,
}  # fmt: skip


def executed(model: onnx.ModelProto) -> list[Kernel]:
    from nnmeter.lab.runtimes import load_runtime

    compiled = load_runtime("onnxruntime").compile(model)
    try:
        compiled.run()
        return list(compiled.kernels)
    finally:
        compiled.close()


def described(kernels: list[Kernel]) -> Counter[str]:
    return Counter(
        " ".join([k.signature.type, *map(str, k.signature.inputs), "->", *map(str, k.signature.outputs)])
        for k in kernels
    )


@pytest.mark.parametrize("family", SHARES)
def test_detection_foresees_what_the_runtime_executes(family: str) -> None:
    common = total = 0
    for seed in (1, 2, 3, 4):
        model = random_network(seed, family)
        detected = described(detect_kernels(bind_shapes(read_model(model)), RULES))
        true = described(executed(model))
        common += 2 * (detected & true).total()
        total += detected.total() + true.total()
    assert common / total >= 0.95


@pytest.mark.parametrize(
    ("family", "kernels"),
    [
        ("quantized_static", {"QLinearConv", "QLinearAdd", "QLinearConcat"}),
        ("quantized_static_tokens", {"QLinearMatMul", "QLinearAdd"}),
        ("quantized_dynamic", {"DynamicQuantizeMatMul", "DynamicQuantizeLSTM"}),
        ("quantized_dynamic_maps", {"ConvInteger", "DynamicQuantizeLinear"}),
        ("quantized_blocks", {"MatMulNBits", "GatherBlockQuantized"}),
    ],
)
def test_a_family_samples_the_kernels_of_its_type(family: str, kernels: set[str]) -> None:
    seen: set[str] = set()
    for seed in range(40):
        graph = bind_shapes(read_model(random_network(seed, family, small=True)))
        seen |= {kernel.type for kernel in detect_kernels(graph, RULES)}
        if kernels <= seen:
            return
    raise AssertionError(f"never seen: {kernels - seen}")


def test_weights_are_signed_and_unsigned_by_channel_and_by_tensor() -> None:
    kinds = set()
    for seed in range(30):
        graph = bind_shapes(read_model(random_network(seed, "quantized_static", small=True)))
        for kernel in detect_kernels(graph, RULES):
            if kernel.signature.op_type == "QLinearConv":
                weight, scale = kernel.signature.inputs[3:5]
                assert weight is not None
                assert scale is not None
                kinds.add((weight.dtype, bool(scale.shape)))
    assert kinds == {("int8", True), ("int8", False), ("uint8", True), ("uint8", False)}


def test_shares_of_types_in_the_prior() -> None:
    total = sum(PRIOR.values())
    assert {name: round(PRIOR[name] / total, 4) for name in SHARES} == SHARES
