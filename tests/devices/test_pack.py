import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nnmeter.devices import DevicePack, load_pack, save_pack
from nnmeter.errors import DeviceError
from nnmeter.files import sha256_of
from nnmeter.predictor import KernelPredictor
from tests.conftest import make_small_predictor

from .conftest import CARD, RULES


def test_a_saved_pack_loads_as_it_was(pack: DevicePack) -> None:
    loaded = load_pack(pack.path)
    assert loaded.card == CARD
    assert loaded.scorecard == {"within_10": 90.0}
    assert loaded.id == CARD.id


def test_the_manifest_lists_every_file_with_its_hash(pack: DevicePack) -> None:
    manifest = json.loads((pack.path / "manifest.json").read_text())
    assert manifest["schema_version"] == 2
    assert set(manifest["files"]) == {"card.json", "rules.json", "predictor.json", "trees.npz", "scorecard.json"}
    for name, entry in manifest["files"].items():
        data = (pack.path / name).read_bytes()
        assert entry == {"sha256": sha256_of(data), "bytes": len(data)}


@pytest.mark.parametrize("name", ["card.json", "rules.json", "predictor.json", "trees.npz", "scorecard.json"])
def test_a_changed_file_is_refused(pack: DevicePack, name: str) -> None:
    path = pack.path / name
    path.write_bytes(path.read_bytes() + b" ")
    assert_refused(pack.path, f"test-cpu-1t/{name}: does not have the SHA-256")


@pytest.mark.parametrize("name", ["card.json", "rules.json", "trees.npz", "manifest.json"])
def test_a_missing_file_is_refused(pack: DevicePack, name: str) -> None:
    (pack.path / name).unlink()
    assert_refused(pack.path, f"test-cpu-1t/{name}: missing")


@pytest.mark.parametrize("name", ["evil.py", "notes.txt", ".hidden", "more.json"])
def test_an_extra_file_is_refused(pack: DevicePack, name: str) -> None:
    (pack.path / name).write_text("{}")
    assert_refused(pack.path, f"test-cpu-1t/{name}: not in the pack's manifest.json")


@pytest.mark.parametrize("name", ["../card.json", "/etc/passwd", "a/b.json", "model.pkl", ".x.json", "", "a\nb.json"])
def test_an_unsafe_name_in_the_manifest_is_refused(pack: DevicePack, name: str) -> None:
    edit_manifest(pack.path, lambda manifest: manifest["files"].update({name: {"sha256": "0" * 64}}))
    assert_refused(pack.path, "unsafe file name")


def test_a_link_is_refused_even_if_its_content_is_right(pack: DevicePack) -> None:
    aside = pack.path.parent / "aside.npz"
    (pack.path / "trees.npz").rename(aside)
    (pack.path / "trees.npz").symlink_to(aside)
    assert_refused(pack.path, "test-cpu-1t/trees.npz: not a regular file")


def test_a_newer_schema_is_refused(pack: DevicePack) -> None:
    edit_manifest(pack.path, lambda manifest: manifest.update(schema_version=3))
    assert_refused(pack.path, "schema_version 3 is newer than this nnmeter reads (2); update nnmeter")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '{"schema_version": "1"}', '{"schema_version": 1}', "[" * 9999]
)
def test_a_damaged_manifest_is_refused(pack: DevicePack, text: str) -> None:
    (pack.path / "manifest.json").write_text(text)
    assert_refused(pack.path, "test-cpu-1t/manifest.json")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"threads": "one"}, "field 'threads' must be a positive integer"),
        ({"threads": True}, "field 'threads' must be a positive integer"),
        ({"id": "../up"}, "field 'id' must be a name"),
        ({"reference_ms": -1}, "field 'reference_ms' must be a positive number or null"),
        ({"surprise": 1}, "unknown field 'surprise'"),
    ],
)
def test_a_card_that_breaks_the_schema_is_refused(pack: DevicePack, change: dict[str, object], fault: str) -> None:
    write_card({**CARD.to_dict(), **change}, pack.path)
    assert_refused(pack.path, fault)


def test_a_card_without_a_required_field_is_refused(pack: DevicePack) -> None:
    card = CARD.to_dict()
    del card["hardware"]
    write_card(card, pack.path)
    assert_refused(pack.path, "field 'hardware' is missing")


def test_a_pack_is_replaced_whole(pack: DevicePack) -> None:
    newer = save_pack(pack.path, replace(CARD, date="2026-02-02"), RULES, make_small_predictor())
    assert newer.card.date == "2026-02-02"
    assert newer.scorecard is None
    assert os.listdir(pack.path.parent) == [CARD.id]


def test_a_failing_save_leaves_the_old_pack_and_no_litter(pack: DevicePack, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(predictor: KernelPredictor, directory: Path) -> None:
        (directory / "predictor.json").write_text("{}")
        raise OSError("disk full")

    monkeypatch.setattr("nnmeter.predictor.write_predictor", fail)
    with pytest.raises(OSError, match="disk full"):
        save_pack(pack.path, replace(CARD, date="2026-02-02"), RULES, make_small_predictor())
    assert load_pack(pack.path).card.date == CARD.date
    assert os.listdir(pack.path.parent) == [CARD.id]


def test_a_pack_never_replaces_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    with pytest.raises(DeviceError, match="exists and is no device pack"):
        save_pack(tmp_path / "thesis", CARD, RULES, make_small_predictor())
    assert (tmp_path / "thesis" / "thesis.tex").exists()


def test_a_pack_can_be_moved(pack: DevicePack, tmp_path: Path) -> None:
    shutil.copytree(pack.path, tmp_path / "elsewhere")
    assert load_pack(tmp_path / "elsewhere").id == CARD.id


def edit_manifest(directory: Path, change) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    change(manifest)
    (directory / "manifest.json").write_text(json.dumps(manifest))


def write_card(card: dict[str, object], directory: Path) -> None:
    data = json.dumps(card).encode()
    (directory / "card.json").write_bytes(data)
    edit_manifest(directory, lambda manifest: manifest["files"]["card.json"].update(sha256=sha256_of(data)))


def assert_refused(directory: Path, fault: str) -> None:
    with pytest.raises(DeviceError) as caught:
        load_pack(directory)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value), "names no remedy"
