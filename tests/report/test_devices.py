"""The list of device packs says how good each is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nnmeter.devices import list_devices, load_pack, save_scorecard
from nnmeter.report.devices import DeviceList
from nnmeter.report.registry import CORE
from tests.report.test_scorecards import make_scorecard


@pytest.fixture
def scored(small_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The only pack that can be found has the scorecard of the tests."""
    import shutil

    copy = tmp_path / "packs" / small_pack.name
    shutil.copytree(small_pack, copy)
    scorecard = make_scorecard()
    save_scorecard(load_pack(copy), scorecard)
    monkeypatch.setattr("nnmeter.devices.catalog._shipped_directories", list)
    monkeypatch.setenv("NNMETER_PACKS", str(copy.parent))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    return scorecard


def test_the_list_has_figures_and_noise_floor(scored: dict[str, Any]) -> None:
    lines = CORE.render("devices", DeviceList(list_devices()), "table").splitlines()
    heading = next(i for i, line in enumerate(lines) if "MAPE" in line)
    assert lines[heading].split() == "device models ±5 % ±10 % MAPE tau intervals noise".split()
    assert lines[heading + 2].split() == "test-onnxruntime-1t 5 60.0 % 60.0 % 10.0 % 0.800 80.0 % 2.9 %".split()


def test_json_has_the_scorecard_without_its_rows(scored: dict[str, Any]) -> None:
    (device,) = json.loads(CORE.render("devices", DeviceList(list_devices()), "json"))["devices"]
    assert device["scorecard"]["overall"] == scored["overall"]
    assert device["scorecard"]["noise_floor"] == scored["noise_floor"]
    assert not {"models", "families", "kernels"} & set(device["scorecard"])


def test_a_pack_without_a_scorecard_has_no_figures(small_pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.devices.catalog._shipped_directories", list)
    monkeypatch.setenv("NNMETER_PACKS", str(small_pack.parent))
    monkeypatch.setenv("XDG_DATA_HOME", str(small_pack / "none"))
    assert "MAPE" not in CORE.render("devices", DeviceList(list_devices()), "table")
    assert json.loads(CORE.render("devices", DeviceList(list_devices()), "json"))["devices"][0]["scorecard"] is None


@pytest.mark.usefixtures("scored")
def test_a_pack_is_shown_with_its_whole_scorecard() -> None:
    text = CORE.render("pack", load_pack("test-onnxruntime-1t"), "table")
    for part in ("made for tests", "scorecard of", "noise floor", "worst kernel types", "all kernels"):
        assert part in text


@pytest.mark.usefixtures("scored")
def test_what_was_trained_is_listed_by_element_type_as_the_predictor_says() -> None:
    (device,) = json.loads(CORE.render("devices", DeviceList(list_devices()), "json"))["devices"]
    assert device["trained_types"] == ["float32"]
    pack = load_pack("test-onnxruntime-1t")
    shown = json.loads(CORE.render("pack", pack, "json"))
    assert shown["trained_operators"] == {"float32": ["Conv", "Gemm", "nchwc.Conv"]}
    assert "float32: 3 operators: Conv, Gemm, nchwc.Conv" in CORE.render("pack", pack, "table")
