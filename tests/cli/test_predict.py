import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import jsonschema
import onnx
import pytest

from tests.conftest import REPOSITORY, make_small_model

SCHEMA = json.loads((REPOSITORY / "docs" / "schema" / "prediction.schema.json").read_text())


def test_a_model_is_predicted_as_a_table(cli: Callable, small_model: Path, small_pack: Path) -> None:
    outcome = cli("predict", small_model, "--device", small_pack)
    assert outcome.code == 0
    assert outcome.err == ""
    assert "90 % interval" in outcome.out
    assert "Conv" in outcome.out
    assert "outside the trained range" in outcome.out
    assert "GlobalAveragePool x1" in outcome.out


def test_json_follows_the_schema(cli: Callable, small_model: Path, small_pack: Path) -> None:
    document = json.loads(cli("predict", small_model, "--device", small_pack, "--format", "json").out)
    jsonschema.validate(document, SCHEMA)
    assert document["device"] == "test-onnxruntime-1t"
    assert document["model"] == str(small_model)
    low, high = document["interval_ms"]
    assert low < document["latency_ms"] < high
    assert {"conv", "relu"} <= {node for kernel in document["kernels"] for node in kernel["nodes"]}


def test_several_models_are_a_list_in_the_order_given(cli: Callable, small_model: Path, small_pack: Path) -> None:
    other = small_model.with_name("other.onnx")
    shutil.copy(small_model, other)
    outcome = cli("predict", other, small_model, "--device", small_pack, "--format", "json")
    documents = json.loads(outcome.out)
    jsonschema.validate(documents, SCHEMA)
    assert [document["model"] for document in documents] == [str(other), str(small_model)]


def test_a_folder_stands_for_its_models_by_name(cli: Callable, small_model: Path, small_pack: Path) -> None:
    folder = small_model.parent / "folder"
    folder.mkdir()
    for name in ("b.onnx", "a.onnx", "notes.txt"):
        shutil.copy(small_model, folder / name)
    outcome = cli("predict", folder, "--device", small_pack, "--format", "csv")
    assert [line.split(",")[0] for line in outcome.out.splitlines()[1:]] == [f"{folder}/a.onnx", f"{folder}/b.onnx"]


def test_free_dimensions_are_bound(cli: Callable, tmp_path: Path, small_pack: Path) -> None:
    onnx.save(make_small_model(batch="batch"), tmp_path / "dynamic.onnx")
    arguments = ("predict", tmp_path / "dynamic.onnx", "--device", small_pack, "--format", "json")
    one, four, shaped = (
        json.loads(cli(*arguments, *binding).out)["latency_ms"]
        for binding in (["--dim", "batch=1"], ["--dim", "batch=4"], ["--shape", "input=4x16x14x14"])
    )
    assert one < four == shaped


def test_strict_refuses_fallback_prices_with_code_1(cli: Callable, small_model: Path, small_pack: Path) -> None:
    outcome = cli("predict", small_model, "--device", small_pack, "--strict", "--output", "out.txt")
    assert outcome.code == 1
    assert outcome.out == ""
    assert "GlobalAveragePool" in outcome.error_line
    assert not os.path.exists("out.txt")


def test_output_goes_to_a_file_whole(cli: Callable, small_model: Path, small_pack: Path) -> None:
    outcome = cli("predict", small_model, "--device", small_pack, "--format", "json", "--output", "out.json")
    assert (outcome.code, outcome.out) == (0, "")
    jsonschema.validate(json.loads(Path("out.json").read_text()), SCHEMA)
    assert os.listdir() == ["out.json"]


def test_without_device_the_nearest_is_taken_and_named(
    cli: Callable, small_model: Path, small_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnmeter.devices.catalog._shipped_directories", list)
    monkeypatch.setenv("NNMETER_PACKS", str(small_pack.parent))
    outcome = cli("predict", small_model, "--format", "json")
    assert outcome.code == 0
    assert "taking test-onnxruntime-1t: " in outcome.error_line
    assert json.loads(outcome.out)["device"] == "test-onnxruntime-1t"


def test_the_runtime_can_be_asked_for_the_kernels(cli: Callable, small_model: Path, small_pack: Path) -> None:
    pytest.importorskip("onnxruntime")
    arguments = ("predict", small_model, "--device", small_pack, "--format", "json")
    outcome = cli(*arguments, "--kernels-from", "runtime")
    assert outcome.code == 0, outcome.err
    by_runtime = json.loads(outcome.out)
    assert by_runtime["latency_ms"] == pytest.approx(json.loads(cli(*arguments).out)["latency_ms"], rel=0.3)
