"""Several devices are chosen by id, pattern, path or `all`, in groups of what they are of."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnmeter.devices import find_devices, list_devices, load_pack
from nnmeter.devices.advice import how_to_train
from nnmeter.devices.catalog import in_groups
from nnmeter.errors import DeviceError
from nnmeter.report.devices import DeviceList
from nnmeter.report.registry import CORE

from .packs import copy_pack


@pytest.fixture(autouse=True)
def packs(small_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two phones, a stick, a server's GPU and a server's processor, and nothing else."""
    folder = tmp_path / "packs"
    published = {"name": "set", "license": "MIT"}
    copy_pack(small_pack, folder, "zeon-1t")
    copy_pack(small_pack, folder, "v100_fp16", "tensorrt", kind="gpu", published=published)
    copy_pack(small_pack, folder, "adreno640", "tflite-gpu", kind="gpu", published=published)
    copy_pack(small_pack, folder, "adreno630", "tflite-gpu", kind="gpu", published=published)
    copy_pack(small_pack, folder, "cortex", "tflite", kind="cpu", published=published)
    copy_pack(small_pack, folder, "myriad", "openvino-myriad", kind="vpu", published=published)
    monkeypatch.setattr("nnmeter.devices.catalog._shipped_directories", list)
    monkeypatch.setenv("NNMETER_PACKS", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    return folder


def ids(*patterns: str | Path) -> list[str]:
    return [device.id for device in find_devices(patterns)]


def test_all_come_in_groups() -> None:
    assert ids("all") == ["zeon-1t", "v100_fp16", "cortex", "adreno630", "adreno640", "myriad"]


def test_patterns_ids_and_paths_come_in_the_order_given_and_once(packs: Path) -> None:
    assert ids("myriad", "adreno*", "adreno640") == ["myriad", "adreno630", "adreno640"]
    assert ids(packs / "cortex", str(packs / "myriad")) == ["cortex", "myriad"]


def test_a_pattern_that_fits_none_names_some() -> None:
    with pytest.raises(DeviceError, match=r"no device matches 'mali\*'; there are adreno630, adreno640, cortex"):
        ids("mali*")
    with pytest.raises(DeviceError, match="unknown device 'adreno64': did you mean"):
        ids("adreno64")


def test_the_list_has_a_section_a_group() -> None:
    lines = CORE.render("devices", DeviceList(list_devices(), "zeon-1t"), "table").splitlines()
    order = ["server CPU", "zeon-1t *", "server GPU", "v100_fp16", "phone CPU", "cortex", "phone GPU", "adreno630",
             "adreno640", "stick VPU", "myriad"]  # fmt: skip
    positions = [next(i for i, line in enumerate(lines) if line.startswith(name)) for name in order]
    assert positions == sorted(positions)


def test_groups_are_the_same_in_any_order() -> None:
    devices = list_devices()
    assert in_groups(devices) == in_groups(devices[::-1])


def test_advice_is_to_profile_here_or_to_take_times_down(packs: Path) -> None:
    assert how_to_train(load_pack("zeon-1t"), "a b/m.onnx", {"batch": 2}) == (
        "nnmeter profile --like 'a b/m.onnx' --dim batch=2 --device zeon-1t --budget 5m --out m-campaign",
        "nnmeter calibrate zeon-1t --measurements m-campaign --out zeon-1t-m",
    )
    assert how_to_train(load_pack("cortex"), None, {}) == (
        "nnmeter measure MODEL --taken MILLISECONDS --on cortex --out model.parquet",
        "nnmeter calibrate cortex --measurements model.parquet --out cortex-model",
    )


def test_advice_names_a_pack_by_its_path_where_its_id_is_not_known(
    packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNMETER_PACKS", str(tmp_path / "elsewhere"))
    profile, calibrate = how_to_train(load_pack(packs / "zeon-1t"), "m.onnx", {})
    assert f"--device {packs / 'zeon-1t'} " in profile
    assert calibrate.startswith(f"nnmeter calibrate {packs / 'zeon-1t'} ")
