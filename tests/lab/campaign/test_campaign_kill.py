"""A campaign in a process of its own, killed at random moments: SIGKILL, no warning, nothing cleaned up."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign import campaign, planner
from nnmeter.lab.campaign.planning import read_plans
from nnmeter.lab.campaign.verification import verify_measurements
from nnmeter.lab.measuring import lock, store
from tests.lab.campaign import campaign_child
from tests.lab.campaign.conftest import FakeRuntime

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
ROOT = Path(__file__).parents[3]
KILLS = 4


@pytest.fixture(autouse=True)
def settings_come_back(monkeypatch):
    """`campaign_child.run` sets them for a whole process."""
    monkeypatch.setattr(campaign, "BLOCK_NETWORKS", campaign.BLOCK_NETWORKS)
    monkeypatch.setattr(planner, "INTERVAL_S", planner.INTERVAL_S)
    monkeypatch.setattr(FakeRuntime, "clock", FakeRuntime.clock)
    monkeypatch.setattr(lock, "PATIENCE_S", 0.1)


def parts_in(folder):
    return {path.name: path.read_bytes() for path in store.part_files(folder)}


def start(folder, more_parts):
    """A child, once it has written so many parts more than there were."""
    already = len(store.part_files(folder))
    child = subprocess.Popen([sys.executable, "-m", "tests.lab.campaign.campaign_child", str(folder)], cwd=ROOT)
    end = time.monotonic() + 300
    while time.monotonic() < end:
        if child.poll() is not None:
            raise AssertionError("the campaign ended by itself")
        if len(store.part_files(folder)) >= already + more_parts:
            return child
        time.sleep(0.01)
    child.kill()
    raise AssertionError("the campaign writes nothing")


def kill(child):
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


def test_campaign_killed_at_random_moments_loses_and_doubles_nothing(tmp_path):
    moments = random.Random(11)
    kept = {}
    for _ in range(KILLS):
        child = start(tmp_path, moments.randint(1, 6))
        time.sleep(moments.random() * 0.1)
        kill(child)
        parts = parts_in(tmp_path)
        assert kept.items() <= parts.items(), "what was on disk stays as it was"
        assert len(parts) > len(kept)
        assert verify_measurements(tmp_path).problems == ()
        kept = parts
    campaign_child.run(tmp_path, 6.0)
    report = verify_measurements(tmp_path)
    assert report.problems == ()
    assert kept.items() <= parts_in(tmp_path).items()
    rows = store.read_measurements(tmp_path)[0]
    seeds = [int(row.network.rpartition("-")[2]) for row in rows]
    assert seeds == sorted(set(seeds))
    lines = (tmp_path / "refused.jsonl").read_text()
    assert lines.count('"died') <= KILLS, "at most the network in hand is skipped"
    assert lines.count("\n") == report.refused
    assert len(read_plans(tmp_path)) > 1, "it was killed while it planned anew"
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_one_process_at_a_time_and_the_lock_of_a_dead_one_is_taken_over(tmp_path):
    child = start(tmp_path, 1)
    with pytest.raises(MeasurementError, match=rf"another process \(process {child.pid} on .*\) is writing to it"):
        campaign_child.run(tmp_path, 1.0)
    kill(child)
    assert campaign_child.run(tmp_path, 1.0).networks > 0
