"""Boards that say what no board of ours says: one line, and nothing of it in a campaign."""

import json
import os
import sys

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.bench import BenchLost
from nnmeter.lab.measuring import store
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.wire import far_bench
from nnmeter.lab.wire.board import find_board
from nnmeter.lab.wire.connection import Connection, Cut
from nnmeter.lab.wire.far_campaign import run_far_campaign
from nnmeter.lab.wire.messages import row_of_message, row_to_message
from tests.lab.campaign.conftest import make_signature

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="a script stands for ssh")

HELD = {"held": {"machine": "0123456789abcdef", "request": None, "process": "p"}}
OPEN = {"end": {"fingerprint": {"runtime": "far", "threads": 1, "runtime_version": "1", "cpu": "x"}}}
SCRIPT = """\
#!{python} -ISE
import json, sys
answers = json.loads({answers!r})
sys.stdin.readline(), sys.stdin.readline()
for answer in answers[:1]:
    print(answer if isinstance(answer, str) else json.dumps(answer), flush=True)
number = 0
for line in sys.stdin:
    said = json.loads(line)
    if "ask" in said:
        number += 1
        answer = answers[min(number, len(answers) - 1)]
        if isinstance(answer, dict):
            answer = json.dumps({{**answer, "id": said["id"], "number": 0}})
        print(answer, flush=True)
    if "bye" in said:
        break
"""


def make_measurement():
    return Measurement(
        "block:a-0", "block", "a-0", "a", (make_signature("Conv"), make_signature("Conv")), 2.0, 1.9, 2.0, 2.1, 8, 1.0,
        (2.0, 2.0), 1, 1, "now", (1.0, 1.0), (0.1, 0.1), 5,
    )  # fmt: skip


def make_row(**changes):
    return json.loads(json.dumps({**row_to_message(make_measurement()), **changes}))


@pytest.fixture
def board_that_says(tmp_path, monkeypatch):
    def make(*answers):
        place = tmp_path / "bin"
        place.mkdir()
        (place / "ssh").write_text(SCRIPT.format(python=sys.executable, answers=json.dumps(answers)))
        (place / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
        return find_board("ssh://board", runtime="far")

    return make


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([{"error": "no\x1b[2Jspace"}], "no \\[2Jspace"),
        ([{"busy": {"who": "\x1b]0;x\x07", "since": 5}}], "is held by  \\]0;x , since 5"),
        ([{"busy": []}], "what came is no answer"),
        ([{"held": {"machine": "../../etc"}}], "does not say which machine it is"),
        ([HELD, {"end": 5}], "what came is no answer"),
        ([HELD, {"end": {}}], "does not say what it is"),
        ([HELD, {"refused": "x" * 5000}], "ssh://board: xxx"),
        ([HELD, {"end": {"fingerprint": {"runtime": "far"}}}], "another runtime or number of threads"),
        (
            [HELD, {"end": {"fingerprint": {**OPEN["end"]["fingerprint"], "cpu": "a\x1b"}}}],
            "control characters in 'cpu'",
        ),
        ([HELD, OPEN, {"end": {"reference_ms": -1}}], "the time of the reference is -1"),
        ([HELD, OPEN, {"end": {"reference_ms": "1"}}], "the time of the reference is '1'"),
    ],
)
def test_nonsense_before_anything_is_measured_is_one_line(board_that_says, tmp_path, answers, said):
    with pytest.raises(MeasurementError, match=said):
        run_far_campaign(tmp_path / "campaign", board_that_says(*answers), budget_s=30.0)
    assert not store.part_files(tmp_path / "campaign")


