from dataclasses import replace
from pathlib import Path

import pytest

from nnmeter.devices import DeviceInfo, nearest_device
from nnmeter.devices.machine import Machine, installed_version, this_machine
from nnmeter.errors import DeviceError

from .conftest import CARD

HERE = Machine("Test CPU", "TestVendor", "x86_64", "avx2", "25", "1")


def device(device_id: str, **changes: object) -> DeviceInfo:
    fingerprint = {**CARD.fingerprint, "cpu_family": "25", "cpu_model": "1", **changes}
    return DeviceInfo(device_id, Path(device_id), replace(CARD, id=device_id, fingerprint=fingerprint))


SAME = device("same")
OTHER_MODEL = device("other-model", cpu_model="17")
OTHER_FAMILY = device("other-family", cpu_family="26")
OTHER_VENDOR = device("other-vendor", cpu="Rival", vendor="RivalVendor")
OTHER_ISA = device("other-isa", cpu="Test CPU X", isa="avx512")
OTHER_ARCHITECTURE = device("other-architecture", cpu="Phone", vendor="0x41", architecture="aarch64", isa="neon")


@pytest.mark.parametrize(
    ("devices", "nearest", "words"),
    [
        ([OTHER_MODEL, SAME, OTHER_VENDOR], "same", "this machine"),
        ([OTHER_VENDOR, OTHER_FAMILY, OTHER_MODEL], "other-model", "another machine (family 25 model 17 there, family"),
        ([OTHER_VENDOR, OTHER_FAMILY, OTHER_ISA], "other-family", "another machine (family 26 model 1 there, family"),
        ([OTHER_ISA, OTHER_VENDOR], "other-vendor", "another machine (RivalVendor family 25 model 1 there, TestVendor"),
        ([OTHER_ARCHITECTURE, OTHER_ISA], "other-isa", "another machine (instructions avx512 there, avx2 here"),
        ([OTHER_ARCHITECTURE], "other-architecture", "another machine (architecture aarch64 there, x86_64 here"),
    ],
)
def test_the_nearest_pack_is_taken_and_explained(
    devices: list[DeviceInfo], nearest: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnmeter.devices.identity.runtime_version", lambda _: "1.0.0")
    found, match = nearest_device(devices, HERE)
    assert found.id == nearest
    assert match.words.startswith(words)


PHONE = device("a-phone", kind="cpu", published={"name": "set"})
PHONE = replace(PHONE, card=replace(PHONE.card, runtime="tflite"))
GPU = device("a-gpu", kind="gpu")


def test_a_phone_or_an_accelerator_is_never_the_nearest() -> None:
    assert nearest_device([PHONE, GPU, OTHER_ARCHITECTURE], HERE)[0].id == "other-architecture"
    with pytest.raises(DeviceError, match=r"no device pack is of a machine like this one.*a-phone and 1 more"):
        nearest_device([PHONE, GPU], HERE)


def test_a_pack_made_here_wins_over_one_that_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped, own = device("a-shipped"), device("z-own")
    monkeypatch.setattr("nnmeter.devices.nearest.is_shipped", lambda path: path == shipped.path)
    assert nearest_device([shipped, own], HERE)[0].id == "z-own"
    two_threads = replace(own, card=replace(own.card, threads=2))
    assert nearest_device([shipped, two_threads], HERE)[0].id == "a-shipped"


def test_nearer_instructions_win() -> None:
    near, far = device("near", isa="avx"), device("far", isa="amx")
    assert nearest_device([far, near], HERE)[0].id == "near"


def test_one_thread_wins_a_tie() -> None:
    many = replace(SAME, id="a-4t", card=replace(SAME.card, id="a-4t", threads=4))
    assert nearest_device([many, SAME], HERE)[0].id == "same"


def test_the_pack_of_the_installed_version_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    new = replace(SAME, id="new", card=replace(SAME.card, id="new", version="2.0.0"))
    for version, nearest in (("1.0.0", "same"), ("2.0.0", "new")):
        for module in ("nearest", "identity"):
            monkeypatch.setattr(f"nnmeter.devices.{module}.runtime_version", lambda _, version=version: version)
        assert nearest_device([new, SAME], HERE)[0].id == nearest


def test_no_pack_is_an_error() -> None:
    with pytest.raises(DeviceError, match="no device pack is installed"):
        nearest_device([], HERE)


def test_this_machine_has_an_architecture() -> None:
    assert this_machine().architecture


def test_installed_versions_agree_with_importlib() -> None:
    from importlib.metadata import version

    for name in ("numpy", "click", "typing-extensions"):
        assert installed_version(name) == version(name)
    assert installed_version("no-such-distribution") is None
