"""What holds for all formats: pairing by names, one device, and files of strangers."""

from __future__ import annotations

import random
import shutil

import pytest

from nnmeter.errors import MeasurementError, NnmeterError
from nnmeter.lab.importing.profiles.run import ALONE, UNKNOWN, import_profiles
from nnmeter.lab.importing.profiles.setting import MeasuredDevice
from tests.lab.importing.profiles.conftest import (
    DEVICE,
    EXECUTORCH_TSV,
    MNN_LOG,
    NCNN_LOG,
    TFLITE_CSV,
    TRT_LAYERS,
    TRT_PROFILE,
    TRT_TIMES,
    account_of,
    pytorch_trace,
    write_json,
)

MUTATIONS = 20


def test_files_of_several_runs_are_paired_by_name(model, imported):
    folder = model.parent
    shutil.copy(model, folder / "large.onnx")
    for name in ("small", "large"):
        write_json(folder / f"{name}.profile.json", TRT_PROFILE)
    write_json(folder / "large.times.json", TRT_TIMES)
    (folder / "notes.txt").write_text("bought on a Monday\n")
    report, rows, _ = imported()
    assert sorted((row.network, row.runs) for row in rows) == [("large", 10), ("small", 0)]
    assert account_of(report, "notes.txt")["refused"] == {UNKNOWN: 1}


def test_what_belongs_to_no_profile_is_said(model, imported):
    write_json(model.parent / "small.profile.json", TRT_PROFILE)
    shutil.copy(model, model.parent / "other.onnx")
    report, _, _ = imported()
    assert account_of(report, "other.onnx")["refused"] == {ALONE: 1}


def test_two_profiles_of_one_network_are_two_measurements(model, imported):
    for number in (1, 2):
        write_json(model.parent / f"small.{number}.json", TRT_PROFILE)
    _, rows, _ = imported()
    assert [row.id for row in rows] == ["model:small", "model:small#2"]


def test_runtimes_are_not_mixed(model, imported):
    write_json(model.parent / "small.a.json", TRT_PROFILE)
    (model.parent / "small.b.txt").write_text(MNN_LOG)
    report, rows, fingerprint = imported()
    assert len({row.network for row in rows}) == 1
    assert fingerprint["runtime"] == "tensorrt"
    assert "import each runtime on its own" in next(iter(account_of(report, "b.txt")["refused"]))


def test_somebody_must_say_what_was_measured(model, tmp_path):
    profile = write_json(tmp_path / "profile.json", TRT_PROFILE)
    with pytest.raises(MeasurementError, match="give --device NAME, or --here"):
        import_profiles([profile, model], tmp_path / "out.parquet", MeasuredDevice())
    assert not (tmp_path / "out.parquet").exists()


CONTENTS = {
    "profile.json": TRT_PROFILE, "trace.json": pytorch_trace(2), "small.csv": TFLITE_CSV, "small.log": NCNN_LOG,
    "small.txt": MNN_LOG, "small.tsv": EXECUTORCH_TSV,
}  # fmt: skip


@pytest.mark.parametrize("name", CONTENTS)
def test_files_of_strangers_are_imported_or_refused_and_nothing_else(name, model, tmp_path):
    path, content = model.parent / name, CONTENTS[name]
    path.write_text(content) if isinstance(content, str) else write_json(path, content)
    if name == "profile.json":
        write_json(model.parent / "layers.json", TRT_LAYERS)
    whole = path.read_bytes()
    draw = random.Random(name)
    outcomes = set()
    for _ in range(MUTATIONS):
        data = bytearray(whole)
        for _ in range(draw.choice((1, 3, 30))):
            data[draw.randrange(len(data))] = draw.choice(b'0123456789eE-.,:[]{}"\\\t\n\x00\xff ')
        if draw.random() < 0.3:
            del data[draw.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            report = import_profiles([model.parent], None, DEVICE)
        except NnmeterError as error:
            outcomes.add("refused")
            report = {"files": [{"imported": 0, "refused": {str(error): 1}}]}
        else:
            outcomes.add("imported")
        for account in report["files"]:
            assert account["imported"] >= 0
            assert not [reason for reason in account["refused"] if "please report" in reason]
    assert outcomes == {"imported", "refused"}
