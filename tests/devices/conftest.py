from pathlib import Path

import pytest

from nnmeter.devices import Card, DevicePack, save_pack
from nnmeter.devices.catalog import pack_directories
from nnmeter.fusion.loading import load_rules, rules_to_dict
from tests.cli.conftest import cli
from tests.conftest import make_small_predictor

__all__ = ["CARD", "RULES", "cli", "pack"]

CARD = Card(
    id="test-cpu-1t",
    hardware="a CPU of the tests",
    runtime="onnxruntime",
    version="1.0.0",
    threads=1,
    precision="float32",
    date="2026-01-01",
    protocol="made up",
    noise_floor={"median": 2.6},
    reference_ms=1.5,
    fingerprint={"cpu": "Test CPU", "vendor": "TestVendor", "architecture": "x86_64", "isa": "avx2"},
    trained_on={"kernels": 10},
    limits=("batch sizes above 64",),
)
RULES = rules_to_dict(load_rules("onnxruntime_cpu"))


@pytest.fixture
def pack(tmp_path: Path) -> DevicePack:
    return save_pack(tmp_path / "packs" / CARD.id, CARD, RULES, make_small_predictor(), {"within_10": 90.0})


@pytest.fixture
def only_test_packs(pack: DevicePack, monkeypatch: pytest.MonkeyPatch) -> DevicePack:
    """The pack of the tests is the only one that can be found."""
    monkeypatch.setattr("nnmeter.devices.catalog._shipped_directories", list)
    monkeypatch.setenv("NNMETER_PACKS", str(pack.path.parent))
    monkeypatch.setenv("XDG_DATA_HOME", str(pack.path.parent.parent / "none"))
    assert pack_directories() == [pack.path.parent]
    return pack
