"""The seeds of the fuzz targets are good files, and what their mutations make of them is priced or refused.

This needs no fuzzer: the same changes are drawn here by hypothesis, some hundreds of them; `make fuzz` draws millions.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnmeter.api import load_model
from nnmeter.binding.bind import bind_shapes
from nnmeter.devices.manifest import MANIFEST, write_manifest
from nnmeter.devices.pack import read_pack
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.prediction.predict import LatencyPredictor
from tests.conftest import REPOSITORY

LONGEST = 65_536
RULES = [load_rules(name) for name in ("onnxruntime_cpu", "openvino_cpu", "mnn_cpu")]
FUZZ = REPOSITORY / "benchmarks" / "fuzz"


@pytest.fixture(scope="module")
def fuzz() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The modules of seeds and of mutations, which are scripts beside the targets and no package."""
    sys.path.insert(0, str(FUZZ))
    try:
        import fuzz_mutations
        import fuzz_seeds

        yield fuzz_seeds, fuzz_mutations
    finally:
        sys.path.remove(str(FUZZ))


@pytest.fixture(scope="module")
def pack(fuzz: tuple[ModuleType, ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fuzz[0].write_pack(tmp_path_factory.mktemp("seeds"))


def price(data: bytes, predictor: LatencyPredictor) -> None:
    model = read_model(data)
    shapes = {
        d.name: [size if isinstance(size, int) else 2 for size in d.dims] for d in model.inputs if d.dims is not None
    }
    graph = bind_shapes(model, InputSizes(shapes=shapes))
    prediction = predictor.price("model", detect_kernels(graph, RULES[len(data) % 2]), graph.warnings)
    low, high = prediction.interval_ms
    assert 0 <= low <= prediction.latency_ms <= high < float("inf")


def test_every_seed_of_the_reader_is_priced_but_the_one_with_an_unequal_split(
    fuzz: tuple[ModuleType, ModuleType], pack: Path
) -> None:
    predictor = LatencyPredictor(read_pack(pack))
    refused = []
    for data in fuzz[0].models():
        try:
            price(data, predictor)
        except NnmeterError as error:
            refused.append(str(error))
    assert len(refused) <= 2, refused


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(which=st.integers(0, 10), seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=6))
def test_mutated_models_are_priced_or_refused(
    fuzz: tuple[ModuleType, ModuleType], pack: Path, which: int, seeds: list[int]
) -> None:
    seed_models = list(fuzz[0].models())
    data = seed_models[which % len(seed_models)]
    for seed in seeds:
        data = fuzz[1].mutate_model(data, LONGEST, seed, fuzz[1].change_bytes)
    with contextlib.suppress(NnmeterError):
        price(data, LatencyPredictor(read_pack(pack)))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(which=st.integers(0, 5), seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=4))
def test_mutated_packs_are_priced_with_or_refused(
    fuzz: tuple[ModuleType, ModuleType], pack: Path, tmp_path_factory: pytest.TempPathFactory, which: int,
    seeds: list[int],
) -> None:  # fmt: skip
    place = tmp_path_factory.mktemp("mutated")
    parts = fuzz[0].PARTS
    for name in parts:
        (place / name).write_bytes((pack / name).read_bytes())
    data = bytes([which]) + (place / parts[which]).read_bytes()
    for seed in seeds:
        data = fuzz[1].mutate_part(data, LONGEST, seed, fuzz[1].change_bytes, parts.index("trees.npz"))
    (place / parts[which]).write_bytes(data[1:])
    if parts[which] != MANIFEST:
        (place / MANIFEST).unlink()
        write_manifest(place)
    with contextlib.suppress(NnmeterError):
        prediction = LatencyPredictor(read_pack(place)).predict(load_model(next(fuzz[0].models()), {"n": 1}))
        assert 0 <= prediction.interval_ms[0] <= prediction.latency_ms <= prediction.interval_ms[1] < float("inf")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
NODE = st.fixed_dictionaries(
    {
        "attr": st.fixed_dictionaries(
            {"type": st.sampled_from(["Conv2D", "Relu", "Split", "MatMul", "ConcatV2", "Mean", "Pad", "Placeholder"])},
            optional={
                "attr": st.dictionaries(
                    st.sampled_from(["kernel_shape", "strides", "padding", "pads"]), JSON, max_size=3
                ),
                "input_shape": JSON | st.just([[1, 8, 8, 4]]),
                "output_shape": JSON | st.just([[1, 8, 8, 4]]),
            },
        ),
        "inbounds": st.lists(st.sampled_from(["a", "b", "c", "nowhere"]), max_size=3),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), NODE | JSON, min_size=1, max_size=3))
def test_any_json_graph_is_read_or_refused(graph: dict[str, Any]) -> None:
    with contextlib.suppress(NnmeterError):
        bind_shapes(read_model(json.dumps(graph).encode()))
