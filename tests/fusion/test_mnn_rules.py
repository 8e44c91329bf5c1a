"""Detected kernels under the rule set for MNN on CPUs, against those that the runtime was seen to run."""

from __future__ import annotations

from collections import Counter

import pytest

from nnmeter.fusion.loading import load_rules
from tests.fusion.agreement import SAMPLES, ZOO, described, detected, executed, f1
from tests.fusion.mnn_cases import MNN_CASES
from tests.fusion.models import Case

RULES = load_rules("mnn_cpu")


@pytest.mark.parametrize("case", MNN_CASES, ids=str)
def test_kernels_are_those_that_the_runtime_was_seen_to_run(case: Case) -> None:
    assert Counter(kernel.type for kernel in detected(case.model(), RULES)) == Counter(case.kernels.split())


@pytest.mark.parametrize("case", MNN_CASES, ids=str)
def test_kernels_are_those_that_the_runtime_runs(case: Case) -> None:
    assert described(detected(case.model(), RULES)) == described(executed(case.model(), "mnn", "MNN"))


@pytest.mark.skipif(not ZOO.is_dir(), reason="the zoo is not here")
@pytest.mark.parametrize("name", SAMPLES)
def test_kernels_of_the_zoo(name: str) -> None:
    path = ZOO / f"{name}.onnx"
    assert f1(detected(path, RULES), executed(path, "mnn", "MNN")) >= 0.97
