"""Campaigns on a cluster: whatever becomes of workers, every block is there once and the campaign verifies."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign import planner
from nnmeter.lab.campaign.campaign import run_campaign
from nnmeter.lab.campaign.directory import refused_entries
from nnmeter.lab.campaign.planning import read_plans
from nnmeter.lab.campaign.verification import verify_measurements
from nnmeter.lab.cluster import campaign as cluster_campaign
from nnmeter.lab.cluster.blocks import MOST_LOSSES
from nnmeter.lab.cluster.campaign import ClusterProgress, run_cluster_campaign
from nnmeter.lab.measuring.store import part_files, part_range, read_measurements
from nnmeter.lab.report.progress import cluster_line
from tests.lab.campaign.conftest import FakeClock, FakeRuntime
from tests.lab.cluster.fake_cluster import FakeClient, FakeFuture, KilledWorker
from tests.lab.cluster.fake_device import RECIPES, measure, measure_among_others

pytest.importorskip("pyarrow")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_campaign, "LOOK_S", 0.01)
    monkeypatch.setattr(cluster_campaign, "PATIENCE_S", 0.1)


def run(folder: Path, client: Any, **more: Any) -> ClusterProgress:
    given = {"budget_s": None, "blocks": 4, "block_networks": 5, "seed": 100, "recipes": RECIPES, "measure": measure}
    return run_cluster_campaign(folder, client, "fake", **{**given, **more})


def works(client: FakeClient, name: str, job: Any, future: FakeFuture) -> None:
    """What all workers do that nothing happens to."""
    future.end("finished", future.run())


def ranges(folder: Path) -> list[range]:
    return [part_range(path) for path in part_files(folder)]


FOUR_BLOCKS = [range(first, first + 5) for first in range(100, 120, 5)]


def test_two_devices_measure_what_one_machine_would(tmp_path: Path) -> None:
    done = run(tmp_path / "many", FakeClient(works, "a", "b"))
    report = verify_measurements(tmp_path / "many")
    assert report.problems == ()
    assert ranges(tmp_path / "many") == FOUR_BLOCKS
    assert (done.devices, done.blocks, done.lost, done.left_out) == (("a", "b"), 4, 0, ())
    assert (done.networks, done.kernels, done.refused) == (report.measurements, report.kernels, report.refused)
    FakeRuntime.clock = clock = FakeClock()
    run_campaign(tmp_path / "one", FakeRuntime(), budget_s=9.0, seed=100, recipes=RECIPES, clock=clock)
    rows, _ = read_measurements(tmp_path / "many")
    alone = {row.id: row for row in read_measurements(tmp_path / "one")[0]}
    assert [row.kernels for row in rows] == [alone[row.id].kernels for row in rows]
    assert [row.latency_ms for row in rows] == pytest.approx([alone[row.id].latency_ms for row in rows], rel=1e-5)


def test_each_part_says_which_worker_measured_it(tmp_path: Path) -> None:
    run(tmp_path / "c", FakeClient(works, "a", "b"))
    names = [read_measurements(path)[1]["worker"] for path in part_files(tmp_path / "c")]
    assert set(names) == {"a", "b"}


def test_a_campaign_goes_on_where_it_was_and_fills_its_gaps(tmp_path: Path) -> None:
    run(tmp_path / "c", FakeClient(works, "a"), blocks=3)
    part_files(tmp_path / "c")[1].unlink()  # as if the call had been killed before its second block came
    with pytest.raises(MeasurementError, match="--resume"):
        run(tmp_path / "c", FakeClient(works, "a"), resume=False)
    client = FakeClient(works, "a")
    assert run(tmp_path / "c", client).blocks == 2
    assert [job.first for _, job in client.submitted if job.works] == [105, 115]
    assert ranges(tmp_path / "c") == FOUR_BLOCKS
    assert verify_measurements(tmp_path / "c").problems == ()


def test_one_machine_and_a_cluster_go_on_with_each_others_campaign(tmp_path: Path) -> None:
    FakeRuntime.clock = clock = FakeClock()
    run_campaign(tmp_path / "c", FakeRuntime(), budget_s=3.0, seed=100, recipes=RECIPES, clock=clock)
    alone = ranges(tmp_path / "c")[-1].stop
    run(tmp_path / "c", FakeClient(works, "a"), blocks=(alone - 100) // 5 + 2)
    together = ranges(tmp_path / "c")[-1].stop
    FakeRuntime.clock = clock = FakeClock()
    run_campaign(tmp_path / "c", FakeRuntime(), budget_s=3.0, recipes=RECIPES, clock=clock)
    assert 100 < alone < together < ranges(tmp_path / "c")[-1].stop
    assert verify_measurements(tmp_path / "c").problems == ()


def test_a_worker_that_goes_costs_its_block_and_goes_on_when_it_comes_back(tmp_path: Path) -> None:
    said: list[str] = []
    deaths = 0

    def dies_twice(client: FakeClient, name: str, job: Any, future: FakeFuture) -> None:
        nonlocal deaths
        if name == "b" and job.works and deaths < 2:
            deaths += 1
            client.stop("b")
            return
        if name == "a" and "b" not in [told["name"] for told in client.workers.values()]:
            client.start("b")
        works(client, name, job, future)

    client = FakeClient(dies_twice, "a", "b")
    done = run(tmp_path / "c", client, say=said.append)
    assert ranges(tmp_path / "c") == FOUR_BLOCKS
    assert verify_measurements(tmp_path / "c").problems == ()
    assert done.lost == 2
    assert said.count("b: its worker has gone, and its block with it") == 2
    assert [event["what"] for event in client.events].count("lost") == 2
    assert [event["what"] for event in client.events].count("written") == 4


def test_a_block_that_kills_its_workers_is_refused(tmp_path: Path) -> None:
    said: list[str] = []

    def poisoned(client: FakeClient, name: str, job: Any, future: FakeFuture) -> None:
        if job.works and job.first == 105:
            future.end("error", KilledWorker("block-1"))
        else:
            works(client, name, job, future)

    done = run(tmp_path / "c", FakeClient(poisoned, "a", "b"), say=said.append)
    assert done.lost == MOST_LOSSES
    assert verify_measurements(tmp_path / "c").problems == ()
    refused = refused_entries(tmp_path / "c")
    assert all("the worker was lost" in refused[seed]["reason"] for seed in range(105, 110))
    assert any("are refused" in line for line in said)


def test_another_device_is_left_out_by_name(tmp_path: Path) -> None:
    def one_of_two_threads(client: FakeClient, name: str, job: Any, future: FakeFuture) -> None:
        result = future.run()
        if name == "other":
            result = replace(result, fingerprint={**result.fingerprint, "cpu": "another one"})
        future.end("finished", result)

    said: list[str] = []
    done = run(tmp_path / "c", FakeClient(one_of_two_threads, "a", "other"), say=said.append)
    assert (done.devices, done.left_out) == (("a",), ("other",))
    assert any(line.startswith("other: is left out: is another device") and "cpu another one" in line for line in said)
    assert {read_measurements(path)[1]["worker"] for path in part_files(tmp_path / "c")} == {"a"}


def test_the_only_device_is_waited_for_while_its_worker_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_campaign, "PATIENCE_S", 60.0)

    class Restarting(FakeClient):
        looks = 0

        def identity(self) -> dict[str, Any]:
            self.looks += 1
            if self.looks == 6:
                self.stop("a")
            if self.looks == 9:
                self.start("a")
            return super().identity()

    def other(client: FakeClient, name: str, job: Any, future: FakeFuture) -> None:
        if name == "other":
            future.end("error", MeasurementError("cannot"))
        else:
            works(client, name, job, future)

    client = Restarting(other, "a", "other")
    done = run(tmp_path / "c", client, blocks=8, block_networks=2)
    assert client.looks > 9
    assert (done.devices, done.left_out, done.blocks) == (("a",), ("other",), 8)


def test_plans_are_made_between_blocks_and_hold_behind_the_probes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "INTERVAL_S", 0.0)
    monkeypatch.setattr(planner, "PLANNING_SHARE", 1.0)
    probes = [(2002 + place, "odd") for place in range(45)]
    recipes = replace(RECIPES, probes=probes)
    done = run(tmp_path / "c", FakeClient(works, "a", "b"), blocks=9, block_networks=10, recipes=recipes)
    plans = read_plans(tmp_path / "c")
    assert done.plans == len(plans) - 1 >= 1
    assert done.error is not None
    assert min(plan.first_seed for plan in plans) == 145
    assert verify_measurements(tmp_path / "c").problems == ()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (MeasurementError("runtime 'x' needs 'y'"), "'device': a runtime 'x' needs 'y'"),
        (ModuleNotFoundError("No module named 'nnmeter'"), "ModuleNotFoundError: No module named 'nnmeter'"),
        (PermissionError(13, "denied", "/scratch"), "PermissionError"),
    ],
)
def test_a_cluster_on_which_nothing_can_measure_says_why(tmp_path: Path, fault: Exception, said: str) -> None:
    client = FakeClient(lambda client, name, job, future: future.end("error", fault), "a")
    with pytest.raises(MeasurementError, match=said):
        run(tmp_path / "c", client)


def test_a_cluster_without_devices_says_how_to_start_one(tmp_path: Path) -> None:
    client = FakeClient(works)
    client.start("a", amount=0)
    with pytest.raises(MeasurementError, match="--resources device=1"):
        run(tmp_path / "c", client)


def test_a_damaged_block_is_not_written(tmp_path: Path) -> None:
    def damaging(client: FakeClient, name: str, job: Any, future: FakeFuture) -> None:
        result = future.run()
        if name == "b" and result.parts:
            data = bytearray(result.parts[0])
            data[len(data) // 2] ^= 1
            result = replace(result, parts=(bytes(data),))
        if name == "c" and result.parts:
            result = replace(result, parts=())
        future.end("finished", result)

    done = run(tmp_path / "c", FakeClient(damaging, "a", "b", "c"))
    assert (done.devices, done.left_out) == (("a",), ("b", "c"))
    assert ranges(tmp_path / "c") == FOUR_BLOCKS
    assert verify_measurements(tmp_path / "c").problems == ()


def test_a_connection_that_comes_back_costs_no_block(tmp_path: Path) -> None:
    cuts = iter([True, True])

    def cutting(client: FakeClient, name: str, job: Any, future: FakeFuture) -> None:
        if job.works and job.first == 110 and next(cuts, False):
            future.end("cancelled")
        else:
            works(client, name, job, future)

    done = run(tmp_path / "c", FakeClient(cutting, "a"))
    assert done.lost == 0
    assert ranges(tmp_path / "c") == FOUR_BLOCKS


def test_a_scheduler_that_is_gone_ends_the_call_and_keeps_the_rows(tmp_path: Path) -> None:
    def stopping(client: FakeClient, name: str, job: Any, future: FakeFuture) -> None:
        works(client, name, job, future)
        if job.first == 110:
            client.status = "closed"

    with pytest.raises(MeasurementError, match="go on with --resume"):
        run(tmp_path / "c", FakeClient(stopping, "a"))
    assert ranges(tmp_path / "c") == FOUR_BLOCKS[:2]
    assert verify_measurements(tmp_path / "c").problems == ()


def test_a_campaign_has_to_have_an_end(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="no end"):
        run(tmp_path / "c", FakeClient(works, "a"), blocks=None)


def test_the_line_says_devices_rows_and_what_went_wrong() -> None:
    progress = ClusterProgress(("a", "b"), ("c",), 7, 1, 280, 9000, 3, 90.0, 1200.0, 0.043, 1)
    assert cluster_line(progress) == (
        "18.5 min left, 2 devices, 280 networks in 7 blocks, 9000 kernels, 3 refused, 1 block lost, 1 device left out, "
        "cross-validated error 4.3 %; 1.5 min"
    )
    assert cluster_line(replace(progress, budget_s=None, error=None)).startswith("2 devices, 280 networks")


def test_four_workers_of_dask_of_which_one_is_slow_and_one_is_killed_twice(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=4, threads_per_worker=1, resources={"device": 1}, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        done = run(
            tmp_path / "c",
            client,
            blocks=12,
            block_networks=2,
            measure=partial(measure_among_others, folder=str(tmp_path)),
        )
        events = [event["what"] for _, event in client.get_events("nnmeter")]
    assert done.lost == 2
    assert events.count("lost") == 2
    assert ranges(tmp_path / "c") == [range(first, first + 2) for first in range(100, 124, 2)]
    assert verify_measurements(tmp_path / "c").problems == ()
    measured = [int(path.name.split("-")[1]) for path in tmp_path.glob("block-*")]
    assert sorted(measured) == list(range(100, 124, 2))
    assert list(tmp_path.glob("block-*-1"))  # it went on when it was there again
    assert 1 <= len(list(tmp_path.glob("block-*-0"))) < 6
