from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nnmeter.devices import DeviceInfo, find_device
from nnmeter.devices.chips import GENERATIONS, known_chips, places, plain
from nnmeter.devices.relatives import chip_in, kinship, units
from nnmeter.devices.search import find_packs
from nnmeter.devices.unshipped import Unshipped, unshipped_devices
from nnmeter.errors import DeviceError

from .conftest import CARD


def device(device_id: str, hardware: str, kind: str, place: str = "phone") -> DeviceInfo:
    fingerprint = {"kind": kind, "place": place, "published": {"name": "set"}}
    card = replace(CARD, id=device_id, hardware=hardware, runtime="tflite", fingerprint=fingerprint)
    return DeviceInfo(device_id, Path(device_id), card)


PIXEL4 = device("pixel4-1large-tflite", "Snapdragon 855 (Google Pixel 4), cores: 1large", "cpu")
PIXEL4_GPU = device("pixel4-gpu-tflite", "Adreno 640 of a Snapdragon 855 (Google Pixel 4)", "gpu")
SD888 = device("sd888-cpu-ncnn", "Qualcomm Snapdragon 888 (Cortex-X1 2.84GHz x1 + Cortex-A78 2.4GHz x3)", "cpu")
UNKNOWN_A76 = device("cortexA76cpu_tflite21", "a phone's Cortex-A76", "cpu")
RPI4 = device(
    "rpi4-cpu-ncnn", "Raspberry Pi 4 Model B Broadcom BCM2711B0, Cortex-A72 (ARMv8) (1.8GHz x 4)", "cpu", "board"
)
NANO = device("jetson-nano-gpu-tensorrt", "Jetson Nano", "gpu", "board")
ORIN = device("jetson-agx-orin-gpu-tensorrt", "Jetson AGX Orin", "gpu", "board")
RTX3090 = device("rtx-3090-pytorch", "NVIDIA RTX 3090", "gpu", "desktop")
HAILO8 = device("hailo8", "Hailo-8", "npu", "board")
BY_CHIP = device("board-tflite", "BCM2712: 4x Cortex-A76 2.4 GHz", "cpu", "board")
ALL = [PIXEL4, PIXEL4_GPU, SD888, UNKNOWN_A76, RPI4, NANO, ORIN, RTX3090, HAILO8, BY_CHIP]


def ids(found) -> list[str]:
    return [pack.device.id for pack in found]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("jetson", [ORIN, NANO]),
        ("Jetson-Nano", [NANO]),
        ("pixel 4", [PIXEL4, PIXEL4_GPU]),
        ("pixel 4 gpu", [PIXEL4_GPU]),
        ("sm8150 cpu", [PIXEL4]),
        ("oneplus 7", [PIXEL4, PIXEL4_GPU]),
        ("raspberry pi 4", [RPI4]),
        ("bcm2711", [RPI4]),
        ("compute module 4", [RPI4]),
        ("rtx3090", [RTX3090]),
        ("npu", [HAILO8]),
        ("raspberry", [RPI4, BY_CHIP, HAILO8]),
        ("raspberry pi 5", [BY_CHIP]),
        ("tflite cpu", [PIXEL4, SD888, UNKNOWN_A76, RPI4, BY_CHIP]),
    ],
)
def test_a_device_is_found_by_any_of_its_names(query: str, found: list[DeviceInfo]) -> None:
    result = find_packs(query, ALL)
    assert sorted(ids(result.matches)) == sorted(d.id for d in found)
    assert result.relatives == ()


def test_a_product_with_the_chip_of_a_pack_says_so() -> None:
    match = find_packs("oneplus 7 cpu", ALL).matches[0]
    assert match.because == "has the chip of the OnePlus 7, Snapdragon 855"
    assert find_packs("pixel4", ALL).matches[0].because == ""


def test_a_device_that_is_not_there_has_relatives_with_reasons() -> None:
    result = find_packs("pixel 7", ALL)
    assert (result.matches, result.product) == ((), "Google Pixel 7")
    reasons = {pack.device.id: pack.because for pack in result.relatives}
    assert ids(result.relatives)[0] == SD888.id
    assert reasons[SD888.id] == "the same Cortex-X1 of the Snapdragon 888, at 2.84 GHz where that one has 2.85"
    assert reasons[PIXEL4.id] == "Cortex-A76 of the Snapdragon 855, 3 generations before Cortex-X1"
    assert RPI4.id not in reasons, "the three nearest of a kind"
    assert kinship(UNKNOWN_A76.card, chip_in("pixel 7")).because == "Cortex-A76, 3 generations before Cortex-X1"


