"""A sitting is added to a file of its device; earlier rows stay, and a fault leaves the file as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.measuring.append import append_measurements, check_appendable, with_unique_ids
from nnmeter.lab.measuring.store import read_measurements
from tests.conftest import REPOSITORY
from tests.lab.measuring.test_store import FINGERPRINT, make_measurement

pytest.importorskip("pyarrow")


def fingerprint(sitting: str, **changes: object) -> dict:
    return {**FINGERPRINT, "sittings": {sitting: {"measurements": 2}}, **changes}


def sitting(name: str) -> list:
    return [replace(make_measurement(i), sitting=name) for i in range(2)]


def test_sittings_add_up_and_ids_stay_unique(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    first = append_measurements(path, sitting("monday"), fingerprint("monday"))
    before, _ = read_measurements(path)
    second = append_measurements(path, sitting("tuesday"), fingerprint("tuesday", mhz_now=1))
    rows, own = read_measurements(path)
    assert rows[:2] == before
    assert [m.id for m in first] == ["block:residual-0", "block:residual-1"]
    assert [m.id for m in second] == ["block:residual-0@tuesday", "block:residual-1@tuesday"]
    assert [m.id for m in rows] == [m.id for m in (*first, *second)]
    assert [m.network for m in rows] == ["residual-0", "residual-1"] * 2
    assert list(own["sittings"]) == ["monday", "tuesday"]
    assert "mhz_now" not in own, "the fingerprint is that of the first sitting"


def test_two_sittings_of_one_second_and_twins_in_a_sitting_are_told_apart() -> None:
    one = make_measurement(0)
    found = with_unique_ids([one, one, one], {one.id})
    assert [m.id for m in found] == [f"{one.id}@{one.sitting}{end}" for end in ("", "#2", "#3")]
    assert [m.id for m in with_unique_ids([one])] == [one.id]


def test_a_sitting_of_the_same_name_stays_apart(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    append_measurements(path, sitting("monday"), fingerprint("monday"))
    append_measurements(path, sitting("monday"), fingerprint("monday"))
    rows, own = read_measurements(path)
    assert [m.sitting for m in rows] == ["monday", "monday", "monday#2", "monday#2"]
    assert list(own["sittings"]) == ["monday", "monday#2"]
    assert rows[2].id == "block:residual-0@monday#2"


def test_another_device_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    append_measurements(path, sitting("monday"), fingerprint("monday"))
    content = path.read_bytes()
    other = fingerprint("tuesday", threads=4)
    for call in (lambda: check_appendable(path, other), lambda: append_measurements(path, sitting("tuesday"), other)):
        with pytest.raises(MeasurementError, match=r"m\.parquet: measured on another device \(threads 1, now 4\)"):
            call()
    assert path.read_bytes() == content


def test_a_damaged_file_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(MeasurementError, match=r"m\.parquet"):
        append_measurements(path, sitting("monday"), fingerprint("monday"))
    assert path.read_bytes() == b"PAR1 not really"


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.parquet"
    append_measurements(path, sitting("monday"), fingerprint("monday"))
    content = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("nnmeter.files.os.replace", fail)
    with pytest.raises(OSError, match="no space"):
        append_measurements(path, sitting("tuesday"), fingerprint("tuesday"))
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["m.parquet"]


def test_later_sittings_share_the_nominal_reference_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    assert check_appendable(path, fingerprint("monday")) is None
    append_measurements(path, sitting("monday"), fingerprint("monday"))
    assert check_appendable(path, fingerprint("tuesday")) == pytest.approx(make_measurement(0).reference_ms)


def test_processes_that_add_at_once_lose_no_row(tmp_path):
    """Six processes, ten rows each."""
    path = tmp_path / "m.parquet"
    script = (
        f"import sys; sys.path[:0] = [{str(REPOSITORY)!r}]\n"
        "from tests.lab.measuring.test_store import FINGERPRINT, make_measurement\n"
        "from nnmeter.lab.measuring.append import append_measurements\n"
        "for number in range(10):\n"
        f"    append_measurements({str(path)!r}, [make_measurement(10 * int(sys.argv[1]) + number)], FINGERPRINT)\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(number)]) for number in range(6)]
    assert [process.wait() for process in running] == [0] * 6
    rows, _ = read_measurements(path)
    assert {row.network for row in rows} == {f"residual-{number}" for number in range(60)}
    assert os.listdir(tmp_path) == ["m.parquet"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"network": "a\x1b[31mb"}, "its names have control characters"),
        ({"latency_ms": 1e-30}, "its latency is 1e-30 ms"),
        ({"min_ms": 1e3}, "out of order"),
    ],
)
def test_what_no_verb_would_read_again_is_not_added(tmp_path: Path, changes: dict, fault: str) -> None:
    path = tmp_path / "m.parquet"
    append_measurements(path, sitting("monday"), fingerprint("monday"))
    content = path.read_bytes()
    with pytest.raises(MeasurementError, match=fault):
        append_measurements(path, [replace(make_measurement(3), **changes)], fingerprint("tuesday"))
    assert path.read_bytes() == content


def test_an_operator_whose_name_is_no_text_is_not_added(tmp_path: Path) -> None:
    kernel = replace(make_measurement(0).kernels[0], op_type="Own\x1b[2J")
    row = replace(make_measurement(0), kernels=(kernel,), kernel_ms=(), kernel_spread=(), kernel_runs=0)
    with pytest.raises(MeasurementError, match="what was to be added is no measurement: a kernel is"):
        append_measurements(tmp_path / "m.parquet", [row], fingerprint("monday"))
    assert not (tmp_path / "m.parquet").exists()
