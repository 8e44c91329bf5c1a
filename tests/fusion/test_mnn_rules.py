"""Detected kernels under the rule set for MNN on CPUs, against those that the runtime was seen to run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.kernels.kernel import Kernel
from tests.fusion.mnn_cases import MNN_CASES
from tests.fusion.models import Case

RULES = load_rules("mnn_cpu")
ZOO = Path(__file__).parents[2] / "data" / "zoo"
SAMPLES = ("mobilenet_v3_small-224", "shufflenet_v2_x0_5-224", "resnet18-224", "googlenet-224", "bert-mini")


def described(kernels: list[Kernel]) -> Counter[tuple[object, ...]]:
    return Counter((k.type, k.signature.inputs, k.signature.outputs) for k in kernels)


def executed_kernels(model: object) -> list[Kernel]:
    pytest.importorskip("MNN")
    from nnmeter.lab.runtimes import load_runtime

    compiled = load_runtime("mnn").compile(model)  # type: ignore[arg-type]
    try:
        return list(compiled.kernels)
    finally:
        compiled.close()


@pytest.mark.parametrize("case", MNN_CASES, ids=str)
def test_kernels_are_those_that_the_runtime_was_seen_to_run(case: Case) -> None:
    kernels = detect_kernels(bind_shapes(read_model(case.model())), RULES)
    assert Counter(kernel.type for kernel in kernels) == Counter(case.kernels.split())


@pytest.mark.parametrize("case", MNN_CASES, ids=str)
def test_kernels_are_those_that_the_runtime_runs(case: Case) -> None:
    expected = executed_kernels(case.model())
    assert described(detect_kernels(bind_shapes(read_model(case.model())), RULES)) == described(expected)


@pytest.mark.skipif(not ZOO.is_dir(), reason="the zoo is not here")
@pytest.mark.parametrize("name", SAMPLES)
def test_kernels_of_the_zoo(name: str) -> None:
    path = ZOO / f"{name}.onnx"
    expected = described(executed_kernels(path))
    found = described(detect_kernels(bind_shapes(read_model(path)), RULES))
    assert 2 * (expected & found).total() / (expected.total() + found.total()) >= 0.97