@pytest.mark.parametrize(
    ("query", "nearest", "because"),
    [
        ("rtx 4090", RTX3090, "Ampere of the RTX 3090, 1 generation before Ada"),
        ("jetson orin nano gpu", ORIN, "the same Ampere of the Jetson AGX Orin, at 5.3 TFLOPS where that one has 1.3"),
        ("hailo-8l", HAILO8, "the same Hailo-8 of the Hailo-8, at 1 of its size where that one has 0.5"),
        ("orange pi 5", BY_CHIP, "the same Cortex-A76 of the BCM2712"),
    ],
)
def test_the_nearest_relative_is_of_the_same_line(query: str, nearest: DeviceInfo, because: str) -> None:
    found = find_packs(query, ALL).relatives[0]
    assert (found.device.id, found.because) == (nearest.id, because)


@pytest.mark.parametrize("query", ["toaster", "", "???", "x" * 5000, "\x1b[2J"])
def test_what_nobody_knows_finds_nothing(query: str) -> None:
    result = find_packs(query, ALL)
    assert (result.chip, result.matches, result.relatives) == (None, (), ())


def test_part_of_a_name_tells_which_there_are() -> None:
    result = find_packs("jetson", [PIXEL4])
    assert result.candidates[:2] == ("Jetson Nano", "Jetson TX2")
    assert result.matches == result.relatives == ()


@pytest.mark.parametrize(
    ("query", "meant"),
    [("rasberry pi 5", "Raspberry Pi 5"), ("galxy s24", "Samsung Galaxy S24"), ("snapdargon 888", "Snapdragon 888")],
)
def test_a_name_that_is_spelt_nearly_so_is_asked_back(query: str, meant: str) -> None:
    result = find_packs(query, [PIXEL4])
    assert result.candidates[0] == meant
    assert result.matches == result.relatives == ()


def test_another_number_is_another_device_and_no_slip() -> None:
    assert all("9" in name for name in find_packs("rasberry pi 9", ALL).candidates)


@pytest.mark.parametrize(
    ("query", "meant", "found"),
    [
        ("jetsn", "jetson", {ORIN.id, NANO.id}),
        ("tensort", "tensorrt", {ORIN.id, NANO.id}),
        ("tfltie cpu", "tflite cpu", {PIXEL4.id, BY_CHIP.id}),
        ("Pytroch", "pytorch", {RTX3090.id}),
    ],
)
def test_a_word_that_is_spelt_wrong_is_put_right(query: str, meant: str, found: set[str]) -> None:
    result = find_packs(query, ALL)
    assert (result.meant, result.matches, result.relatives) == (meant, (), ())
    assert found <= set(ids(find_packs(meant, ALL).matches))


def test_a_slip_in_what_has_no_pack_is_put_right_too() -> None:
    assert find_packs("hialort", [], HAILO_TABLE).meant == "hailort"


@pytest.mark.parametrize("query", ["toaster", "rasberry pi 9", "jetson", "rk3588"])
def test_what_is_like_nothing_or_found_is_not_put_right(query: str) -> None:
    assert find_packs(query, ALL).meant == ""


def test_the_longest_name_counts() -> None:
    assert chip_in("snapdragon 855+").name == "Snapdragon 855+"
    assert chip_in("Snapdragon 8 Elite Gen 5 QRD").name == "Snapdragon 8 Elite Gen 5"
    assert chip_in("rtx 3060 ti").name == "RTX 3060 Ti"
    assert chip_in("rpi40") is None
    assert chip_in("Qualcomm SM8150-AC Snapdragon 855+ (Kyro485)").name == "Snapdragon 855+"


def test_an_unknown_device_names_its_relative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.devices.catalog.list_devices", lambda public=False: ALL)
    with pytest.raises(
        DeviceError, match=r"no pack of Google Pixel 7; nearest: sd888-cpu-ncnn, because it is the same"
    ):
        find_device("pixel7")
    with pytest.raises(DeviceError, match=r"packs of Google Pixel 4 are pixel4-1large-tflite, pixel4-gpu-tflite"):
        find_device("pixel4")


