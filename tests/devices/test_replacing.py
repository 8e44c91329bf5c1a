"""A pack that is replaced while it is read, and damaged packs among sound ones."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from nnmeter.cli.main import run
from nnmeter.devices import list_devices, load_pack
from nnmeter.devices.catalog import damaged_devices, find_devices
from nnmeter.devices.pack import check_place, read_pack, save_scorecard
from nnmeter.errors import DeviceError


@pytest.fixture
def place(tmp_path: Path, small_pack: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of packs with one of its own."""
    own = tmp_path / "packs"
    shutil.copytree(small_pack, own / small_pack.name)
    monkeypatch.setenv("NNMETER_PACKS", str(own))
    return own


def test_every_load_during_constant_replacement_succeeds(place: Path, small_pack: Path) -> None:
    pack = read_pack(place / small_pack.name)
    done = threading.Event()

    def replace() -> None:
        while not done.is_set():
            save_scorecard(pack, {"schema_version": 1})

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(200):
            assert read_pack(pack.path).id == pack.id
    finally:
        done.set()
        writer.join()
    assert [path.name for path in place.iterdir()] == [small_pack.name]


def test_a_damaged_pack_does_not_block_the_others(
    place: Path, small_pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = place / "broken"
    shutil.copytree(small_pack, broken)
    (broken / "card.json").write_text("{}")
    assert small_pack.name in [device.id for device in list_devices()]
    assert list(damaged_devices()) == ["broken"]
    assert load_pack(small_pack.name).id == small_pack.name
    assert run(["devices"]) == 0
    notice = capsys.readouterr().err
    assert "left out" in notice
    assert "broken" in notice
    for asked in ("broken", "brok*"):
        with pytest.raises(DeviceError, match=r"card\.json"):
            find_devices([asked])


def test_a_wrong_place_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "other").write_text("")
    for place in ("file", "folder", "file/pack"):
        with pytest.raises(DeviceError, match="give another place"):
            check_place(tmp_path / place)
    check_place(tmp_path / "new" / "pack")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that takes no files from anybody")
def test_a_place_that_takes_no_files_is_refused_whoever_asks(
    capsys: pytest.CaptureFixture[str], small_model: Path, small_pack: Path
) -> None:
    """Permissions do not tell: the superuser has them all."""
    with pytest.raises(DeviceError, match=r"/proc/pack: cannot be made in /proc \(.*\); give another place"):
        check_place("/proc/pack")
    assert run(["predict", str(small_model), "--device", str(small_pack), "--output", "/proc/report"]) == 2
    assert "--output /proc/report: cannot be written (" in capsys.readouterr().err
