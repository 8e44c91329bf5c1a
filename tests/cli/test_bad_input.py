"""Bad input: one line on stderr that names the file, the fault and the remedy; exit code 2; nothing written."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from tests.conftest import make_small_model


def not_a_file(path: Path) -> None:
    pass


def empty(path: Path) -> None:
    path.touch()


def truncated(path: Path) -> None:
    data = make_small_model().SerializeToString()
    path.write_bytes(data[: len(data) // 2])


def text(path: Path) -> None:
    path.write_text("This is a text, and no model at all.\n" * 10)


def image(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 4)


def zeros(path: Path) -> None:
    path.write_bytes(bytes(4096))


def unknown_opset(path: Path) -> None:
    onnx.save(make_small_model(opset=9999), path)


def cyclic(path: Path) -> None:
    model = make_small_model()
    model.graph.node[0].input[0] = "r"
    onnx.save(model, path)


def duplicate_writer(path: Path) -> None:
    model = make_small_model()
    model.graph.node.append(helper.make_node("Relu", ["input"], ["c"], "again"))
    onnx.save(model, path)


def missing_tensor(path: Path) -> None:
    model = make_small_model()
    model.graph.node[1].input[0] = "nowhere"
    onnx.save(model, path)


def free_dimension(path: Path) -> None:
    onnx.save(make_small_model(batch="batch"), path)


def contradicting_shapes(path: Path) -> None:
    model = make_small_model()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 17
    onnx.save(model, path)


BAD_MODELS = [
    not_a_file,
    empty,
    truncated,
    text,
    image,
    zeros,
    unknown_opset,
    cyclic,
    duplicate_writer,
    missing_tensor,
    free_dimension,
    contradicting_shapes,
]


@pytest.mark.parametrize("make", BAD_MODELS, ids=lambda make: make.__name__)
def test_a_bad_model_is_one_line_and_code_2(cli: Callable, tmp_path: Path, small_pack: Path, make: Callable) -> None:
    make(tmp_path / "bad.onnx")
    outcome = cli("predict", tmp_path / "bad.onnx", "--device", small_pack, "--output", "out.json", "--format", "json")
    assert outcome.code == 2
    assert outcome.out == ""
    assert "bad.onnx" in outcome.error_line
    assert os.listdir() == []


def test_a_free_dimension_is_named_with_the_option_that_binds_it(
    cli: Callable, tmp_path: Path, small_pack: Path
) -> None:
    free_dimension(tmp_path / "free.onnx")
    line = cli("predict", tmp_path / "free.onnx", "--device", small_pack).error_line
    assert "'input'" in line
    assert "--dim batch=" in line


def test_one_bad_model_among_good_ones_writes_nothing(cli: Callable, small_model: Path, small_pack: Path) -> None:
    truncated(small_model.with_name("bad.onnx"))
    outcome = cli(
        "predict", small_model, small_model.with_name("bad.onnx"), small_model, "--device", small_pack, "--output", "o"
    )
    assert outcome.code == 2
    assert "bad.onnx" in outcome.error_line
    assert (outcome.out, os.listdir()) == ("", [])


def test_an_unknown_device_names_close_ones(
    cli: Callable, small_model: Path, small_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNMETER_PACKS", str(small_pack.parent))
    outcome = cli("predict", small_model, "--device", "test-onnxruntime-2t")
    assert outcome.code == 2
    assert "unknown device 'test-onnxruntime-2t': did you mean test-onnxruntime-1t" in outcome.error_line


@pytest.mark.parametrize("name", ["card.json", "rules.json", "predictor.json", "trees.npz"])
def test_a_pack_with_a_wrong_hash_is_refused(
    cli: Callable, small_model: Path, small_pack: Path, tmp_path: Path, name: str
) -> None:
    pack = shutil.copytree(small_pack, tmp_path / "pack")
    with open(pack / name, "ab") as stream:
        stream.write(b"\n")
    outcome = cli("predict", small_model, "--device", pack, "--output", "out.txt")
    assert outcome.code == 2
    assert f"pack/{name}: does not have the SHA-256" in outcome.error_line
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument 'MODEL...'"),
        (["m.onnx", "--dim", "batch"], "'batch' is not NAME=N"),
        (["m.onnx", "--dim", "batch=-1"], "'batch=-1' is not NAME=N"),
        (["m.onnx", "--dim", "batch=1", "--dim", "batch=2"], "given twice"),
        (["m.onnx", "--shape", "input=1x3xHx224"], "is not INPUT=AxBxC"),
        (["m.onnx", "--format", "yaml"], "'yaml' is not one of"),
        (["m.onnx", "--bogus"], "No such option"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(cli: Callable, arguments: list[str], words: str) -> None:
    outcome = cli("predict", *arguments)
    assert outcome.code == 2
    assert words in outcome.error_line
    assert "nnmeter predict --help" in outcome.error_line


def test_an_unknown_verb_is_one_line_and_code_2(cli: Callable) -> None:
    outcome = cli("foretell", "x.onnx")
    assert outcome.code == 2
    assert "foretell" in outcome.error_line


@pytest.mark.parametrize("name", ["n" * 300, "n/" * 3_000 + "n"])
def test_a_path_too_long_for_the_system_is_said_behind_it(
    cli: Callable, small_pack: Path, small_model: Path, name: str
) -> None:
    for arguments in (
        ("predict", small_model, "--device", small_pack, "--output", name),
        ("predict", small_model, "--device", small_pack, "--trace", name),
        ("predict", name, "--device", small_pack),
        ("predict", small_model, "--device", name),
        ("train", name, "--out", "pack"),
        ("evaluate", small_pack, "--measurements", name),
    ):
        outcome = cli(*arguments)
        assert outcome.code == 2
        assert "n" * 50 in outcome.error_line or "n/" * 50 in outcome.error_line
        assert re.search("; (give|check) ", outcome.error_line)
        assert os.listdir() == []


def test_a_folder_without_models_is_refused(cli: Callable, tmp_path: Path, small_pack: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = cli("predict", tmp_path / "empty", "--device", small_pack)
    assert outcome.code == 2
    assert "without .onnx files" in outcome.error_line


def test_an_output_in_a_missing_directory_is_refused(cli: Callable, small_model: Path, small_pack: Path) -> None:
    outcome = cli("predict", small_model, "--device", small_pack, "--output", "none/out.txt")
    assert outcome.code == 2
    assert "there is no directory none" in outcome.error_line


def test_a_fault_of_nnmeter_is_one_line_and_code_3(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**of: bool) -> None:
        raise KeyError("broken\ninside")

    monkeypatch.setattr("nnmeter.devices.list_devices", fail)
    outcome = cli("devices")
    assert outcome.code == 3
    assert "internal error: KeyError" in outcome.error_line


def test_an_interrupt_is_quiet(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**of: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nnmeter.devices.list_devices", interrupt)
    outcome = cli("devices")
    assert (outcome.code, outcome.out, outcome.err.strip()) == (130, "", "")


@pytest.mark.parametrize("named", [True, False])
def test_a_process_exits_with_the_code_and_one_line(tmp_path: Path, small_pack: Path, named: bool) -> None:
    command = [sys.executable, "-m", "nnmeter", "predict", "nowhere.onnx", *(["--device", small_pack] if named else [])]
    environment = {**os.environ, "NNMETER_PACKS": str(small_pack.parent)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "nowhere.onnx" in done.stderr


def test_a_reader_that_goes_away_is_no_traceback(small_model: Path, small_pack: Path) -> None:
    command = f"{sys.executable} -m nnmeter predict {small_model} --device {small_pack} --format json | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("verb", "option"), [("predict", "--output"), ("kernels", "--output"), ("report", "--html"), ("predict", "--trace")]
)
def test_a_model_is_not_replaced_by_its_report(
    cli: Callable, small_model: Path, small_pack: Path, tmp_path: Path, verb: str, option: str
) -> None:
    before = small_model.read_bytes()
    link = tmp_path / "link"
    link.symlink_to(small_model)
    for place in (small_model, link):
        result = cli(verb, small_model, "--device", small_pack, option, place)
        assert result.code == 2
        assert f"{option} {place}: is read, and would be replaced; give another place" in result.err
    assert small_model.read_bytes() == before


def test_two_outputs_are_not_one_file(cli: Callable, small_model: Path, small_pack: Path, tmp_path: Path) -> None:
    place = tmp_path / "both.json"
    place.touch()
    result = cli("predict", small_model, "--device", small_pack, "--trace", place, "--output", place)
    assert (result.code, place.read_bytes()) == (2, b"")
    assert "is the file of --output" in result.err
