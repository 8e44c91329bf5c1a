"""`nnmeter setup`: from a short campaign to a pack that predictions on this machine take."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnmeter.devices import DevicePack, list_devices, load_pack, nearest_device
from nnmeter.devices.catalog import DeviceInfo
from nnmeter.devices.identity import Verdict, match_measurements
from nnmeter.errors import DeviceError, MeasurementError
from nnmeter.lab.campaign.campaign import CampaignProgress
from nnmeter.lab.measuring.fingerprint import take_fingerprint
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import part_path, write_measurements
from nnmeter.lab.report import setup_json, setup_table
from nnmeter.lab.training.build import build_pack
from nnmeter.lab.transfer import setup
from nnmeter.lab.wire.board import parse_address
from nnmeter.report.registry import Layout
from tests.lab.training.test_continued import UNSEEN, near_ms, on_near

pytest.importorskip("lightgbm")
pytest.importorskip("pyarrow")


def fingerprint_of(machine: str) -> dict[str, Any]:
    """Of this machine, or of another one."""
    here = take_fingerprint("onnxruntime", "1.32.0", 1, {}) | {"reference_ms": 2.0}
    return here if machine == "this" else here | {"cpu": "Other 9000", "cpu_family": "99", "cpu_model": "1"}


@pytest.fixture(scope="module")
def prior(measurements: list[Measurement], tmp_path_factory: pytest.TempPathFactory) -> DeviceInfo:
    folder = tmp_path_factory.mktemp("prior")
    write_measurements(folder / "other.parquet", measurements, fingerprint_of("other"))
    pack = build_pack([folder / "other.parquet"], folder / "other-1t", device_id="other-1t")
    return DeviceInfo(pack.id, pack.path, pack.card)


@pytest.fixture
def machine(
    prior: DeviceInfo, measurements: list[Measurement], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], None]:
    """A home of its own, and a campaign that measures as many networks of the near machine as it is told."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(setup, "candidates", lambda runtime, here: [prior])
    monkeypatch.setattr("nnmeter.lab.transfer.setup.runtime_version", lambda runtime: "1.32.0")
    monkeypatch.setattr("nnmeter.devices.identity.runtime_version", lambda runtime: "1.32.0")
    monkeypatch.setattr("nnmeter.devices.nearest.runtime_version", lambda runtime: "1.32.0")
    networks = {"count": 12}

    def campaign(directory: os.PathLike[str], *_: Any, progress: Callable[..., None], **__: Any) -> CampaignProgress:
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        first = 100 * len(list(folder.glob("part-*")))
        rows = [
            replace(on_near(m, first + i), network=f"plain-{first + i}", id=f"block:plain-{first + i}")
            for i, m in enumerate(measurements[: networks["count"]])
        ]
        write_measurements(part_path(folder, first, first + len(rows)), rows, fingerprint_of("this"))
        done = CampaignProgress(len(rows), sum(len(r.kernels) for r in rows), 0, 40.0, 44.0, rows[-1].network)
        progress(done)
        return done

    monkeypatch.setattr(setup, "run_supervised_campaign", campaign)
    monkeypatch.setattr(setup, "run_campaign_on", campaign)
    return lambda count: networks.update(count=count)


def test_predictions_take_the_pack_of_this_machine_from_then_on(machine: Callable[[int], None]) -> None:
    report = setup.setup_device()
    assert "predictions take this pack from now on" in setup_table.render(report, Layout())
    assert report.prior == "other-1t"
    assert report.pack.card.trained_on["prior"] == "other-1t"
    assert report.pack.id in [device.id for device in list_devices()]
    nearest, match = nearest_device()
    assert nearest.id == report.pack.id, "also where a pack of this kind of machine ships"
    assert match.verdict is Verdict.THIS_MACHINE
    for signature, price in zip(UNSEEN, load_pack(report.pack.id).predictor.price(UNSEEN), strict=True):
        assert price.latency_ms == pytest.approx(near_ms(signature), rel=0.15)


def test_a_pack_in_a_folder_of_its_own_is_named_by_that(machine: Callable[[int], None], tmp_path: Path) -> None:
    report = setup.setup_device(output=tmp_path / "mine", device_id="mine")
    assert report.pack.id not in [device.id for device in list_devices()]
    last = setup_table.render(report, Layout()).splitlines()[-1]
    assert last == f"predictions for it: nnmeter predict MODEL --device {tmp_path / 'mine'}"


def test_a_second_setup_goes_on_with_what_was_measured(machine: Callable[[int], None]) -> None:
    assert setup.setup_device().networks == 12
    again = setup.setup_device()
    assert again.networks == 24
    assert again.pack.card.trained_on["networks"] == 24