def test_every_chip_of_the_table_can_be_found_and_compared() -> None:
    names = [name for chip in known_chips() for name in {plain(n) for n in (chip.name, *chip.aliases)}]
    assert len(names) == len(set(names)), "a name stands for one chip"
    assert sum(len(text.replace("(", "").replace(")", "").split()) for text in GENERATIONS) == len(places())
    for chip in known_chips():
        assert chip_in(chip.name) == chip
        assert units(chip, "cpu") or units(chip, "gpu") or units(chip, "npu"), chip.name
        assert 2010 < chip.year < 2030


def test_a_cpu_is_no_relative_of_a_graphics_card() -> None:
    assert kinship(PIXEL4.card, chip_in("rtx 4090")) is None
    assert find_packs("rtx 4090 cpu", ALL).relatives == ()


HAILO_TABLE = [
    Unshipped("hailo8-hailort-int8-fps-inverse", 37, 61.0, "mean error 61.0 % of networks left out"),
    Unshipped("hailo8l-hailort-int8-fps-inverse", 30, 48.0, "mean error 48.0 % of networks left out"),
    Unshipped("jetson-nano-gpu-tensorrt-fp16", 6, None, "6 networks are fewer than 10"),
    Unshipped("rpi5-gpu-ncnn-vulkan-1t", 20, 30.0, "mean error 30.0 % of networks left out"),
]


def test_what_the_tables_have_without_a_pack_is_named_with_the_reason() -> None:
    def named(query: str, packs: list[DeviceInfo]) -> list[str]:
        return [device.id for device in find_packs(query, packs, HAILO_TABLE).unshipped]

    assert named("hailo", []) == ["hailo8l-hailort-int8-fps-inverse", "hailo8-hailort-int8-fps-inverse"]
    assert named("jetson nano", ALL) == ["jetson-nano-gpu-tensorrt-fp16"]
    assert named("raspberry pi 5", ALL) == ["rpi5-gpu-ncnn-vulkan-1t"], "by the chip of the product"
    assert named("raspberry pi 5 cpu", ALL) == [], "that is its graphics"
    assert named("npu", ALL) == []


def test_every_device_of_the_list_that_ships_no_pack_has_a_reason() -> None:
    devices = unshipped_devices()
    assert len(devices) > 500
    assert all(device.reason for device in devices)
    assert find_packs("hailo-8", [], devices).unshipped


HEADER = "device,networks,ships,mape,reason"
LINE = "hailo8,37,no,61.0,mean error 61.0 %"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "no column device, mape, networks, reason, ships"),
        (f"{HEADER.replace(',mape', '')}\n", "no column mape"),
        (f"{HEADER}\n{LINE}\nhailo8l,30,n", "says 'n'"),
        (f"{HEADER}\n{LINE}\nhailo8l,30,no,48.0", "without name or reason"),
        (f"{HEADER}\n{LINE.replace('37', 'many')}\n", "many"),
        (f"{HEADER}\n{LINE.replace('61.0', 'nan')}\n", "a mean error of nan %"),
        (f"{HEADER}\n{LINE.replace('61.0', '-1')}\n", "a mean error of -1.0 %"),
        (f"{HEADER}\n{LINE.replace('hailo8', 'hai' + chr(27))}\n", "without name or reason"),
        (f'{HEADER}\n{LINE}\n"hailo8l,30', "unexpected end of data"),
        (f"{HEADER}\n{LINE}\n".encode()[:-9] + b"\xff\xfe", "codec can't decode"),
    ],
)
def test_a_damaged_list_is_no_empty_one(
    content: str | bytes, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable
) -> None:
    (tmp_path / "devices.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setattr("nnmeter.devices.unshipped.public_directories", lambda: [tmp_path])
    with pytest.raises(DeviceError, match=r"devices\.csv: the list of devices without a pack is damaged \(") as raised:
        unshipped_devices()
    assert fault in str(raised.value)
    outcome = cli("devices", "--search", "pixel 4")
    assert outcome.code == 0, "the packs are found in spite of it"
    assert "left out" in outcome.error_line
    assert fault in outcome.error_line


def test_without_a_list_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.devices.unshipped.public_directories", lambda: [tmp_path])
    assert unshipped_devices() == []
