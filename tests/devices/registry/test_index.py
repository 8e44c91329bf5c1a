"""The index of a registry: versions, and what is no index."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from nnmeter.devices import DevicePack
from nnmeter.devices.registry.exporting import export_packs
from nnmeter.devices.registry.index import INDEX, parse_index
from nnmeter.devices.registry.installing import add_packs
from nnmeter.errors import DeviceError
from tests.devices.packs import change_price, copy_pack

ID = "test-cpu-1t"
HASH = "0" * 64
GOOD: dict[str, Any] = {
    "version": 1, "file": "a-1.zip", "sha256": HASH, "bytes": 9, "pack": HASH,
    "hardware": "", "runtime": "", "date": "",
}  # fmt: skip


def index(*entries: object, name: str = "a", schema: object = 1) -> bytes:
    return json.dumps({"schema_version": schema, "packs": {name: list(entries)}}).encode()


def test_versions_count_up_and_an_equal_pack_gets_none(pack: DevicePack, registry: Path) -> None:
    assert [item.action for item in export_packs([str(pack.path)], registry)] == ["unchanged"]
    change_price(pack.path, 2)
    assert [item.version for item in export_packs([str(pack.path)], registry)] == [2]
    found = parse_index((registry / INDEX).read_bytes(), "index").packs[ID]
    assert [entry.version for entry in found] == [1, 2]
    assert sorted(path.name for path in registry.iterdir()) == [INDEX, f"{ID}-1.zip", f"{ID}-2.zip"]


def test_exports_at_once_lose_nothing(pack: DevicePack, tmp_path: Path, home: Path) -> None:
    packs = [copy_pack(pack.path, tmp_path / "many", f"cpu-{n}") for n in range(4)]
    folder = tmp_path / "shared"
    threads = [threading.Thread(target=export_packs, args=([str(path)], folder)) for path in packs]
    export_packs([str(pack.path)], folder)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(parse_index((folder / INDEX).read_bytes(), "index").packs) == [*(f"cpu-{n}" for n in range(4)), ID]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{}", b'{"schema_version": true, "packs": {}}', b'{"schema_version": 2, "packs": {}}',
        index(), index(3), index(GOOD, name="../a"), index(GOOD, GOOD), index({**GOOD, "version": 2}, GOOD),
        *(index({**GOOD, **change}) for change in (
            {"version": 0}, {"version": True}, {"file": "../a.zip"}, {"file": "https://x/a.zip"}, {"file": "a.py"},
            {"file": ".zip"}, {"sha256": "0" * 63}, {"sha256": "G" * 64}, {"bytes": 1 << 40}, {"bytes": -1},
            {"pack": None}, {"hardware": 3}, {"date": "x" * 501},
        )),
    ],
)  # fmt: skip
def test_what_is_no_index_is_refused(data: bytes) -> None:
    with pytest.raises(DeviceError, match=r"^where: "):
        parse_index(data, "where")


def test_an_index_that_lies_about_a_pack_is_found_out(registry: Path, home: Path) -> None:
    content = json.loads((registry / INDEX).read_text())
    for field, value in (("pack", HASH), ("sha256", HASH), ("bytes", content["packs"][ID][0]["bytes"] + 1)):
        changed = json.loads(json.dumps(content))
        changed["packs"][ID][0][field] = value
        (registry / INDEX).write_text(json.dumps(changed))
        with pytest.raises(DeviceError, match="tell who keeps it"):
            add_packs(str(registry), [ID])
    content["packs"]["other-id"] = content["packs"].pop(ID)
    (registry / INDEX).write_text(json.dumps(content))
    with pytest.raises(DeviceError, match="another pack than the index says"):
        add_packs(str(registry), ["other-id"])
    assert not home.exists()


def test_a_folder_that_is_something_else_is_left_alone(pack: DevicePack, tmp_path: Path, home: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("It")
    with pytest.raises(DeviceError, match="is no registry"):
        export_packs([str(pack.path)], tmp_path / "thesis")
    with pytest.raises(DeviceError, match="is an address"):
        export_packs([str(pack.path)], "https://example.org/packs")
