"""Sessions of ONNX Runtime with fewer optimizations: each executes what the rules of its name detect."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.fusion.ruleset_index import rule_set_of
from nnmeter.kernels.kernel import Kernel
from tests.conftest import ZOO
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


def detected(model: object, runtime: str) -> list[Kernel]:
    return detect_kernels(bind_shapes(read_model(model)), load_rules(rule_set_of(runtime).id))  # type: ignore[arg-type]


def described(kernels: list[Kernel]) -> Counter[tuple[object, ...]]:
    return Counter((k.type, k.signature.inputs, k.signature.outputs) for k in kernels)


def executed(model: object, runtime: str) -> list[Kernel]:
    ort = pytest.importorskip("nnmeter.lab.runtimes.onnxruntime")
    adapters = (ort.UnoptimizedAdapter, ort.BasicAdapter, ort.ExtendedAdapter)
    (adapter,) = [one for one in adapters if one.name == runtime]
    compiled = adapter().compile(model)
    try:
        return list(compiled.kernels)
    finally:
        compiled.close()


@pytest.mark.parametrize("runtime", LEVELS)
def test_each_level_has_kernels_of_its_own(runtime: str) -> None:
    expected = EXPECTED[runtime].split()
    assert [kernel.type for kernel in detected(MODEL.model(), runtime)] == expected
    assert [kernel.type for kernel in executed(MODEL.model(), runtime)] == expected


@pytest.mark.skipif(not ZOO.is_dir(), reason="the zoo is not here")
@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("runtime", LEVELS)
def test_kernels_of_the_zoo(runtime: str, name: str) -> None:
    path: Path = ZOO / f"{name}.onnx"
    assert described(detected(path, runtime)) == described(executed(path, runtime))


@pytest.mark.parametrize("runtime", LEVELS)
def test_the_level_is_a_setting_that_is_recorded(runtime: str) -> None:
    ort = pytest.importorskip("nnmeter.lab.runtimes.onnxruntime")
    adapters = (ort.UnoptimizedAdapter, ort.BasicAdapter, ort.ExtendedAdapter)
    levels = {one.name: one().device_settings(1)["graph_optimization_level"] for one in adapters}
    assert levels[runtime] == {"unoptimized": "disabled"}.get(runtime.split("-")[1], runtime.split("-")[1])
