"""What is outside of the trained range is told, refused if so asked, and trained by the commands that are told."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nnmeter.devices import load_pack
from nnmeter.devices.manifest import write_manifest


@pytest.fixture
def phone(small_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pack of the tests, as if made from published times of a phone; it can be found by its id."""
    path = tmp_path / "packs" / "phone-1"
    shutil.copytree(small_pack, path)
    card = json.loads((path / "card.json").read_text())
    card["id"] = "phone-1"
    card["fingerprint"] = {
        "cpu": "Phone core", "device": "phone-1", "kind": "cpu", "runtime": "onnxruntime", "runtime_version": "1",
        "threads": 1, "precision": "float32", "published": {"name": "set", "license": "MIT"},
    }  # fmt: skip
    (path / "card.json").write_text(json.dumps(card))
    write_manifest(path)
    monkeypatch.setattr("nnmeter.devices.catalog._shipped_directories", list)
    monkeypatch.setenv("NNMETER_PACKS", str(path.parent))
    return path


def test_strict_names_what_is_outside_and_how_to_train_it(cli: Callable, small_model: Path, small_pack: Path) -> None:
    outcome = cli("predict", small_model, "--device", small_pack, "--strict")
    assert outcome.code == 1
    assert "GlobalAveragePool (no such operator)" in outcome.error_line
    assert f"nnmeter profile --like {small_model} --device {small_pack}" in outcome.error_line


def test_explain_says_what_each_kernel_lacks(cli: Callable, small_model: Path, small_pack: Path) -> None:
    text = cli("predict", small_model, "--device", small_pack, "--explain").out
    assert "no nchwc.GlobalAveragePool was sampled on this device, in float32 or any other type" in text
    assert "priced by the fallback" not in text.splitlines()[-1]
    markdown = cli("predict", small_model, "--device", small_pack, "--explain", "--format", "md").out
    assert "| what is missing |" in markdown
    assert "no nchwc.GlobalAveragePool was sampled" in markdown


def test_following_the_advice_trains_the_kernels(
    cli: Callable, small_model: Path, small_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("pyarrow")
    monkeypatch.setattr("nnmeter.devices.catalog._shipped_directories", list)
    monkeypatch.setenv("NNMETER_PACKS", str(small_pack.parent))
    document = json.loads(cli("predict", small_model, "--device", "test-onnxruntime-1t", "--format", "json").out)
    profile, calibrate = (shlex.split(command)[1:] for command in document["outside"]["advice"])
    profile[profile.index("5m")] = "3s"
    for _ in range(20):  # a busy machine may need more than one budget
        measured = cli(*profile, "--resume")
        assert measured.code == 0, measured.err
        if not list(Path(profile[profile.index("--out") + 1]).glob("part-*.parquet")):
            continue
        done = cli(*calibrate, "--repeats", "0")
        assert done.code == 0, done.err
        trained = cli("predict", small_model, "--device", f"./{calibrate[-1]}", "--strict", "--format", "json")
        if trained.code == 0:
            break
    assert trained.code == 0, trained.err
    assert json.loads(trained.out)["coverage"] == {"trained": 1.0, "fallback": 0.0}
    assert json.loads(trained.out)["outside"] == {"kernels": 0, "share": 0.0, "advice": []}
    assert cli("profile", "--verify", profile[profile.index("--out") + 1]).code == 0


def test_times_of_a_phone_are_taken_down_and_calibrated_on(cli: Callable, small_model: Path, phone: Path) -> None:
    pytest.importorskip("pyarrow")
    before = json.loads(cli("predict", small_model, "--device", "phone-1", "--format", "json").out)
    take, calibrate = (shlex.split(command)[1:] for command in before["outside"]["advice"])
    assert take[0] == "measure"
    take[take.index("MILLISECONDS")] = str(3 * before["latency_ms"])
    outcome = cli(*take)
    assert outcome.code == 0, outcome.err
    assert "on phone-1" in outcome.out
    assert cli(*calibrate, "--repeats", "0").code == 0
    pack = load_pack(calibrate[-1])
    assert pack.id == "phone-1-calibrated"
    assert pack.card.fingerprint["reported"] is True
    after = json.loads(cli("predict", small_model, "--device", f"./{calibrate[-1]}", "--format", "json").out)
    assert after["latency_ms"] == pytest.approx(3 * before["latency_ms"], rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--taken", "3"], "--taken needs --on"),
        (["--taken", "0", "--on", "phone-1"], "not in the range"),
        (["--taken", "3", "--on", "phone-1", "other.onnx"], "the time of one model"),
        (["--assume", "x=1"], "--assume is for --taken"),
    ],
)
@pytest.mark.usefixtures("phone")
def test_a_time_without_its_device_is_bad_usage(
    cli: Callable, small_model: Path, arguments: list[str], words: str
) -> None:
    pytest.importorskip("pyarrow")
    outcome = cli("measure", small_model, "--out", "f.parquet", *arguments)
    assert outcome.code == 2
    assert words in outcome.error_line


def test_options_about_models_need_models(cli: Callable) -> None:
    outcome = cli("profile", "--out", "d", "--dim", "batch=1")
    assert outcome.code == 2
    assert "are about the models of --like" in outcome.error_line
