"""Measurements that cannot be right: every verb that reads some refuses them, and all agree on which these are.

`benchmarks/fuzz/bad_numbers.py` has many more of them, and the verbs that measure.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from nnmeter.lab.measuring.store import read_measurements, write_measurements
from nnmeter.lab.training.regressors import Preset
from tests.lab.cli.test_training import FINGERPRINT, made_up

pytest.importorskip("lightgbm")
pytest.importorskip("pyarrow")

REFUSED = (
    "latency_ms-zero", "latency_ms-negative", "latency_ms-nan", "latency_ms-inf", "latency_ms-1e308",
    "latency_ms-1e-300", "latency_ms-null", "reference_ms-nan", "kernel_ms-1e308", "kernel_ms-null", "out-of-order",
    "texts-for-numbers", "booleans", "missing-column", "doubled-rows", "huge-threads", "no-kernels", "kernel-deep",
    "kernel-attributes-of-inf", "control-characters", "fingerprint-runtime", "fingerprint-cores",
    "fingerprint-profiles",
    "fingerprint-note", "fingerprint-mhz_now", "truncated", "a-flipped-bit", "empty",
)  # fmt: skip
TAKEN = ("nothing", "outlier-1e6", "outlier-1e-6", "fingerprint-sittings")


@pytest.fixture(scope="module")
def bad(scripts: None) -> ModuleType:
    import bad_measurements

    return bad_measurements


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    write_measurements(folder / "blocks.parquet", made_up("block", 40, 0), FINGERPRINT)
    write_measurements(folder / "models.parquet", made_up("model", 12, 1), FINGERPRINT)
    return folder


@pytest.fixture
def place(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("nnmeter.lab.training.kernels.PRESETS", {"lightgbm": Preset(40, 8, 0.15, 4)})  # quick
    return shutil.copytree(sound, tmp_path / "place")


def verbs(place: Path, pack: Path, model: Path) -> dict[str, tuple[Path, tuple[object, ...]]]:
    """The file that each reads, and its arguments."""
    blocks, models = place / "blocks.parquet", place / "models.parquet"
    return {
        "verify": (blocks, ("profile", "--verify", blocks)),
        "train": (blocks, ("train", blocks, "--out", place / "trained")),
        "calibrate": (
            models,
            ("calibrate", pack, "--measurements", models, "--out", place / "calibrated", "--repeats", 2),
        ),
        "evaluate": (models, ("evaluate", pack, "--measurements", models)),
        "beside": (blocks, ("evaluate", pack, "--measurements", models, "--training", blocks)),
        "kit": (blocks, ("kit", "--runtime", "onnxruntime", "--out", place / "kit", "--after", blocks)),
        "append": (blocks, ("measure", model, "--taken", 5, "--on", pack, "--append", "--out", blocks)),
    }


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_by_every_verb(
    cli: Callable, bad: ModuleType, place: Path, small_pack: Path, small_model: Path, name: str
) -> None:
    for verb, (file, arguments) in verbs(place, small_pack, small_model).items():
        whole = file.read_bytes()
        bad.damage(name, file)
        outcome = cli(*arguments)
        file.write_bytes(whole)
        if verb == "verify":
            assert (outcome.code, "no problems" in outcome.out) == (1, False)
        else:
            assert outcome.code == 2, (verb, outcome)
            assert file.name in outcome.error_line
    assert not (place / "trained").exists()
    assert not (place / "calibrated").exists()


@pytest.mark.parametrize("name", TAKEN)
def test_what_can_be_is_taken_by_every_verb_and_one_row_does_not_carry_a_pack_away(
    cli: Callable, bad: ModuleType, place: Path, small_pack: Path, small_model: Path, name: str
) -> None:
    usual = cli("train", place / "blocks.parquet", "--out", place / "usual")
    assert usual.code == 0, usual.err
    usual_ms = json.loads(cli("predict", small_model, "--device", place / "usual", "--format", "json").out)[
        "latency_ms"
    ]
    for verb, (file, arguments) in verbs(place, small_pack, small_model).items():
        if verb in ("kit", "append"):  # the one measures for long, the other is of another machine
            continue
        whole = file.read_bytes()
        if name != "nothing":
            bad.damage(name, file)
        outcome = cli(*arguments)
        file.write_bytes(whole)
        assert outcome.code == 0, (verb, outcome)
        assert not re.search(r"\b(nan|inf)\b", outcome.out)
        if name.startswith("outlier"):
            told = outcome.out if verb == "verify" else outcome.err
            assert "absurd" in told, (verb, outcome)
    for pack in ("trained", "calibrated"):
        predicted = cli("predict", small_model, "--device", place / pack, "--format", "json")
        assert predicted.code == 0, predicted.err
        if pack == "trained":
            assert 0.8 < json.loads(predicted.out)["latency_ms"] / usual_ms < 1.25


def test_null_in_a_fingerprint_is_as_good_as_not_there(bad: ModuleType, place: Path) -> None:
    file = place / "blocks.parquet"
    bad.damage("fingerprint-threads", file)
    _, fingerprint = read_measurements(file)
    assert "threads" not in fingerprint
    assert fingerprint["cpu"] == FINGERPRINT["cpu"]


def test_damaged_bytes_are_refused_or_read_as_they_were(bad: ModuleType, place: Path) -> None:
    file = place / "models.parquet"
    whole, expected = file.read_bytes(), read_measurements(file)
    refused = 0
    for number in range(120):
        file.write_bytes(bad.flipped(whole, number))
        try:
            assert read_measurements(file) == expected, number
        except ValueError:  # an NnmeterError
            refused += 1
    assert refused > 110
