from __future__ import annotations

import json
from pathlib import Path

import pytest

from nnmeter.cli.main import run

EXCERPT = Path(__file__).parent.parent / "importing" / "data" / "nn-meter-26k"
CPU = "cortexA76cpu_tflite21"


def test_a_device_becomes_a_measurement_file(tmp_path, capsys):
    output = tmp_path / "cpu.parquet"
    arguments = ["import", "nn-meter-26k", str(EXCERPT), "--out", str(output), "--device", CPU, "--limit", "1"]
    assert run([*arguments, "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["devices"][CPU] == {"rows": 11, "imported_rows": 11, "measurements": 11, "refused": {}}
    assert report["files"] == {CPU: str(output)}
    assert json.loads((tmp_path / "cpu.import.json").read_text()) == report


def test_the_table_counts_rows_and_names_reasons(tmp_path, capsys):
    source = EXCERPT / "shufflenetv2.jsonl.gz"
    assert run(["import", "nn-meter-26k", str(source), "--out", str(tmp_path / "all"), "--limit", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["device", "rows", "imported", "refused", "measurements"]
    assert [CPU, "1", "1", "0", "1"] in [line.split() for line in lines]
    assert ["2", "not", "measured", "on", "this", "device"] in [line.split()[:6] for line in lines]
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == sorted(
        [f"{CPU}.parquet", "myriadvpu_openvino2019r2.parquet", "import.json"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["imagenet", "SRC"], "imagenet"),
        (["nn-meter-26k", "nowhere"], "nowhere: no such file or directory"),
        (["nn-meter-26k", "SRC"], "one file cannot hold 4 devices"),
        (["nn-meter-26k", "SRC", "--device", "pixel9"], "no times of a device 'pixel9'"),
        (["nn-meter-26k", "SRC", "--device", CPU, "--set", "wings"], "'wings' is not NAME=VALUE"),
        (["nn-meter-26k", "SRC", "--device", CPU, "--set", "wings=two"], "neither true, false nor a number"),
        (["nn-meter-26k", "SRC", "--device", CPU, "--set", "wings=2"], "no parameter wings"),
        (["nn-meter-26k", "SRC", "--device", CPU, "--rules", "nowhere"], "nowhere: cannot read fusion rules"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(arguments, message, tmp_path, capsys):
    arguments = [str(EXCERPT) if argument == "SRC" else argument for argument in arguments]
    assert run(["import", *arguments, "--out", str(tmp_path / "out.parquet")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_json_graph_is_a_model(tmp_path, capsys, small_pack):
    graph = {
        "x": {"attr": {"type": "Placeholder", "attr": {}, "output_shape": [[1, 32, 32, 3]]}, "inbounds": []},
        "conv": {"attr": {"type": "Conv2D", "attr": {"kernel_shape": [3, 3], "strides": [2, 2], "padding": "SAME"},
                          "input_shape": [[1, 32, 32, 3]], "output_shape": [[1, 16, 16, 8]]}, "inbounds": ["x"]},
    }  # fmt: skip
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(graph))
    assert run(["predict", str(path), "--device", str(small_pack), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["latency_ms"] > 0
