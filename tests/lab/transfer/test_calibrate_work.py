"""Calibrating a pack of published tables: a near device from few networks, with the population as prior."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from nnmeter.devices import DevicePack, load_pack
from nnmeter.errors import MeasurementError
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.public_networks import importer
from nnmeter.lab.importing.public_networks.graphs import load
from nnmeter.lab.importing.run import import_dataset
from nnmeter.lab.measuring.store import read_measurements, write_measurements
from nnmeter.lab.training.network_work import describe_network
from nnmeter.lab.training.population import COLUMNS, fit_population
from nnmeter.lab.training.population_file import POPULATION, write_population
from nnmeter.lab.training.population_folds import leave_out
from nnmeter.lab.training.public_packs import describe_devices, make_packs
from nnmeter.lab.transfer.calibrate import calibrate_pack

pytest.importorskip("pyarrow")

SIZES = {"v1_0.25": (128, 192, 224), "v1_0.5": (128, 192, 224), "v1_0.75": (128, 160, 192),
         "v1_1.0": (128, 160, 192, 224), "v2_0.5": (160, 192, 224)}  # fmt: skip
NETWORKS = [f"mobilenet_{width}_{size}" for width, sizes in SIZES.items() for size in sizes]
DEVICES = 6
HEADER = ("device", "kind", "runtime", "network", "input", "latency_ms")


@cache
def works() -> dict[str, np.ndarray]:
    """What each network does, by the rules that ncnn's devices have."""
    rules = load_rules("inference_engine")
    found = {}
    for name in NETWORKS:
        size = int(name.rpartition("_")[2])
        kernels = detect_kernels(load(name, (1, 3, size, size)), rules)
        found[name] = describe_network(tuple(k.signature for k in kernels)).work
    return found


def write_table(path: Path, devices: range, noise: float = 0.02) -> Path:
    """Made-up devices of one engine, which does sorts of work at odd rates; each device at a speed of its own."""
    odd = np.random.default_rng(99).normal(0.0, 0.8, len(COLUMNS))
    usual = [0.005 if name.endswith("launch") else 0.05 for name in COLUMNS]
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        for device in devices:
            generator = np.random.default_rng(device)
            rates = usual * np.exp(odd + generator.normal(0.0, 0.7) + generator.normal(0.0, 0.1, len(COLUMNS)))
            for name, work in works().items():
                size = name.rpartition("_")[2]
                time_ms = float(work @ rates) * np.exp(generator.normal(0.0, noise))
                writer.writerow((f"d{device}", "board-cpu", "ncnn", name, f"1x3x{size}x{size}", f"{time_ms:.4f}"))
    return path


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of packs of made-up tables, with their population."""
    folder = tmp_path_factory.mktemp("public")
    table = write_table(folder / "table.csv", range(DEVICES))
    chosen = importer.devices(table)
    devices = describe_devices(importer.import_measurements(table, chosen, Detection(chosen)))
    tables = [device.table for device in devices]
    population = fit_population(tables, rounds=4)
    packs = folder / "packs"
    packs.mkdir()
    write_population(population, packs / POPULATION)
    with pytest.MonkeyPatch.context() as patch:  # of MobileNets alone, FLOPs tell nearly as much
        patch.setattr("nnmeter.lab.training.public_packs.MARGIN", 1.0)
        outcomes = make_packs(devices, population, leave_out(tables, folds=3, family_folds=2), packs)
    assert [o.reasons for o in outcomes] == [()] * DEVICES
    return packs


@pytest.fixture
def near(public: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Measurements of another device of the same sort."""
    monkeypatch.setattr("nnmeter.lab.training.population_file.public_directories", lambda: [public])
    path = tmp_path / "near.parquet"
    import_dataset("public-networks", write_table(tmp_path / "near.csv", range(DEVICES, DEVICES + 1)), path)
    return path


def test_a_pack_says_how_good_it_is_on_networks_left_out(public: Path) -> None:
    pack = load_pack(public / "d0-ncnn")
    assert pack.scorecard is not None
    assert pack.scorecard["overall"]["mape"] < 8
    assert pack.scorecard["overall"]["models"] == len(NETWORKS)
    assert set(pack.scorecard["baselines"]) == {"flops", "flops_and_bytes", "roofline", "nearest_network"}
    families = pack.scorecard["families_left_out"]
    assert families["models"] == len(NETWORKS)
    assert {"within_20", "interval_coverage", "baselines"} <= set(families)
    assert pack.scorecard["split"].startswith("networks left out of training on all devices, in 3 parts")
    assert pack.card.fingerprint["threads_stated"] is False
    assert any("threads is not stated" in limit for limit in pack.card.limits)
    assert not any("1 thread" in limit for limit in pack.card.limits)
    assert pack.rules_source.name == "inference_engine"
    assert sum(path.stat().st_size for path in pack.path.iterdir()) < 60_000


def test_five_networks_make_a_pack_of_a_near_device(public: Path, near: Path, tmp_path: Path) -> None:
    pack, report = calibrate_pack(load_pack(public / "d0-ncnn"), [near], tmp_path / "pack", limit=5, repeats=2)
    assert report.held_out is not None
    assert report.held_out["models"] == len(NETWORKS) - 5
    assert report.held_out["mape"] < 10
    assert [point.measurements for point in report.curve] == [0, 5, 10]
    assert report.curve[1].mape[0] < report.curve[0].mape[0]
    assert pack.card.trained_on["calibrated_from"] == "d0-ncnn"
    rows, _ = read_measurements(near)
    held = [inside(pack, row.kernels, row.latency_ms) for row in rows[5:]]
    assert np.mean(held) >= 0.7


def inside(pack: DevicePack, kernels: tuple, latency_ms: float) -> bool:
    prices = pack.predictor.price(kernels)
    total = sum(price.latency_ms for price in prices) + pack.predictor.overhead_ms
    low, high = pack.predictor.intervals.interval_ms(total, prices, 0.9)
    return low <= latency_ms <= high


def test_single_kernels_are_not_enough(public: Path, near: Path, tmp_path: Path) -> None:
    rows, fingerprint = read_measurements(near)
    path = tmp_path / "kernels.parquet"
    write_measurements(path, [replace(row, granularity="kernel", kernels=row.kernels[:1]) for row in rows], fingerprint)
    with pytest.raises(MeasurementError, match="none of the measurements is of a whole network"):
        calibrate_pack(load_pack(public / "d0-ncnn"), [path], tmp_path / "pack")
