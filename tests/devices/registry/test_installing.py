"""Packs are added, updated and removed whole or not at all, and never in the place of what the user has."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from nnmeter.devices import DevicePack, load_pack
from nnmeter.devices.manifest import write_manifest
from nnmeter.devices.registry.contents import hash_of_pack, read_contents
from nnmeter.devices.registry.exporting import export_packs
from nnmeter.devices.registry.index import INDEX
from nnmeter.devices.registry.installing import add_packs, remove_packs, update_packs
from nnmeter.errors import DeviceError
from tests.devices.packs import change_price, copy_pack

ID = "test-cpu-1t"


def left(home: Path) -> list[str]:
    """Whatever is in the folder of packs, hidden or not."""
    return sorted(os.listdir(home)) if home.exists() else []


def improve(pack: DevicePack) -> None:
    """The next version of the pack: dearer, of another day, and better."""
    change_price(pack.path, 1.5)
    change_card(pack.path, date="2026-02-02")
    (pack.path / "scorecard.json").write_text(json.dumps({"overall": {"within_10": 95.0}}))
    write_manifest(pack.path)


def change_card(path: Path, **fields: object) -> None:
    card = json.loads((path / "card.json").read_text())
    (path / "card.json").write_text(json.dumps({**card, **fields}))
    write_manifest(path)


@pytest.mark.parametrize("form", ["folder", "archive", "registry", "index"])
def test_a_pack_is_added_from_whatever_it_comes_in(
    form: str, pack: DevicePack, registry: Path, home: Path, tmp_path: Path
) -> None:
    export_packs([str(pack.path)], tmp_path / "one.zip")
    sources = {"folder": pack.path, "archive": tmp_path / "one.zip", "registry": registry, "index": registry / INDEX}
    named = [ID] if form in ("registry", "index") else []
    (done,) = add_packs(str(sources[form]), named)
    assert (done.action, done.version) == ("added", 1 if named else None)
    assert left(home) == [".sources", ID]
    found = load_pack(ID)
    assert found.path == home / ID
    assert found.hashes == pack.hashes
    assert done.hash == hash_of_pack(pack.hashes)
    (again,) = add_packs(str(sources[form]), named)
    assert again.action == "unchanged"


def test_a_pack_is_added_from_a_server_when_http_is_accepted(server: str, home: Path) -> None:
    with pytest.raises(DeviceError, match="use https or --insecure"):
        add_packs(server, [ID])
    (done,) = add_packs(server, ["test-*"], insecure=True)
    assert (done.action, done.source) == ("added", f"{server}/{INDEX}")
    assert [item.action for item in update_packs()] == ["unchanged"]


def test_an_update_says_what_it_changes_and_may_only_be_asked_for(pack: DevicePack, registry: Path, home: Path) -> None:
    add_packs(str(registry), [ID])
    improve(pack)
    export_packs([str(pack.path)], registry)
    (asked,) = update_packs(only_ask=True)
    assert asked.action == "available"
    assert load_pack(ID).card.date == "2026-01-01"
    (done,) = update_packs()
    assert (done.action, done.before, done.version) == ("updated", 1, 2)
    assert done.change == asked.change
    assert done.change is not None
    assert done.change.card == {"date": ("2026-01-01", "2026-02-02")}
    assert done.change.scorecard == {"within_10": (90.0, 95.0)}
    assert (done.change.rules, done.change.predictor) == (False, True)
    assert load_pack(ID).card.date == "2026-02-02"
    assert [item.action for item in update_packs([ID])] == ["unchanged"]


def test_a_version_that_was_asked_for_stays(pack: DevicePack, registry: Path, home: Path) -> None:
    change_price(pack.path, 2)
    export_packs([str(pack.path)], registry)
    assert [item.version for item in add_packs(str(registry), [f"{ID}@1"])] == [1]
    (stays,) = update_packs()
    assert (stays.action, stays.version) == ("unchanged", 1)
    assert "was asked for" in stays.reason
    with pytest.raises(DeviceError, match=r"has no version 7 of test-cpu-1t; it has 1, 2"):
        add_packs(str(registry), [f"{ID}@7"])


def test_packs_of_one_id_and_changed_packs_are_not_overwritten(pack: DevicePack, registry: Path, home: Path) -> None:
    add_packs(str(registry), [ID])
    change_price(home / ID, 3)
    mine = load_pack(ID).hashes
    with pytest.raises(DeviceError, match="give --replace"):
        add_packs(str(registry), [ID])
    improve(pack)
    export_packs([str(pack.path)], registry)
    (failed,) = update_packs()
    assert failed.action == "failed"
    assert "was changed here" in failed.reason
    assert load_pack(ID).hashes == mine
    (done,) = update_packs(replace=True)
    assert done.action == "updated"
    assert load_pack(ID).hashes == read_contents(pack.path).hashes


def test_an_id_of_another_folder_is_refused(
    pack: DevicePack, registry: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNMETER_PACKS", f"{home}{os.pathsep}{pack.path.parent}")
    with pytest.raises(DeviceError, match="is there already, in"):
        add_packs(str(registry), [ID], replace=True)
    with pytest.raises(DeviceError, match="only packs of that folder are changed"):
        remove_packs([ID])
    assert left(home) == []


def test_packs_are_removed_and_leave_nothing(registry: Path, home: Path) -> None:
    add_packs(str(registry), [ID])
    with pytest.raises(DeviceError, match="unknown device 'nobody'"):
        remove_packs([ID, "nobody"])
    assert [item.action for item in remove_packs([ID, ID])] == ["removed"]
    assert left(home) == []
    assert update_packs() == []


def test_a_hash_from_elsewhere_tells_the_pack_that_is_meant(pack: DevicePack, registry: Path, home: Path) -> None:
    with pytest.raises(DeviceError, match="not the pack you mean"):
        add_packs(str(registry), [ID], sha256="0" * 64)
    assert left(home) == []
    assert add_packs(str(registry), [ID], sha256=hash_of_pack(pack.hashes).upper())[0].action == "added"


def test_all_packs_of_a_call_are_added_or_none(pack: DevicePack, tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "two"
    second = copy_pack(pack.path, tmp_path / "packs", "other-cpu-1t")
    export_packs([str(pack.path), str(second)], folder)
    (archive,) = folder.glob("test*.zip")
    archive.write_bytes(archive.read_bytes()[:-1] + b"\x01")
    with pytest.raises(DeviceError, match="SHA-256 differs"):
        add_packs(str(folder), ["*"])
    assert left(home) == []


@pytest.mark.parametrize("name", ["predictor.json", "rules.json"])
def test_a_pack_that_cannot_be_used_is_not_added(name: str, pack: DevicePack, tmp_path: Path, home: Path) -> None:
    broken = tmp_path / "broken" / ID
    shutil.copytree(pack.path, broken)
    (broken / name).write_text("{}")
    write_manifest(broken)
    with pytest.raises(DeviceError):
        add_packs(str(broken))
    assert left(home) == []


def test_readers_find_a_whole_pack_while_it_is_replaced(pack: DevicePack, home: Path, tmp_path: Path) -> None:
    """One thread adds two versions in turn; what another loads meanwhile is one of them."""
    other = tmp_path / "other" / ID
    shutil.copytree(pack.path, other)
    change_price(other, 2)
    known = {hash_of_pack(read_contents(path).hashes) for path in (pack.path, other)}
    add_packs(str(pack.path))
    stop, faults, seen = threading.Event(), [], set()

    def load() -> None:
        while not stop.is_set():
            try:
                found = load_pack(ID)
                assert found.predictor is not None
                seen.add(hash_of_pack(found.hashes))
            except Exception as fault:  # whatever it is, it must not be
                faults.append(fault)

    reader = threading.Thread(target=load)
    reader.start()
    for _ in range(4):
        add_packs(str(other), replace=True)
        add_packs(str(pack.path), replace=True)
    stop.set()
    reader.join()
    # A reader that holds a pack while it is replaced may be told that its files are others now, and nothing worse.
    assert all(isinstance(fault, DeviceError) for fault in faults)
    assert seen <= known
    assert left(home) == [".sources", ID]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"schema_version": 9}', b'{"schema_version": 1, "kind": "x"}'])
def test_a_damaged_receipt_is_told_and_mended_by_adding_again(content: bytes, registry: Path, home: Path) -> None:
    add_packs(str(registry), [ID])
    (home / ".sources" / f"{ID}.json").write_bytes(content)
    (failed,) = update_packs()
    assert failed.action == "failed"
    assert "--replace" in failed.reason
    add_packs(str(registry), [ID])
    assert update_packs()[0].action == "unchanged"


def test_offline_the_packs_that_are_there_go_on_and_updates_say_why_not(
    server: str, home: Path, registry: Path
) -> None:
    add_packs(server, [ID], insecure=True)
    (registry / INDEX).unlink()
    (failed,) = update_packs()
    assert failed.action == "failed"
    assert "404" in failed.reason
    assert load_pack(ID).id == ID
