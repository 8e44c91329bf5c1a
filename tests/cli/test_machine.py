"""Every output says what its device is to this machine; a number for another machine never stands alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import nnmeter
from nnmeter.devices import DevicePack, load_pack, save_pack
from nnmeter.devices.machine import Machine
from nnmeter.devices.transfer import read_transfer
from nnmeter.fusion.loading import rules_to_dict
from tests.cli.test_predict import SCHEMA

OWN = Machine("AMD EPYC", "AuthenticAMD", "x86_64", "avx512-vnni", "25", "17")
OTHER = replace(OWN, family="26", model="2")


@pytest.fixture(scope="module")
def pack(small_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> DevicePack:
    """The small pack, made on `OWN`."""
    small = load_pack(small_pack)
    fingerprint: dict[str, Any] = {
        "cpu": OWN.cpu, "vendor": OWN.vendor, "architecture": OWN.architecture, "isa": OWN.isa,
        "cpu_family": OWN.family, "cpu_model": OWN.model, "runtime": "onnxruntime", "runtime_version": "1.32.0",
        "threads": 1,
    }  # fmt: skip
    card = replace(small.card, version="1.32.0", fingerprint=fingerprint, reference_ms=1.0)
    return save_pack(tmp_path_factory.mktemp("packs") / card.id, card, rules_to_dict(small.rules), small.predictor)


@pytest.fixture(autouse=True)
def only_that_pack(pack: DevicePack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nnmeter.devices.catalog._shipped_directories", list)
    monkeypatch.setenv("NNMETER_PACKS", str(pack.path.parent))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))


def be(machine: Machine, monkeypatch: pytest.MonkeyPatch, version: str | None = "1.32.0") -> None:
    for module in ("nearest", "identity"):
        monkeypatch.setattr(f"nnmeter.devices.{module}.this_machine", lambda: machine)
        monkeypatch.setattr(f"nnmeter.devices.{module}.runtime_version", lambda _: version)


def test_on_another_machine_that_is_said_before_the_number(
    cli: Callable, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(OTHER, monkeypatch)
    for arguments, start in (((), "NOT THIS MACHINE"), (("--format", "md"), "> NOT THIS MACHINE")):
        outcome = cli("predict", small_model, *arguments)
        words = " ".join(outcome.out.split())
        assert words.startswith(f"{start}: no pack is of AMD EPYC (AuthenticAMD family 26 model 2")
        assert words.index("`nnmeter setup`") < words.index("% interval")
        assert "taking test-onnxruntime-1t: another machine" in outcome.err
    several = cli("predict", small_model, small_model)
    assert several.out.startswith("NOT THIS MACHINE")
    (row,) = csv.DictReader(io.StringIO(cli("predict", small_model, "--format", "csv").out))
    assert row["machine"] == "another_machine"


def test_on_another_machine_the_interval_is_that_of_a_transfer(
    cli: Callable, small_model: Path, monkeypatch: pytest.MonkeyPatch, pack: DevicePack
) -> None:
    be(OTHER, monkeypatch)
    near = json.loads(cli("predict", small_model, "--format", "json").out)
    named = json.loads(cli("predict", small_model, "--device", pack.id, "--format", "json").out)
    for document in (near, named):
        jsonschema.validate(document, SCHEMA)
        assert document["machine"]["verdict"] == "another_machine"
        assert document["machine"]["differences"] == ["family 25 model 17 there, family 26 model 2 here"]
    assert (near["machine"]["device_named"], named["machine"]["device_named"]) == (False, True)
    assert near["latency_ms"] == named["latency_ms"]
    low, high = read_transfer().widen(named["latency_ms"], *named["interval_ms"], 0.9)
    assert near["interval_ms"] == pytest.approx([low, high])
    assert near["interval_ms"][0] < named["interval_ms"][0]
    own = nnmeter.load_predictor().predict(small_model)
    assert list(own.interval_ms) == pytest.approx(near["interval_ms"])
    assert own.machine is not None and own.machine.needs_transfer
    assert nnmeter.predict_many([small_model])[0].interval_ms == own.interval_ms
    assert list(nnmeter.predict_many([small_model], [pack.id])[0].interval_ms) == named["interval_ms"]


@pytest.mark.parametrize(
    ("version", "verdict", "words"),
    [
        ("1.32.0", "this_machine", "machine: this machine kernel"),
        ("1.31.0", "this_machine_other_settings", "threads (onnxruntime 1.32.0 there, 1.31.0 here)"),
        (None, "this_machine_other_settings", "threads (onnxruntime 1.32.0 there, not installed here)"),
    ],
)
def test_on_its_own_machine_a_pack_has_its_own_interval(
    cli: Callable, small_model: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, verdict: str, words: str
) -> None:
    be(OWN, monkeypatch, version)
    found = cli("predict", small_model)
    assert words in " ".join(found.out.split())
    assert "NOT THIS MACHINE" not in found.out
    document = json.loads(cli("predict", small_model, "--format", "json").out)
    named = json.loads(cli("predict", small_model, "--device", "test-onnxruntime-1t", "--format", "json").out)
    assert document["machine"]["verdict"] == verdict
    assert document["interval_ms"] == named["interval_ms"]


def test_a_device_that_was_named_says_that_it_is_another_machine(
    cli: Callable, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(OTHER, monkeypatch)
    found = cli("predict", small_model, "--device", "test-onnxruntime-1t")
    assert found.out.startswith(f"{small_model} on test-onnxruntime-1t")
    assert "machine: another machine (family 25 model 17 there, family 26 model 2 here)" in found.out


def test_kernels_and_devices_say_it_too(cli: Callable, small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be(OTHER, monkeypatch)
    assert "machine: another machine (family 25 model 17 there" in cli("kernels", small_model).out
    kernels = json.loads(cli("kernels", small_model, "--format", "json").out)
    assert kernels["machine"]["verdict"] == "another_machine"
    words = " ".join(cli("devices").out.split())
    assert "* nearest to this machine, AMD EPYC (AuthenticAMD family 26 model 2, avx512-vnni), but another" in words
    (device,) = json.loads(cli("devices", "--format", "json").out)["devices"]
    assert (device["nearest"], device["machine"]["verdict"]) == (True, "another_machine")
    shown = json.loads(cli("devices", "show", "test-onnxruntime-1t", "--format", "json").out)
    assert shown["machine"]["verdict"] == "another_machine"
    be(OWN, monkeypatch)
    assert "* this machine" in cli("devices").out
    assert "this machine" in cli("devices", "show", "test-onnxruntime-1t").out.splitlines()[1]