def test_thin_measurements_are_said_to_be_thin_and_many_are_looked_ahead_from(machine: Callable[[int], None]) -> None:
    thin = setup.setup_device()
    assert thin.is_thin and not thin.foreseen
    assert "take it with care, few networks were measured" in setup_table.render(thin, Layout())
    machine(60)
    report = setup.setup_device(device_id="mine")
    assert not report.is_thin
    assert list(report.foreseen) == [300.0, 1200.0]
    assert report.foreseen[1200.0] <= report.foreseen[300.0] <= report.candidates["other-1t"]
    text = setup_table.render(report, Layout())
    assert "with care" not in text and "--budget 5m" in text
    document = json.loads(setup_json.render(report, Layout()))
    assert (document["id"], document["networks"], document["prior"]) == ("mine", 72, "other-1t")


def test_too_short_a_budget_is_refused_before_anything_is_measured(machine: Callable[[int], None]) -> None:
    with pytest.raises(MeasurementError, match="needs 30 seconds or more, not 10"):
        setup.setup_device(10.0)


def test_a_wrong_place_is_refused_before_anything_is_measured(
    machine: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "run_supervised_campaign", lambda *_, **__: pytest.fail("it was measured"))
    (tmp_path / "file").touch()
    with pytest.raises(DeviceError, match="exists and is no device pack; give another place"):
        setup.setup_device(output=tmp_path / "file")


ANOTHER = Verdict.ANOTHER_MACHINE
HERE = take_fingerprint("onnxruntime", "1.32.0", 1, {})
CANDIDATES = setup.candidates  # before a fixture puts another in its place


def test_setup_starts_from_packs_of_the_runtime_that_were_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    found = [device.id for device in setup.candidates("onnxruntime", HERE)]
    assert "epyc-genoa-onnxruntime1.32-1t" in found and "xeon-icelake-onnxruntime1.32-1t" in found
    assert all(device.card.runtime == "onnxruntime" for device in setup.candidates("onnxruntime", HERE))
    with pytest.raises(MeasurementError, match="no device pack of tflite is there to start from"):
        setup.candidates("tflite", HERE)


def test_a_pack_that_was_set_up_is_a_start_for_other_threads_of_its_machine_alone(
    machine: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = setup.setup_device().pack.id
    found = [d for d in list_devices() if d.id == mine or match_measurements(d.card, HERE).verdict is ANOTHER]
    monkeypatch.setattr(setup, "list_devices", lambda: found)  # without packs of this kind of machine that ship
    assert mine in [device.id for device in CANDIDATES("onnxruntime", HERE | {"threads": 2})]
    assert mine not in [device.id for device in CANDIDATES("onnxruntime", HERE)], "it would start from itself"
    elsewhere = fingerprint_of("other") | {"threads": 2}
    assert mine not in [device.id for device in CANDIDATES("onnxruntime", elsewhere)]


def test_a_mixture_of_two_machines_is_started_from_where_neither_is_far_behind(
    measurements: list[Measurement], tmp_path: Path
) -> None:
    def of(machine: str, factor: float, noise: float) -> DevicePack:
        generator = np.random.default_rng(1)
        times = [[t * factor * float(np.exp(generator.normal(0, noise))) for t in m.kernel_ms] for m in measurements]
        rows = [replace(m, kernel_ms=tuple(t)) for m, t in zip(measurements, times, strict=True)]
        own = fingerprint_of("this") | {"cpu": machine, "cpu_family": machine[-1], "cpu_model": "1"}
        write_measurements(tmp_path / f"{machine}.parquet", rows, own)
        return build_pack([tmp_path / f"{machine}.parquet"], tmp_path / machine, device_id=machine)

    near = [on_near(m, i) for i, m in enumerate(measurements[:20])]
    alike, other = of("machine7", 1.0, 0.0), of("machine8", 2.0, 0.0)
    errors, best = setup.choose_prior(near, [alike, other])
    mixture = [pack.id for pack in best]
    assert sorted(mixture) == ["machine7", "machine8"]
    assert errors[" + ".join(mixture)] <= 1.05 * min(errors["machine7"], errors["machine8"])
    far = of("machine9", 1.0, 1.0)
    assert [pack.id for pack in setup.choose_prior(near, [alike, far])[1]] == ["machine7"]
    source, place = tmp_path / "machine7.parquet", tmp_path / "mixed"
    pack = build_pack([source], place, device_id="mixed", prior=[one.path for one in best])
    assert pack.card.trained_on["prior"] == " + ".join(mixture)
    assert [share.weight for share in pack.predictor.shares] == [0.5]


def test_board_by_wire_is_a_device_with_a_campaign_of_its_own(machine: Callable[[int], None], tmp_path: Path) -> None:
    board = parse_address("ssh://me@board:2222")
    report = setup.setup_device(threads=2, board=board)
    last = setup_table.render(report, Layout()).splitlines()[-1]
    assert last == f"predictions for it: nnmeter predict MODEL --device {report.pack.id}"
    assert report.pack.id in [device.id for device in list_devices()]
    assert [place.name for place in (tmp_path / "home" / "nnmeter" / "setup").iterdir()] == [
        "ssh-me-board-2222-onnxruntime-2t"
    ]
