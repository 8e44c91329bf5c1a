"""Detected kernels of the zoo, counted by type, against what ONNX Runtime 1.32 was seen to run on a CPU with AVX-512.

The rules are those of the packs that ship, which are of CPUs with AVX-512 as well. `zoo_kernels.json` and
`zoo_quantized_kernels.json` hold the counts of the runtime's own dumps; `benchmarks/fusion_truth.py` makes the dumps
anew and compares shapes as well.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.devices import list_devices, load_pack
from nnmeter.devices.catalog import is_shipped
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels

DATA = Path(__file__).parents[2] / "data"
COUNTS_OF: dict[str, dict[str, dict[str, int]]] = {
    folder: json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    for folder, name in {"zoo": "zoo_kernels.json", "zoo-quantized": "zoo_quantized_kernels.json"}.items()
}
LIMITS = {"zoo": (1.0, 1.0), "zoo-quantized": (0.9998, 0.99)}  # of the mean and of the worst
PACKS = [d.id for d in list_devices() if is_shipped(d.path) and d.card.runtime == "onnxruntime"]
RULES = load_pack(PACKS[0]).rules


def f1(folder: str, name: str) -> float:
    found = Counter(k.type for k in detect_kernels(bind_shapes(read_model(DATA / folder / f"{name}.onnx")), RULES))
    expected = Counter(COUNTS_OF[folder][name])
    return 2 * (found & expected).total() / (found.total() + expected.total())


def test_the_packs_of_onnxruntime_run_with_the_same_rules() -> None:
    assert len(PACKS) == 9
    sources = [load_pack(pack).rules_source for pack in PACKS]
    blocks = [source.parameters["block"] for source in sources]
    assert sorted(blocks) == [8] + [16] * 8, "cores with AVX2 alone have blocks of eight channels"
    assert len({(source.name, block, source.runs_with) for source, block in zip(sources, blocks, strict=True)}) == 2
    assert RULES.parameters["block"] == 16


@pytest.mark.parametrize("folder", COUNTS_OF)
def test_kernels_of_the_zoo(folder: str) -> None:
    if not (DATA / folder).is_dir():
        pytest.skip("the zoo is not here")
    scores = {name: f1(folder, name) for name in COUNTS_OF[folder]}
    worst = min(scores, key=lambda name: scores[name])
    mean_limit, worst_limit = LIMITS[folder]
    assert scores[worst] >= worst_limit, f"{worst}: {scores[worst]:.4f}"
    assert sum(scores.values()) / len(scores) >= mean_limit
