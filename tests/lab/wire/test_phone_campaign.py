"""Campaigns on a phone, which is a folder here: `adb` is a script."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.bench import BenchLost
from nnmeter.lab.kit import build
from nnmeter.lab.kit.runtimes import runtime_of_kit
from nnmeter.lab.measuring import store
from nnmeter.lab.measuring.reference import reference_model
from nnmeter.lab.wire import phone_campaign
from nnmeter.lab.wire.campaign import run_campaign_on
from tests.lab.wire.test_far_stand import make_model

pytest.importorskip("pyarrow")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.skipif(os.name != "posix" or not shutil.which("sh"), reason="needs a POSIX shell")


@pytest.fixture
def begun(tmp_path):
    """A campaign whose kit has one network, and a reference before and behind it."""
    place = tmp_path / "campaign" / "kit"
    make_model(place / "models" / "plain-7.onnx")
    (place / "models" / "reference.onnx").write_bytes(reference_model())
    rows = [("time", "reference"), ("profile", "plain-7"), ("time", "plain-7"), ("time", "reference")]
    lines = (f"{number} {kind} {name} 5\n" for number, (kind, name) in enumerate(rows, 1))
    (place / "plan.txt").write_text("".join(lines))
    (place / "threads").write_text("1\n")
    (place / "budget").write_text("60\n")
    manifest = {"runtime": "onnxruntime", "threads": 1, "seed": 0, "networks": {"plain-7": "plain"}}
    (place / "kit.json").write_text(json.dumps(manifest))
    build._copy_scripts(place, runtime_of_kit("onnxruntime"))
    return tmp_path / "campaign", "plain-7"


def test_kit_is_carried_run_and_imported_and_goes_on(phone, begun):
    directory, network = begun
    done = run_campaign_on(directory, phone.board, budget_s=1000.0)
    rows, fingerprint = store.read_measurements(directory)
    assert [row.network for row in rows] == [network]
    assert rows[0].runs == 5
    assert (done.networks, done.kernels, done.refused) == (1, len(rows[0].kernels), 0)
    assert (fingerprint["device"], fingerprint["runtime"]) == ("r58n-onnxruntime-1t", "onnxruntime")
    assert phone.rows() == [1, 2, 3, 4]
    pushes = (phone.folder / "verbs").read_text().split().count("push")
    again = run_campaign_on(directory, phone.board, budget_s=1000.0)
    assert again.networks == 1
    assert (phone.folder / "verbs").read_text().split().count("push") == pushes
    assert store.read_measurements(directory)[0] == rows
    with pytest.raises(MeasurementError, match="holds a campaign already"):
        run_campaign_on(directory, phone.board, resume=False)
    (phone.place / "machine").write_text("fedcba9876543210")
    with pytest.raises(MeasurementError, match="is another machine than the one that was measured before"):
        run_campaign_on(directory, phone.board, budget_s=1000.0)


def test_cut_wire_is_waited_for_and_no_row_is_run_twice(phone, begun):
    directory, _ = begun
    # Writes no profile, so that there is nothing to import; the second row pulls the plug, and comes back.
    phone.program(
        f"""case $1 in --help) exit 0 ;; esac
echo x >>{phone.folder}/runs
if [ "$(wc -l <{phone.folder}/runs)" -eq 2 ]; then
    touch {phone.folder}/unplugged
    (sleep 0.3; rm {phone.folder}/unplugged) &
    kill $(tail -n 1 {phone.folder}/pids)
fi
"""
    )
    with pytest.raises(MeasurementError, match="has no row that makes a measurement"):
        run_campaign_on(directory, phone.board, budget_s=1000.0)
    assert (phone.folder / "verbs").read_text().split().count("shell") >= 8  # six if nothing happens
    assert phone.rows() == [1, 2, 3, 4]
    assert len((phone.folder / "runs").read_text().split()) in (4, 5)  # the one in hand, once more
    assert sorted(int(place.name) for place in (directory / "kit" / "results" / "rows").iterdir()) == [1, 2, 3, 4]


def test_phone_that_stays_away_is_lost(phone, begun, monkeypatch):
    directory, _ = begun
    monkeypatch.setattr(phone_campaign, "LOST_S", 0.05)
    phone.program(f"touch {phone.folder}/unplugged; kill $(tail -n 1 {phone.folder}/pids)\n")
    with pytest.raises(
        BenchLost, match=r"adb://R58N: could not be reached for 0.05 s \(adb: device 'R58N' not found\)"
    ):
        run_campaign_on(directory, phone.board, budget_s=1000.0)


def test_second_campaign_is_told_who_holds_the_phone(phone, begun):
    directory, _ = begun
    lock = phone.place / "lock"
    lock.mkdir(parents=True)
    (lock / "pid").write_text(f"{os.getpid()}\n")
    (lock / "who").write_text("you@there, campaign /first\n")
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        pytest.skip("this system has no id of its boot")
    (lock / "boot").write_text(boot.read_text())
    with pytest.raises(MeasurementError, match=r"adb://R58N: is held by you@there, campaign /first, process \d+; wait"):
        run_campaign_on(directory, phone.board, budget_s=1000.0)
    assert phone.rows() == []


@pytest.mark.parametrize("options", [{"until": 0.1}, {"like": {"paths": ["a"]}}])
def test_what_a_kit_cannot_do_is_refused(phone, tmp_path, options):
    with pytest.raises(MeasurementError, match="need a device with Python"):
        run_campaign_on(tmp_path / "campaign", phone.board, **options)


def test_what_is_missing_is_one_line(phone, begun, monkeypatch):
    directory, _ = begun
    with pytest.raises(MeasurementError, match=r"the kit ended with code 2 .onnxruntime_perf_test is not here"):
        run_campaign_on(directory, replace(phone.board, bin=None), budget_s=1000.0)
    (phone.bin / "onnxruntime_perf_test").unlink()
    with pytest.raises(MeasurementError, match="android: has no onnxruntime_perf_test; put it there"):
        run_campaign_on(directory, phone.board, budget_s=1000.0)
    (phone.folder / "unplugged").touch()
    with pytest.raises(MeasurementError, match=r"cannot be reached .adb: device 'R58N' not found.; see what"):
        run_campaign_on(directory, replace(phone.board, bin=None), budget_s=1000.0)
    monkeypatch.setenv("PATH", str(phone.bin))
    with pytest.raises(MeasurementError, match="needs the program adb"):
        run_campaign_on(directory, phone.board, budget_s=1000.0)
