"""The memory of whole models: its parts, what holds the peak, and what is said of other runtimes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

import nnmeter
from nnmeter.devices import load_pack
from nnmeter.memory.memory import predict_memory_on
from tests.conftest import REPOSITORY, ZOO, make_small_model

SCHEMA = json.loads((REPOSITORY / "docs" / "schema" / "memory.schema.json").read_text(encoding="utf-8"))

INPUT, HIDDEN = 16 * 14 * 14 * 4, 32 * 14 * 14 * 4


@pytest.fixture
def memory(small_pack: Path) -> nnmeter.MemoryPrediction:
    return nnmeter.predict_memory(make_small_model(), small_pack)


def test_the_parts_make_up_the_peak(memory: nnmeter.MemoryPrediction) -> None:
    assert memory.peak_bytes == memory.weights_bytes + memory.activations_bytes + memory.session_bytes
    assert memory.inputs_bytes == INPUT
    assert memory.weights_bytes >= (32 * 16 * 9 + 32 + 10 * 32 + 10) * 4
    assert memory.live_bytes == INPUT + HIDDEN  # blocked input and output of the convolution
    assert memory.planned_bytes >= memory.live_bytes


def test_the_tensors_that_hold_the_peak_are_named(memory: nnmeter.MemoryPrediction) -> None:
    assert sum(held.bytes for held in memory.at_peak) == memory.live_bytes
    assert memory.at_peak[0].bytes == HIDDEN
    assert memory.peak_step is not None
    assert memory.at_peak[0].kernel == memory.peak_step.kernel


def test_activations_grow_with_the_batch_and_weights_do_not(small_pack: Path) -> None:
    sizes = nnmeter.InputSizes(dims={"batch": (1, 8)})
    one, eight = predict_memory_on(load_pack(small_pack), make_small_model(batch="batch"), sizes)
    assert eight.live_bytes == 8 * one.live_bytes
    assert eight.weights_bytes == one.weights_bytes
    assert dict(eight.dims) == {"batch": 8}


def test_of_another_runtime_it_is_said_what_is_not_known() -> None:
    found = nnmeter.predict_memory(ZOO / "squeezenet1_1-224.onnx", "cortexA76cpu_tflite21")
    assert found.session_bytes == 0
    assert found.planned_bytes == found.activations_bytes >= found.live_bytes
    assert any("tflite" in warning for warning in found.warnings)


def test_the_verb(cli: Callable, small_model: Path, small_pack: Path) -> None:
    outcome = cli("memory", small_model, "--device", small_pack, "--format", "json")
    document = json.loads(outcome.out)
    jsonschema.validate(document, SCHEMA)
    assert document["peak_bytes"] == sum(
        document[part] for part in ("weights_bytes", "activations_bytes", "session_bytes")
    )
    assert len(document["steps"]) == len(
        json.loads(cli("kernels", small_model, "--device", small_pack, "--format", "json").out)["kernels"]
    )
    table = cli("memory", small_model, "--device", small_pack).out
    assert "while it runs" in table
    assert document["peak_kernel"] in table
    rows = cli("memory", small_model, small_model, "--device", small_pack, "--format", "csv").out.splitlines()
    assert len(rows) == 3


def test_of_several_models_one_that_cannot_be_predicted_is_passed_over(
    cli: Callable, small_model: Path, small_pack: Path, tmp_path: Path
) -> None:
    free = tmp_path / "free.onnx"
    free.write_bytes(make_small_model(batch="batch").SerializeToString())
    outcome = cli("memory", free, small_model, "--device", small_pack, "--format", "csv")
    assert outcome.code == 1
    assert len(outcome.out.splitlines()) == 2
    assert outcome.err.splitlines()[0].startswith(f"passed over: {free}: input 'input' has free dimensions (batch)")
    assert outcome.err.splitlines()[-1] == "nnmeter: 1 of 2 models could not be predicted"
    assert cli("memory", free, "--device", small_pack).code == 2


def test_a_limit_is_checked_after_the_report(cli: Callable, small_model: Path, small_pack: Path) -> None:
    outcome = cli("memory", small_model, "--device", small_pack, "--max-mib", "0.001")
    assert outcome.code == 1
    assert "over --max-mib 0.001" in outcome.error_line
    assert "while it runs" in outcome.out
    assert cli("memory", small_model, "--device", small_pack, "--max-mib", "1000").code == 0
