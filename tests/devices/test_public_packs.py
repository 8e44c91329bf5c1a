"""Packs of published tables that ship: all are whole and listed quickly, some are looked at in depth."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path

import pytest

from nnmeter.devices import find_device, list_devices, load_pack
from nnmeter.devices.catalog import find_devices, public_directories
from nnmeter.lab.training.work_trees import LEAST_BOOSTED
from nnmeter.prediction.predict import LatencyPredictor
from tests.conftest import REPOSITORY, ZOO

PUBLIC = REPOSITORY / "predictors" / "public"
PACKS = sorted(path.name for path in PUBLIC.iterdir() if path.is_dir())
SAMPLE = [*islice(PACKS, 0, None, max(len(PACKS) // 6, 1)), "rtx-4090-pytorch2.4.0-cu124-amp-fp16"]


def test_there_are_a_hundred_and_every_device_of_the_tables_is_accounted_for() -> None:
    with open(PUBLIC / "devices.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(PACKS) >= 100
    assert sorted(row["device"] for row in rows if row["ships"] == "yes") == PACKS
    assert all(bool(row["reason"]) == (row["ships"] == "no") for row in rows)


def test_they_are_listed_apart_from_those_that_nnmeter_measured() -> None:
    assert not {device.id for device in list_devices()} & set(PACKS)
    assert set(PACKS) <= {device.id for device in list_devices(public=True)}
    assert {device.id for device in find_devices(["public"])} == set(PACKS)
    assert not {device.id for device in find_devices(["all"])} & set(PACKS)
    assert find_device(PACKS[0]).path == public_directories()[0] / PACKS[0]


def test_what_ships_beats_the_baselines_and_its_intervals_hold() -> None:
    for device in list_devices(public=True):
        if device.path.parent != PUBLIC:
            continue
        scorecard = device.scorecard
        assert scorecard is not None
        own = scorecard["overall"]["mape"]
        assert all(own < scorecard["baselines"][name]["mape"] for name in ("flops", "roofline")), device.id
        assert scorecard["interval_coverage"] >= 80, device.id


def test_some_of_many_networks_have_trees_and_those_of_few_have_none() -> None:
    cards = [device.card for device in list_devices(public=True) if device.path.parent == PUBLIC]
    having = [card for card in cards if "trees" in str(card.trained_on["method"])]
    assert having
    assert all(card.trained_on["networks"] >= LEAST_BOOSTED for card in having)


def test_all_packs_of_published_tables_together_are_small() -> None:
    assert sum(path.stat().st_size for path in PUBLIC.rglob("*") if path.is_file()) < 20_000_000


@pytest.mark.parametrize("name", SAMPLE)
def test_a_pack_prices_a_network_with_rules_that_it_refers_to(name: str) -> None:
    pack = load_pack(PUBLIC / name)
    assert pack.rules_source.is_reference
    assert not pack.rules_source.changed
    prediction = LatencyPredictor(pack).predict(ZOO / "mobilenet_v2-224.onnx")
    assert all(kernel.latency_ms > 0 for kernel in prediction.kernels)
    low, high = prediction.interval_ms
    assert 0 < low < prediction.latency_ms < high
    has_trees = "trees" in str(pack.card.trained_on["method"])
    assert any(len(trees.node_counts) for trees in pack.predictor.ensembles.values()) == has_trees
    assert sum(path.stat().st_size for path in Path(pack.path).iterdir()) < (500_000 if has_trees else 100_000)


def test_a_transformer_on_a_device_of_convolutions_has_a_price_and_a_wide_interval() -> None:
    packs = (load_pack(PUBLIC / name) for name in PACKS)
    pack = next(p for p in packs if p.card.kind == "cpu" and p.card.fingerprint["table"]["source"] == "mlperf-open")
    predictor = LatencyPredictor(pack)
    transformer = predictor.predict(ZOO / "vit_tiny_patch16_224-224.onnx")
    convolutions = predictor.predict(ZOO / "mobilenet_v2-224.onnx")
    assert transformer.coverage.fallback > 0.5
    widths = [p.interval_ms[1] / p.interval_ms[0] for p in (transformer, convolutions)]
    assert widths[1] < 3 < 10 < widths[0] < 100, "all of it is work that no device of the runtime was seen with"
