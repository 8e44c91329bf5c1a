"""Campaigns over a wire that is cut, to boards that die, lie, are taken, or have the wrong time."""

import json
import os
import random
import re
import threading
import time

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.bench import BenchLost
from nnmeter.lab.campaign.verification import verify_measurements
from nnmeter.lab.measuring import store
from nnmeter.lab.wire import connection, session
from nnmeter.lab.wire.far_campaign import run_far_campaign
from tests.lab.wire.test_far_stand import make_model

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


def test_wire_cut_at_random_loses_doubles_and_mixes_nothing(far, address, tmp_path, quick):
    before = time.strftime("%Y-%m-%dT%H:%M:%S")
    chance = random.Random(16)
    timers = []

    def cut(latest):
        if len(timers) < 10:
            timers.append(threading.Timer(chance.uniform(0.0, 0.05), far.signal))
            timers[-1].start()

    for networks in (8, 6):  # the second goes on with the first
        measure(tmp_path / "campaign", address, networks, cut)
        for timer in timers:
            timer.join()  # a cut of the first connection of all is a device that cannot be reached
    assert far.connections >= 5  # cuts that meet a connection which is being made are no second ones
    assert seeds_in(tmp_path / "campaign") == list(range(14))
    assert verify_measurements(tmp_path / "campaign").problems == ()
    measured = far.compiled
    assert measured == sorted(set(measured))  # what was in hand when the wire was cut went on
    assert far.is_free()
    rows, fingerprint = store.read_measurements(tmp_path / "campaign")  # the far clock is wrong by a day
    assert all(before <= row.sitting <= time.strftime("%Y-%m-%dT%H:%M:%S") for row in rows)
    assert before[:10] <= fingerprint["date"] <= time.strftime("%Y-%m-%d")
    assert fingerprint["runtime"] == "far"


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


def test_network_that_kills_the_far_process_costs_only_itself(far, address, tmp_path):
    (far.home / "kill-2").touch()
    measure(tmp_path / "campaign", address, 4)
    assert seeds_in(tmp_path / "campaign") == [0, 1, 3, 4]
    (line,) = (tmp_path / "campaign" / "refused.jsonl").read_text().splitlines()
    assert json.loads(line) == {"seed": 2, "reason": "died: the process that measures ended by signal 11"}


def test_cuts_of_models_go_over_the_wire_without_their_weights(far, address, tmp_path):
    make_model(tmp_path / "mine" / "mine.onnx", size=512)
    measure(tmp_path / "campaign", address, 2, like={"paths": [tmp_path / "mine" / "mine.onnx"]})
    rows, _ = store.read_measurements(tmp_path / "campaign")
    assert [(row.id, row.family) for row in rows] == [
        ("block:like:mine-0", "like:mine"),
        ("block:like:mine-1", "like:mine"),
    ]
    assert (far.home / "weights").read_text().split() == [str(512 * 512 * 4)] * 2  # drawn there


def test_second_campaign_is_told_who_holds_the_board(far, address, tmp_path):
    told = []

    def second(latest):
        if not told:
            with pytest.raises(MeasurementError) as refusal:
                run_far_campaign(tmp_path / "second", address, budget_s=5.0)
            told.append(str(refusal.value))

    measure(tmp_path / "first", address, 2, second)
    assert re.fullmatch(
        r"ssh://me@board:2222: is held by \S+@\S+, campaign \S+/first, since \d{4}-\d\d-\d\d \d\d:\d\d; "
        r"wait for it, or measure another device",
        told[0],
    )
    assert not store.part_files(tmp_path / "second")
    assert seeds_in(tmp_path / "first") == far.compiled == [0, 1]
    assert far.is_free()


def test_board_that_stays_away_is_lost_and_the_rows_are_kept(far, address, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(session, "LOST_S", 0.2)

    def leave(latest):
        if latest.networks == 2:
            far.down.touch()
            far.signal()

    with pytest.raises(BenchLost, match=r"could not be reached for 0.2 s \(ssh: connect to host board port 22"):
        run_far_campaign(tmp_path / "campaign", address, budget_s=60.0, progress=leave)
    assert seeds_in(tmp_path / "campaign") == [0, 1]
    assert not (tmp_path / "campaign" / "refused.jsonl").exists()


@pytest.mark.parametrize(
    ("complaint", "remedy"),
    [
        ("me@board: Permission denied (publickey).", "put your key there"),
        ("Host key verification failed.", "connect once by hand"),
        ("sh: 1: exec: python3: not found", "install Python there"),
    ],
)
def test_first_connection_says_why_there_is_none(far, address, tmp_path, complaint, remedy):
    far.bin.joinpath("ssh").write_text(f"#!/bin/sh\necho '{complaint}' >&2\nexit 255\n")
    with pytest.raises(MeasurementError, match=rf"cannot be reached \({re.escape(complaint)}\); {remedy}"):
        run_far_campaign(tmp_path / "campaign", address, budget_s=5.0)


def test_package_that_the_board_lacks_is_one_line(far, address, tmp_path):
    (far.site / "onnx.py").write_text("raise ModuleNotFoundError(\"No module named 'onnx'\", name='onnx')\n")
    with pytest.raises(MeasurementError, match="ssh://me@board:2222: its Python lacks onnx; install it there: pip"):
        run_far_campaign(tmp_path / "campaign", address, budget_s=5.0)


def test_runtime_that_is_not_there_is_one_line(far, tmp_path):
    from nnmeter.lab.wire.board import find_board

    with pytest.raises(MeasurementError, match="ssh://board: runtime 'abacus' is unknown; known are far"):
        run_far_campaign(tmp_path / "campaign", find_board("ssh://board", runtime="abacus"), budget_s=5.0)
