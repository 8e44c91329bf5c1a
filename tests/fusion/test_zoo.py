"""Detected kernels of the zoo, counted by type, against what ONNX Runtime 1.32 was seen to run on a CPU with AVX-512.

`zoo_kernels.json` holds the counts of the runtime's own dumps; `benchmarks/fusion_truth.py` makes the dumps anew and
compares shapes as well.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.rules import load_rules
from nnmeter.graph.binding import bind_shapes

ZOO = Path(__file__).parents[2] / "data" / "zoo"
COUNTS: dict[str, dict[str, int]] = json.loads(Path(__file__).with_name("zoo_kernels.json").read_text(encoding="utf-8"))
RULES = load_rules("onnxruntime_cpu")


def f1(name: str) -> float:
    found = Counter(k.type for k in detect_kernels(bind_shapes(read_model(ZOO / f"{name}.onnx")), RULES))
    expected = Counter(COUNTS[name])
    return 2 * (found & expected).total() / (found.total() + expected.total())


@pytest.mark.skipif(not ZOO.is_dir(), reason="the zoo is not here")
def test_kernels_of_the_zoo() -> None:
    scores = {name: f1(name) for name in COUNTS}
    worst = min(scores, key=lambda name: scores[name])
    assert sum(scores.values()) / len(scores) >= 0.98
    assert scores[worst] >= 0.92, f"{worst}: {scores[worst]:.3f}"
