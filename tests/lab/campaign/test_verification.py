import dataclasses
import json
import math
from pathlib import Path

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.bench import PROBES
from nnmeter.lab.campaign.planning import prior_plan, write_plans
from nnmeter.lab.campaign.probes import probes
from nnmeter.lab.campaign.verification import verify_measurements
from nnmeter.lab.measuring import store
from nnmeter.lab.measuring.append import append_measurements
from tests.lab.campaign.test_planning import RECIPES, campaign

pytest.importorskip("pyarrow")


@pytest.fixture
def rows():
    return campaign(10)


@pytest.fixture
def folder(tmp_path, rows):
    """A campaign of two parts whose seed 7 was refused."""
    write_plans(tmp_path, [prior_plan(0, RECIPES, 0.0)])
    write(tmp_path, 0, 5, rows[:5])
    write(tmp_path, 5, 10, [rows[5], rows[6], *rows[8:]])
    (tmp_path / "refused.jsonl").write_text('{"seed": 7, "reason": "no"}\n{"se')
    return tmp_path


def write(folder: Path, first, end, rows):
    store.write_measurements(store.part_path(folder, first, end), rows, {"cpu": "x"})


def test_whole_campaign_has_no_problems(folder):
    report = verify_measurements(folder)
    assert report.problems == ()
    assert (report.files, report.measurements, report.refused) == (2, 9, 1)
    assert report.kernels == sum(len(row.kernels) for row in store.read_measurements(folder)[0])


def test_single_file_is_checked_as_well(folder, tmp_path):
    store.consolidate(folder, tmp_path / "all.parquet")
    assert verify_measurements(tmp_path / "all.parquet").problems == ()


def test_file_that_was_added_to_is_sound(tmp_path, rows):
    for sitting in ("2026-01-01T00:00:00", "2026-01-02T00:00:00", "2026-01-02T00:00:00"):
        again = [dataclasses.replace(row, sitting=sitting) for row in rows[:3]]
        append_measurements(tmp_path / "all.parquet", again, {"cpu": "x"})
    report = verify_measurements(tmp_path / "all.parquet")
    assert (report.measurements, report.problems) == (9, ())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"latency_ms": math.nan}, "its latency is nan ms"),
        ({"latency_ms": 1e-30}, "e-30 ms, that of the reference"),
        ({"min_ms": 0.0}, "its minimum is 0.0 ms"),
        ({"half_ms": (1.0, -1.0)}, "the time of a half or of a kernel is negative"),
        ({"p90_ms": 1e-3}, "out of order"),
        ({"runs": 0}, "0 runs"),
        ({"kernel_runs": 0}, "0 profiled runs"),
        ({"kernels": (), "kernel_ms": (), "kernel_spread": (), "kernel_runs": 0}, "no kernels"),
        ({"id": "block:other-4"}, "is of the network"),
        ({"family": "invented"}, "the plan has"),
    ],
)
def test_row_that_cannot_be_is_named(folder, rows, change, complaint):
    write(folder, 0, 5, [*rows[:4], dataclasses.replace(rows[4], **change)])
    problems = verify_measurements(folder).problems
    assert problems
    assert all(problem.startswith("part-0000000-0000005.parquet: block:") for problem in problems)
    assert complaint in problems[0]


@pytest.mark.parametrize(("first", "fine"), [(0, True), (-PROBES, False)])
def test_probe_needs_no_plan(folder, rows, first, fine):
    (folder / "campaign.json").write_text(
        json.dumps({"schema_version": 1, "seed": first, "fingerprint": {"cpu": "x", "reference_ms": 1.0}})
    )
    recipe = probes()[0][1]
    probe = dataclasses.replace(rows[4], family=recipe)
    write(folder, 0, 5, [*rows[:4], probe])
    problems = [problem for problem in verify_measurements(folder).problems if "the plan has" in problem]
    assert (problems == []) is fine


def test_time_of_a_kernel_that_is_negative_is_named(folder, rows):
    bad = dataclasses.replace(rows[4], kernel_ms=(-1.0, *rows[4].kernel_ms[1:]))
    write(folder, 0, 5, [*rows[:4], bad])
    assert "negative" in verify_measurements(folder).problems[0]


def test_doubled_row_is_named(folder, rows):
    write(folder, 0, 5, [*rows[:4], rows[3]])
    problems = "\n".join(verify_measurements(folder).problems)
    assert f"{rows[3].id}: stands 2 times" in problems
    assert "seeds 4 are neither measured nor refused" in problems


def test_lost_part_and_seed_out_of_its_range_are_named(folder, rows):
    store.part_path(folder, 5, 10).rename(store.part_path(folder, 6, 10))
    problems = "\n".join(verify_measurements(folder).problems)
    assert "begins at seed 6, but the part before it ends at 5" in problems
    assert f"{rows[5].id}: does not belong to seeds 6 to 9" in problems


@pytest.mark.parametrize("number", ["\u00b2", "9" * 4_000])
def test_what_is_no_seed_is_named(folder, rows, number):
    network = f"{rows[4].network.rpartition('-')[0]}-{number}"
    bad = dataclasses.replace(rows[4], network=network, id=f"{rows[4].granularity}:{network}")
    write(folder, 0, 5, [*rows[:4], bad])
    assert f"{bad.id}: does not belong to seeds 0 to 4" in "\n".join(verify_measurements(folder).problems)


def test_seed_both_measured_and_refused_is_named(folder):
    (folder / "refused.jsonl").write_text("\n".join(json.dumps({"seed": s, "reason": "died"}) for s in (2, 7)) + "\n")
    assert verify_measurements(folder).problems == (
        "part-0000000-0000005.parquet: seeds 2 are both measured and refused",
    )


def test_damaged_part_does_not_hide_the_others(folder):
    part = store.part_path(folder, 0, 5)
    part.write_bytes(part.read_bytes()[:-20])
    report = verify_measurements(folder)
    assert report.measurements == 4
    assert "damaged" in report.problems[0]


def test_nothing_to_verify_is_an_error(tmp_path):
    with pytest.raises(MeasurementError, match="no measurements here"):
        verify_measurements(tmp_path)
