import shutil

import pytest

from nnmeter.devices import DevicePack, find_device, list_devices, load_pack
from nnmeter.errors import DeviceError

pytestmark = pytest.mark.usefixtures("only_test_packs")


def test_packs_of_the_environment_variable_are_listed(pack: DevicePack) -> None:
    assert [(device.id, device.path) for device in list_devices()] == [(pack.id, pack.path)]


def test_packs_in_the_users_data_directory_are_listed(pack: DevicePack, monkeypatch: pytest.MonkeyPatch) -> None:
    home = pack.path.parent.parent / "share"
    (home / "nnmeter").mkdir(parents=True)
    pack.path.parent.rename(home / "nnmeter" / "packs")
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    assert [device.id for device in list_devices()] == [pack.id]


def test_a_pack_is_found_by_id_and_by_path(pack: DevicePack) -> None:
    assert find_device(pack.id).path == pack.path
    assert find_device(str(pack.path)).path == pack.path
    assert load_pack(pack.path).id == pack.id


def test_an_unknown_device_is_an_error_with_close_names(pack: DevicePack) -> None:
    with pytest.raises(DeviceError, match="unknown device 'tst-cpu-1': did you mean test-cpu-1t"):
        find_device("tst-cpu-1")


def test_no_pack_at_all_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNMETER_PACKS")
    with pytest.raises(DeviceError, match="no device pack is installed"):
        find_device("anything")
    assert list_devices() == []


def test_a_path_without_a_pack_is_an_error(pack: DevicePack) -> None:
    with pytest.raises(DeviceError, match="not a directory"):
        load_pack(pack.path.parent / "none")
    with pytest.raises(DeviceError, match=r"manifest\.json: missing"):
        load_pack(pack.path.parent)


def test_two_packs_of_one_id_are_refused(pack: DevicePack, monkeypatch: pytest.MonkeyPatch) -> None:
    other = pack.path.parent.parent / "other"
    shutil.copytree(pack.path, other / pack.id)
    monkeypatch.setenv("NNMETER_PACKS", f"{pack.path.parent}:{other}")
    for look_up in (list_devices, lambda: find_device(pack.id)):
        with pytest.raises(DeviceError, match="is there twice"):
            look_up()


def test_a_pack_in_a_directory_of_another_name_is_refused(pack: DevicePack) -> None:
    pack.path.rename(pack.path.parent / "alias")
    with pytest.raises(DeviceError, match="holds the pack of device 'test-cpu-1t'; rename"):
        find_device("alias")
    assert "test-cpu-1t" not in [device.id for device in list_devices()]


def test_one_place_named_twice_is_one_place(pack: DevicePack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNMETER_PACKS", f"{pack.path.parent}:{pack.path.parent}")
    assert len(list_devices()) == 1