@pytest.mark.parametrize("nonsense", ["nonsense", "[1]", '{"a": NaN}', '{"a": 1e999}', "[" * 100_000, "\0\xff"])
def test_what_is_no_message_cuts_the_connection(tmp_path, nonsense):
    script = tmp_path / "far"
    script.write_text(f'{{"held": 1}}\n{nonsense}\n{{"end": 1}}\n', encoding="utf-8")
    wire = Connection(["cat", str(script)], "")
    assert wire.receive() == {"held": 1}
    with pytest.raises(Cut, match="it says what is no message of nnmeter"):
        wire.receive()
    wire.close()


def test_talk_of_a_login_is_passed_over_but_not_for_ever(tmp_path):
    script = tmp_path / "far"
    script.write_text("Welcome\n" * 50 + '{"held": 1}\n')
    wire = Connection(["cat", str(script)], "")
    assert wire.receive() == {"held": 1}
    wire.close()
    wire = Connection(["yes"], "")
    with pytest.raises(Cut, match="it says what is no message of nnmeter"):
        wire.receive()
    wire.close()


def test_board_whose_rows_are_none_is_given_up(board_that_says, tmp_path):
    answers = [HELD, OPEN, {"end": {"reference_ms": 1.0}}, {"end": {"row": make_row()}}]
    with pytest.raises(BenchLost, match="measures nothing of use"):
        run_far_campaign(tmp_path / "campaign", board_that_says(*answers), budget_s=30.0)
    assert not store.part_files(tmp_path / "campaign")
    reasons = (tmp_path / "campaign" / "refused.jsonl").read_text().splitlines()
    assert len(reasons) == far_bench._MOST_NONSENSE - 1
    assert "what came has the family 'a', and" in reasons[0]


def test_more_than_was_asked_is_refused(board_that_says, tmp_path):
    with pytest.raises(MeasurementError, match="what came is more than was asked"):
        run_far_campaign(tmp_path / "campaign", board_that_says(HELD, OPEN, {"row": make_row()}), budget_s=30.0)


def test_what_the_far_side_cannot_do_is_said(board_that_says, tmp_path):
    with pytest.raises(MeasurementError, match=r"ssh://board: it cannot be done there \(OSError: no memory\)"):
        run_far_campaign(tmp_path / "campaign", board_that_says(HELD, {"fault": "OSError: no memory"}), budget_s=30.0)


def test_row_survives_the_wire():
    message = make_row()
    row = row_of_message(message, id="block:a-0", family="a")
    assert row.kernels == (make_signature("Conv"), make_signature("Conv"))
    assert json.loads(json.dumps(row_to_message(row))) == message
    assert len(message["signatures"]) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"latency_ms": float("nan")},
        {"latency_ms": -1.0},
        {"latency_ms": True},
        {"latency_ms": "2"},
        {"latency_ms": 10**400},
        {"half_ms": [1.0]},
        {"kernels": [0, 1]},
        {"kernels": [0, -1]},
        {"kernels": []},
        {"kernels": {"0": 0}},
        {"signatures": ["[" * 100000]},
        {"signatures": ["[]"]},
        {"signatures": [5]},
        {"kernel_ms": [1.0]},
        {"kernel_ms": [None, None]},
        {"runs": 2**80},
        {"runs": 1.5},
        {"threads": 0},
        {"granularity": "galaxy"},
        {"id": "a\nb"},
        {"network": "x" * 10000},
        {"sitting": None},
    ],
)
def test_row_that_is_none_is_refused(changes):
    with pytest.raises(MeasurementError, match="what came is no measurement"):
        row_of_message(make_row(**changes))


@pytest.mark.parametrize("message", [None, [], "row", {}, {"id": "a"}])
def test_message_that_is_no_row_is_refused(message):
    with pytest.raises(MeasurementError, match="what came is no measurement"):
        row_of_message(message)


@pytest.mark.parametrize("asked", [{"id": "block:b-0"}, {"family": "b"}, {"threads": 2}, {"reference_ms": 2.0}])
def test_row_of_something_else_is_refused(asked):
    with pytest.raises(MeasurementError, match="was asked"):
        row_of_message(make_row(), **asked)
