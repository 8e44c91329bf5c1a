from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from nnmeter.cli.main import run
from nnmeter.lab.runtimes.weights import fill_weights
from tests.lab.importing.profiles.conftest import TRT_PROFILE, small_network, write_json


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "profiles"
    place.mkdir()
    model = small_network()
    fill_weights(model)
    onnx.save(model, place / "net.onnx")
    write_json(place / "net.profile.json", TRT_PROFILE)
    return place


def test_profiles_become_a_measurement_file_and_a_report(folder, tmp_path, capsys):
    output = tmp_path / "measured.parquet"
    arguments = ["import", "profile", str(folder), "--out", str(output), "--device", "t4", "--hardware", "Tesla T4"]
    assert run([*arguments, "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["measurements"], report["kernels"], report["timed_kernels"]) == (1, 4, 4)
    assert report["rows"] == report["imported_rows"] + 2
    assert json.loads(output.with_suffix(".import.json").read_text()) == report
    assert run(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("1 measurements, 4 kernels, 4 of them timed one by one")
    assert [line for line in lines if "the runtime's own work" in line]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.json", "--device", "t4"], "no such file or folder"),
        (["FOLDER/net.onnx", "--device", "t4"], "nothing could be imported"),
        (["FOLDER"], "give --device NAME, or --here"),
        (["FOLDER", "--device", "t4", "--rules", "nowhere"], "nowhere: cannot read fusion rules"),
        (["FOLDER", "--device", "t4", "--threads", "0"], "--threads"),
        (["FOLDER", "--device", "t4", "--families", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(arguments, message, folder, tmp_path, capsys):
    given = [argument.replace("FOLDER", str(folder)) for argument in arguments]
    assert run(["import", "profile", *given, "--out", str(tmp_path / "out.parquet")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["profiles"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runtime", "litert"], "a kit for litert needs .tflite files"),
        (["--runtime", "tract"], "no kit is made for tract"),
        (["--runtime", "onnxruntime", "--budget", "5s"], "a budget of 5 s is none for a kit"),
        (["--runtime", "onnxruntime", "--model", "nowhere.onnx"], "nowhere.onnx"),
        (["--runtime", "onnxruntime", "--model", "m.onnx", "--no-models"], "contradict each other"),
        (["--runtime", "onnxruntime", "--after", "nowhere.parquet"], "nowhere.parquet"),
    ],
)
def test_a_kit_that_cannot_be_made_is_one_line_and_no_folder(arguments, message, tmp_path, capsys):
    assert run(["kit", *arguments, "--out", str(tmp_path / "kit")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
