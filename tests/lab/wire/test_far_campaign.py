"""Campaigns over a wire that is cut, to boards that die, lie, are taken, or have the wrong time."""

import json
import os
import random
import threading
import time

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.bench import BenchLost
from nnmeter.lab.campaign.verification import verify_measurements
from nnmeter.lab.measuring import store
from nnmeter.lab.wire import connection, session
from nnmeter.lab.wire.far_campaign import run_far_campaign

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the far side needs a POSIX system")


class Enough(KeyboardInterrupt):
    """As Ctrl-C: the campaign writes what it has."""


def measure(directory, address, networks, each=lambda done: None, **options):
    """A campaign that is interrupted behind so many networks."""

    def tell(latest):
        each(latest)
        if latest.networks >= networks:
            raise Enough

    with pytest.raises(Enough):
        run_far_campaign(directory, address, budget_s=120.0, progress=tell, **options)


def seeds_in(folder):
    return [int(row.network.rpartition("-")[2]) for row in store.read_measurements(folder)[0]]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(session, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(session, "LONGEST_PAUSE_S", 0.05)


def test_wire_cut_at_random_loses_and_doubles_nothing(far, address, tmp_path, quick):
    chance = random.Random(16)
    timers = []

    def cut(latest):
        if len(timers) < 10:
            timers.append(threading.Timer(chance.uniform(0.0, 0.05), far.signal))
            timers[-1].start()

    measure(tmp_path / "campaign", address, 14, cut)
    for timer in timers:
        timer.join()
    assert far.connections >= 5  # cuts that meet a connection which is being made are no second ones
    assert seeds_in(tmp_path / "campaign") == list(range(14))
    assert verify_measurements(tmp_path / "campaign").problems == ()
    measured = far.compiled
    assert measured == sorted(set(measured))  # what was in hand when the wire was cut went on
    assert far.is_free()


def test_silent_wire_is_given_up_and_its_request_goes_on(far, address, tmp_path, quick, monkeypatch):
    import signal

    monkeypatch.setattr(connection, "SILENCE_S", 0.5)
    (far.home / "wait-1").touch()

    def stop(latest):
        if latest.networks == 1:
            far.signal(signal.SIGSTOP)
            threading.Timer(0.7, (far.home / "wait-1").unlink).start()

    measure(tmp_path / "campaign", address, 3, stop)
    assert seeds_in(tmp_path / "campaign") == [0, 1, 2]
    assert far.compiled.count(1) == 1
    far.pids.write_text(far.pids.read_text().split()[0])
    far.signal()  # the one that was stopped


def test_network_that_kills_the_far_process_costs_only_itself(far, address, tmp_path):
    (far.home / "kill-2").touch()
    measure(tmp_path / "campaign", address, 4)
    assert seeds_in(tmp_path / "campaign") == [0, 1, 3, 4]
    (line,) = (tmp_path / "campaign" / "refused.jsonl").read_text().splitlines()
    assert json.loads(line) == {"seed": 2, "reason": "died: the process that measures ended by signal 11"}
