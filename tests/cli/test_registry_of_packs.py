"""`nnmeter devices add | update | remove | export`: reports, exit codes, one line on error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nnmeter.devices import Card, save_pack
from nnmeter.fusion.loading import load_rules, rules_to_dict
from tests.cli.conftest import Outcome
from tests.conftest import make_small_predictor
from tests.devices.packs import change_price

ID = "test-cpu-1t"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack that somebody made; the user has none."""
    monkeypatch.setattr("nnmeter.devices.catalog._shipped_directories", list)
    monkeypatch.setenv("NNMETER_PACKS", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    card = Card(ID, "a CPU", "onnxruntime", "1.0", 1, "float32", "2026-01-01", "made up")
    rules = rules_to_dict(load_rules("plain_network"))
    return save_pack(tmp_path / "made" / ID, card, rules, make_small_predictor()).path


def test_a_pack_is_shared_and_kept_up_to_date(cli: Callable[..., Outcome], source: Path) -> None:
    assert cli("devices", "export", source, "--to", "shared").code == 0
    added = cli("devices", "add", "shared", ID, "--format", "json")
    assert [(p["action"], p["version"]) for p in json.loads(added.out)["packs"]] == [("added", 1)]
    assert ID in cli("devices").out
    change_price(source, 2)
    assert cli("devices", "export", source, "--to", "shared").code == 0
    asked = cli("devices", "update", "--dry-run")
    assert (asked.code, f"{ID}: available, version 1 -> 2" in asked.out) == (0, True)
    assert f"{ID}: updated, version 1 -> 2" in cli("devices", "update").out
    assert f"{ID}: removed" in cli("devices", "remove", ID).out
    assert "nothing to update" in cli("devices", "update").out


def test_an_update_that_fails_is_exit_code_1_behind_its_report(cli: Callable[..., Outcome], source: Path) -> None:
    cli("devices", "add", source)
    (source / "card.json").write_text("{}")
    outcome = cli("devices", "update")
    assert outcome.code == 1
    assert "SHA-256" in outcome.out
    assert outcome.error_line == f"nnmeter: 1 of 1 packs could not be updated: {ID}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "nowhere"], "is not there"),
        (["add", "."], "neither a pack nor a registry"),
        (["add", "http://example.org/packs"], "--insecure"),
        (["add", "SOURCE", "x"], "name no packs"),
        (["add", "SOURCE", "--sha256", "xyz"], "64 hexadecimal digits"),
        (["update", "nobody"], "unknown device"),
        (["remove", "../made/test-cpu-1t"], "only packs of that folder"),
        (["export", "nobody", "--to", "x"], "unknown device"),
        (["export", "SOURCE", "SOURCE", "--to", "SOURCE"], "is no registry"),
    ],
)
def test_bad_usage_is_one_line(cli: Callable[..., Outcome], source: Path, arguments: list[str], said: str) -> None:
    given = [str(source) if item == "SOURCE" else item for item in arguments]
    outcome = cli("devices", *given)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.error_line
