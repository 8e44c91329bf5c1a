"""Who holds a board, for how long, and what becomes of a request when processes come and go."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.wire import session
from nnmeter.lab.wire.claims import Claim, claim_of_campaign, note_machine
from nnmeter.lab.wire.far_bench import open_runtime
from nnmeter.lab.wire.session import FarDeath, Session

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the far side needs a POSIX system")
OURS, THEIRS = Claim("ours", "me@here, campaign a"), Claim("theirs", "you@there, campaign b")


def test_near_side_that_was_killed_takes_its_board_up_again_and_others_are_told(far, address):
    first = Session(address, OURS)
    first._connection.close()
    with pytest.raises(MeasurementError, match="is held by me@here, campaign a, since"):
        Session(address, THEIRS)
    second = Session(address, OURS)
    assert second.machine == first.machine
    third = Session(address, OURS)  # of two with one token the newer one has the board
    assert open_runtime(third, address, 1 << 30)[0]["runtime"] == "far"
    assert second.cuts == 0
    third.close()
    assert far.is_free()
    with pytest.raises(MeasurementError, match="is another machine than the one that was measured before"):
        Session(address, replace(OURS, machine="0123456789abcdef"))


def test_board_lets_itself_go_when_nobody_is_heard(far, address, monkeypatch):
    monkeypatch.setattr(session, "PATIENCE_S", 0.3)
    Session(address, OURS)._connection.close()
    assert far.is_free()


def test_lock_that_is_named_is_the_one_that_is_held(far, address, tmp_path):
    lock = tmp_path / "board.lock"
    one = Session(replace(address, lock=str(lock)), OURS)
    assert lock.read_text().startswith("me@here, campaign a, since ")
    other = Session(address, THEIRS)  # another lock, so another device
    other.close()
    one.close()
    with pytest.raises(MeasurementError, match="nowhere/lock: No such file or directory"):
        Session(replace(address, lock=str(tmp_path / "nowhere" / "lock")), OURS)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs to see the files of processes")
def test_request_that_costs_the_holder_its_life_twice_is_given_up(far, address, monkeypatch):
    monkeypatch.setattr(session, "FIRST_PAUSE_S", 0.01)
    board = Session(address, OURS)
    open_runtime(board, address, 1 << 30)
    asked = board._answer

    def kill_first(request, *arguments):
        if "open" not in request:
            for pid in far.holders():
                os.kill(pid, signal.SIGKILL)
        return asked(request, *arguments)

    monkeypatch.setattr(board, "_answer", kill_first)
    with pytest.raises(FarDeath, match="was lost twice"):
        board.ask({"nominal": {}})
    monkeypatch.setattr(board, "_answer", asked)
    board.reopen()
    assert board.ask({"nominal": {}}).end["reference_ms"] > 0
    measuring = max(far.holders())
    os.kill(measuring, signal.SIGKILL)  # between two requests
    while Path(f"/proc/{measuring}").exists():  # until the one that holds the board has noticed
        time.sleep(0.01)
    assert board.ask({"nominal": {}}).end["reference_ms"] > 0
    board.close()
    assert far.is_free()


def test_claim_of_a_campaign_is_kept(tmp_path):
    first = claim_of_campaign(tmp_path)
    note_machine(tmp_path, first, "0123456789abcdef")
    again = claim_of_campaign(tmp_path)
    assert (again.token, again.machine) == (first.token, "0123456789abcdef")
    assert (tmp_path / "wire.json").stat().st_mode & 0o077 == 0
    for text in ("[]", "{", '{"token": 5, "machine": null}', '{"token": "a"}'):
        (tmp_path / "wire.json").write_text(text)
        with pytest.raises(MeasurementError, match=r"wire\.json: damaged"):
            claim_of_campaign(tmp_path)


def test_nothing_in_the_folder_of_the_far_side_is_imported(far, address, tmp_path):
    """What lies where its processes work, or in the user's home there, is no module of theirs."""
    trap = f"open({str(tmp_path / 'trapped')!r}, 'a').write(__name__)"
    (base,) = far.home.glob(".cache/nnmeter/wire/*")
    for folder in (far.home, base):
        for name in ("json", "base64", "selectors", "hashlib", "fcntl", "numpy", "onnx", "pickle"):
            (folder / f"{name}.py").write_text(trap)
        (folder / "nnmeter").mkdir()
        (folder / "nnmeter" / "__init__.py").write_text(trap)
    board = Session(address, OURS)
    assert open_runtime(board, address, 1 << 30)[0]["runtime"] == "far"
    board.close()
    assert not (tmp_path / "trapped").exists()
