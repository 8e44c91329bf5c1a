"""Sessions of ONNX Runtime with fewer optimizations: each executes what the rules of its name detect."""

from __future__ import annotations

import pytest

from nnmeter.fusion.loading import load_rules
from nnmeter.fusion.ruleset_index import rule_set_of
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.runtimes import load_runtime
from tests.fusion.agreement import ZOO, detected, executed, f1
from tests.fusion.models import CONV, case

LEVELS = ("onnxruntime-unoptimized", "onnxruntime-basic", "onnxruntime-extended")
SAMPLES = ("squeezenet1_1-224", "mobilenet_v3_small-224", "shufflenet_v2_x0_5-224", "bert-tiny", "gpt2-64")

MODEL = case(
    "a convolution with what stands behind it",
    "",
    "float[1,16,8,8] x", "float[1,16,8,8] y",
    f"a={CONV}(x,w) b=BatchNormalization(a,s,t,m,v) c=Relu(b) d=Identity(c) y=Sigmoid(d)",
    w=(16, 16, 3, 3), s=(16,), t=(16,), m=(16,), v=(16,),
)  # fmt: skip

EXPECTED = {
    "onnxruntime-unoptimized": "Conv BatchNormalization Relu Identity Sigmoid",
    "onnxruntime-basic": "Conv Relu Sigmoid",
    "onnxruntime-extended": "Conv+Relu Sigmoid",
}


def kernels_of(model: object, runtime: str) -> tuple[list[Kernel], list[Kernel]]:
    """Detected and executed ones."""
    return detected(model, load_rules(rule_set_of(runtime).id)), executed(model, runtime, "onnxruntime")


@pytest.mark.parametrize("runtime", LEVELS)
def test_each_level_has_kernels_of_its_own(runtime: str) -> None:
    expected = EXPECTED[runtime].split()
    for kernels in kernels_of(MODEL.model(), runtime):
        assert [kernel.type for kernel in kernels] == expected


@pytest.mark.skipif(not ZOO.is_dir(), reason="the zoo is not here")
@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("runtime", LEVELS)
def test_kernels_of_the_zoo(runtime: str, name: str) -> None:
    assert f1(*kernels_of(ZOO / f"{name}.onnx", runtime)) >= 0.95


@pytest.mark.parametrize("runtime", LEVELS)
def test_the_level_is_a_setting_that_is_recorded(runtime: str) -> None:
    pytest.importorskip("onnxruntime")
    settings = load_runtime(runtime).device_settings(1)
    assert settings["graph_optimization_level"] == runtime.split("-")[1].replace("unoptimized", "disabled")
