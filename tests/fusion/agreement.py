"""How far detected kernels are those that a runtime executes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.kernels.kernel import Kernel

ZOO = Path(__file__).parents[2] / "data" / "zoo"
SAMPLES = ("mobilenet_v3_small-224", "shufflenet_v2_x0_5-224", "resnet18-224", "googlenet-224", "bert-mini")

Described = Counter[tuple[object, ...]]


def described(kernels: list[Kernel]) -> Described:
    """Kernels as a multiset of types and shapes."""
    return Counter((k.type, k.signature.inputs, k.signature.outputs) for k in kernels)


def detected(model: Any, rules: FusionRules) -> list[Kernel]:
    """By rules."""
    return detect_kernels(bind_shapes(read_model(model)), rules)


def executed(model: Any, runtime: str, package: str) -> list[Kernel]:
    """By the runtime, where its package is installed."""
    pytest.importorskip(package)
    from nnmeter.lab.runtimes import load_runtime

    compiled = load_runtime(runtime).compile(model)
    try:
        return list(compiled.kernels)
    finally:
        compiled.close()


def f1(found: list[Kernel], expected: list[Kernel]) -> float:
    """Twice what both have in common, by what they have together."""
    ours, theirs = described(found), described(expected)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())
