from dataclasses import replace
from pathlib import Path

import pytest

from nnmeter.devices import DeviceInfo, nearest_device
from nnmeter.devices.machine import Machine, installed_version, machine_from_cpuinfo, this_machine
from nnmeter.errors import DeviceError

from .conftest import CARD

HERE = Machine("Test CPU", "TestVendor", "x86_64", "avx2")


def device(device_id: str, **changes: object) -> DeviceInfo:
    fingerprint = {**CARD.fingerprint, **changes}
    return DeviceInfo(device_id, Path(device_id), replace(CARD, id=device_id, fingerprint=fingerprint))


SAME = device("same")
OTHER_MODEL = device("other-model", cpu="Test CPU II")
OTHER_VENDOR = device("other-vendor", cpu="Rival", vendor="RivalVendor")
OTHER_ISA = device("other-isa", cpu="Test CPU X", isa="avx512")
OTHER_ARCHITECTURE = device("other-architecture", cpu="Phone", vendor="0x41", architecture="aarch64", isa="neon")


@pytest.mark.parametrize(
    ("devices", "nearest", "words"),
    [
        ([OTHER_MODEL, SAME, OTHER_VENDOR], "same", "same CPU model (Test CPU)"),
        ([OTHER_VENDOR, OTHER_MODEL, OTHER_ISA], "other-model", "same instructions (avx2), other model: Test CPU II"),
        ([OTHER_ISA, OTHER_VENDOR], "other-vendor", "same instructions (avx2), other vendor: Rival there"),
        ([OTHER_ARCHITECTURE, OTHER_ISA], "other-isa", "other instructions: avx512 there (Test CPU X), avx2 here"),
        ([OTHER_ARCHITECTURE], "other-architecture", "other architecture: aarch64 there, x86_64 here"),
    ],
)
def test_the_nearest_pack_is_taken_and_explained(devices: list[DeviceInfo], nearest: str, words: str) -> None:
    found, explanation = nearest_device(devices, HERE)
    assert found.id == nearest
    assert explanation.startswith(words)


PHONE = device("a-phone", kind="cpu", published={"name": "set"})
PHONE = replace(PHONE, card=replace(PHONE.card, runtime="tflite"))
GPU = device("a-gpu", kind="gpu")


def test_a_phone_or_an_accelerator_is_never_the_nearest() -> None:
    assert nearest_device([PHONE, GPU, OTHER_ARCHITECTURE], HERE)[0].id == "other-architecture"
    with pytest.raises(DeviceError, match=r"no device pack is of a machine like this one.*a-phone and 1 more"):
        nearest_device([PHONE, GPU], HERE)


def test_nearer_instructions_win() -> None:
    near, far = device("near", isa="avx"), device("far", isa="amx")
    assert nearest_device([far, near], HERE)[0].id == "near"


def test_one_thread_wins_a_tie() -> None:
    many = replace(SAME, id="a-4t", card=replace(SAME.card, id="a-4t", threads=4))
    assert nearest_device([many, SAME], HERE)[0].id == "same"


def test_the_runtime_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    for version, words in [
        (None, "onnxruntime 1.0.0 there, not installed here"),
        ("1.0.0", "same onnxruntime 1.0.0"),
        ("2.0.0", "onnxruntime 1.0.0 there, 2.0.0 here"),
    ]:
        monkeypatch.setattr("nnmeter.devices.nearest.runtime_version", lambda runtime, version=version: version)
        assert nearest_device([SAME], HERE)[1].endswith(words)


def test_no_pack_is_an_error() -> None:
    with pytest.raises(DeviceError, match="no device pack is installed"):
        nearest_device([], HERE)


def test_cpuinfo_of_x86_and_arm_is_read() -> None:
    x86 = "vendor_id\t: GenuineIntel\nmodel name\t: Xeon  X\nflags\t\t: fpu avx avx2 fma\n\nprocessor\t: 1\n"
    assert machine_from_cpuinfo(x86, "AMD64") == Machine("Xeon X", "GenuineIntel", "x86_64", "avx2")
    arm = "processor : 0\nFeatures : fp asimd asimddp\nCPU implementer : 0x41\nCPU part : 0xd0c\n"
    assert machine_from_cpuinfo(arm, "aarch64") == Machine("0xd0c", "0x41", "aarch64", "neon-dot")
    assert machine_from_cpuinfo("", "riscv64") == Machine("", "", "riscv64", "")


def test_this_machine_has_an_architecture() -> None:
    assert this_machine().architecture


def test_installed_versions_agree_with_importlib() -> None:
    from importlib.metadata import version

    for name in ("numpy", "click", "typing-extensions"):
        assert installed_version(name) == version(name)
    assert installed_version("no-such-distribution") is None
