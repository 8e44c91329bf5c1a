import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import jsonschema
import onnx
import pytest
from onnx import TensorProto, helper

from tests.conftest import REPOSITORY, make_small_model
from tests.devices.packs import change_price, copy_pack

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


def test_several_sizes_give_a_row_each(cli: Callable, tmp_path: Path, small_pack: Path) -> None:
    onnx.save(make_small_model(batch="batch"), tmp_path / "dynamic.onnx")
    arguments = ("predict", tmp_path / "dynamic.onnx", "--device", small_pack, "--dim", "batch=1,2,8")
    documents = json.loads(cli(*arguments, "--format", "json").out)
    jsonschema.validate(documents, SCHEMA)
    assert [document["dims"] for document in documents] == [{"batch": 1}, {"batch": 2}, {"batch": 8}]
    lines = cli(*arguments).out.splitlines()
    assert lines[0] == f"{tmp_path / 'dynamic.onnx'} on test-onnxruntime-1t"
    heading = next(i for i, line in enumerate(lines) if line.startswith("batch"))
    assert [line.split()[0] for line in lines[heading + 2 : heading + 5]] == ["1", "2", "8"]
    rows = list(csv.DictReader(io.StringIO(cli(*arguments, "--format", "csv").out)))
    assert [row["dims"] for row in rows] == ["batch=1", "batch=2", "batch=8"]
    assert "| 8 |" in cli(*arguments, "--format", "md").out


def test_one_list_with_one_value_is_one_prediction(cli: Callable, tmp_path: Path, small_pack: Path) -> None:
    onnx.save(make_small_model(batch="batch"), tmp_path / "dynamic.onnx")
    arguments = ("predict", tmp_path / "dynamic.onnx", "--device", small_pack, "--dim", "batch=4,4")
    document = json.loads(cli(*arguments, "--format", "json").out)
    assert document["dims"] == {"batch": 4}
    assert "(batch=4) on test-onnxruntime-1t" in cli(*arguments).out


def test_a_shape_that_depends_on_data_is_told_or_assumed(cli: Callable, tmp_path: Path, small_pack: Path) -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["found"], "nz"), helper.make_node("Cast", ["found"], ["y"], "c", to=1)]
    kinds = {"x": [64, 64], "y": None}
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in kinds.items())
    graph = helper.make_graph(nodes, "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    arguments = ("predict", tmp_path / "m.onnx", "--device", small_pack, "--format", "json")
    bounded = json.loads(cli(*arguments).out)
    assumed = json.loads(cli(*arguments, "--assume", "found=2x10").out)
    assert "tensor 'found' (NonZero of node 'nz'): the data decides" in bounded["warnings"][0]
    assert "tensor 'found' (NonZero of node 'nz'): 2x10 as assumed" in assumed["warnings"][0]
    assert assumed["latency_ms"] < bounded["latency_ms"]
    assert "2x10 as assumed" in cli("kernels", *arguments[1:], "--assume", "found=2x10").out
    assert "no node writes a tensor 'none'" in cli(*arguments, "--assume", "none=1").error_line


@pytest.fixture
def several_packs(small_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server's processor, and a phone's graphics processor which is four times as slow."""
    folder = tmp_path / "packs"
    copy_pack(small_pack, folder, "zeon-1t")
    change_price(copy_pack(small_pack, folder, "adreno", "tflite-gpu", kind="gpu"), 4.0)
    monkeypatch.setattr("nnmeter.devices.catalog._shipped_directories", list)
    monkeypatch.setenv("NNMETER_PACKS", str(folder))
    return folder


@pytest.mark.usefixtures("several_packs")
@pytest.mark.parametrize(
    "choice", [["all"], ["zeon*,adreno"], ["zeon-1t", "a*"], ["zeon-1t", "adreno", "all"]], ids=" ".join
)
def test_several_devices_give_a_row_each(cli: Callable, small_model: Path, choice: list[str]) -> None:
    arguments = ["predict", small_model, *(part for device in choice for part in ("--device", device))]
    documents = json.loads(cli(*arguments, "--format", "json").out)
    jsonschema.validate(documents, SCHEMA)
    assert [document["device"] for document in documents] == ["zeon-1t", "adreno"]
    assert documents[1]["latency_ms"] > 3 * documents[0]["latency_ms"]
    lines = cli(*arguments).out.splitlines()
    assert lines[0] == str(small_model)
    rows = [line for line in lines if line.startswith(("zeon-1t", "adreno"))]
    assert [row.split()[0] for row in rows] == ["zeon-1t", "adreno"]
    assert all(f"{len(documents[0]['kernels'])}" in row and " - " in row and "%" in row for row in rows)
    assert [r["device"] for r in csv.DictReader(io.StringIO(cli(*arguments, "--format", "csv").out))] == [
        "zeon-1t", "adreno",
    ]  # fmt: skip
    assert "| adreno |" in cli(*arguments, "--format", "md").out


@pytest.mark.usefixtures("several_packs")
def test_several_models_on_several_devices_give_a_row_each(cli: Callable, small_model: Path) -> None:
    other = small_model.with_name("other.onnx")
    shutil.copy(small_model, other)
    rows = list(
        csv.DictReader(io.StringIO(cli("predict", small_model, other, "--device", "all", "--format", "csv").out))
    )
    assert [(Path(row["model"]).name, row["device"]) for row in rows] == [
        (model, device) for model in ("small.onnx", "other.onnx") for device in ("zeon-1t", "adreno")
    ]
    assert cli("predict", small_model, other, "--device", "all").out.count("other.onnx") >= 2


@pytest.mark.usefixtures("several_packs")
def test_without_device_no_phone_is_taken(cli: Callable, small_model: Path) -> None:
    outcome = cli("predict", small_model, "--format", "json")
    assert json.loads(outcome.out)["device"] == "zeon-1t"


@pytest.mark.usefixtures("several_packs")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "all", "--here"], "--here is of one device"),
        (["--device", "all", "--kernels-from", "runtime"], "--kernels-from runtime is of one device"),
        (["--dim", "batch=1,2", "--kernels-from", "runtime"], "one size of each dimension"),
        (["--device", "zeon-1t,,adreno"], "a device has no name"),
        (["--device", "mali*"], "no device matches 'mali*'; there are adreno, zeon-1t"),
        (["--dim", "batch=1,x"], "'batch=1,x' is not NAME=N"),
        (["--assume", "t=1xN"], "'t=1xN' is not TENSOR=AxBxC"),
    ],
)
def test_what_cannot_be_several_is_bad_usage(
    cli: Callable, small_model: Path, arguments: list[str], words: str
) -> None:
    outcome = cli("predict", small_model, *arguments)
    assert outcome.code == 2
    assert words in outcome.error_line


def test_strict_is_code_1_behind_the_whole_report(cli: Callable, small_model: Path, small_pack: Path) -> None:
    plain = cli("predict", small_model, "--device", small_pack, "--format", "json")
    strict = cli("predict", small_model, "--device", small_pack, "--format", "json", "--strict")
    assert (strict.code, strict.out) == (1, plain.out)
    assert "GlobalAveragePool" in strict.error_line
    written = cli(
        "predict", small_model, "--device", small_pack, "--format", "json", "--strict", "--output", "out.json"
    )
    assert (written.code, written.out, Path("out.json").read_text()) == (1, "", plain.out)


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


def test_memory_stands_beside_the_time_where_it_is_asked_for(
    cli: Callable, small_model: Path, small_pack: Path
) -> None:
    asked = ("predict", small_model, "--device", small_pack, "--with-memory")
    document = json.loads(cli(*asked, "--format", "json").out)
    jsonschema.validate(document, SCHEMA)
    alone = json.loads(cli("memory", small_model, "--device", small_pack, "--format", "json").out)
    parts = ("weights_bytes", "activations_bytes", "session_bytes")
    assert document["memory"] == {name: alone[name] for name in ("peak_bytes", *parts)}
    assert document["memory"]["peak_bytes"] == sum(alone[name] for name in parts)
    assert "memory: " in cli(*asked).out
    assert "memory: " in cli(*asked, "--format", "md").out
    assert "MiB" in cli(*asked, small_model).out
    assert cli(*asked, "--format", "csv").out.rstrip().endswith(str(alone["peak_bytes"]))
    assert "memory" not in json.loads(cli("predict", small_model, "--device", small_pack, "--format", "json").out)


def test_memory_is_of_the_sizes_that_the_model_can_have(cli: Callable, tmp_path: Path, small_pack: Path) -> None:
    onnx.save(make_small_model(batch="batch"), tmp_path / "free.onnx")
    outcome = cli("predict", tmp_path / "free.onnx", "--device", small_pack, "--dim", "batch=1,4", "--with-memory",
                  "--format", "json")  # fmt: skip
    one, four = (row["memory"] for row in json.loads(outcome.out))
    assert one["activations_bytes"] < four["activations_bytes"]
    assert one["weights_bytes"] == four["weights_bytes"]


def test_of_another_runtime_it_says_what_is_not_known_of_the_memory(cli: Callable, small_model: Path) -> None:
    outcome = cli("predict", small_model, "--device", "cortexA76cpu_tflite21", "--with-memory")
    assert "it takes more for itself" in " ".join(outcome.out.split())
