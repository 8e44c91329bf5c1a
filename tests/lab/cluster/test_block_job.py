"""What a worker does with a block: on this machine, with a real runtime, through Dask."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.verification import verify_measurements
from nnmeter.lab.cluster.block_job import BlockJob, measure_here
from nnmeter.lab.cluster.campaign import run_cluster_campaign
from nnmeter.lab.measuring.store import part_files

pytest.importorskip("pyarrow")


def test_another_version_measures_nothing() -> None:
    job = BlockJob(0, 1, (), "onnxruntime", 1, None, version="0.0.1")
    with pytest.raises(MeasurementError, match=r"planned by 0\.0\.1; update one"):
        measure_here(job, None, lambda latest: None)


def test_a_runtime_that_is_not_there_is_named() -> None:
    with pytest.raises(MeasurementError, match="runtime 'none' is unknown"):
        measure_here(BlockJob(0, 1, (), "none", 1, None), None, lambda latest: None)


def test_a_worker_of_dask_measures_its_blocks_in_a_process_and_tells(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    pytest.importorskip("onnxruntime")
    said: list[str] = []
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, resources={"board": 1}, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        done = run_cluster_campaign(
            tmp_path / "c", client, budget_s=None, blocks=2, block_networks=1, resource="board", say=said.append
        )
        events: list[dict[str, Any]] = [event for _, event in client.get_events("nnmeter")]
        (told,) = client.run(lambda dask_worker: {n: m(dask_worker) for n, m in dask_worker.metrics.items()}).values()
    assert (done.networks + done.refused, done.blocks, said) == (2, 2, ["0: measures"])
    assert verify_measurements(tmp_path / "c").problems == ()
    assert len(part_files(tmp_path / "c")) == 2
    whats = Counter(event["what"] for event in events if event["what"] != "measuring")
    assert whats == {"begun": 3, "done": 3, "written": 2}  # it says what it is, and two blocks
    assert {event["device"] for event in events} == {"0"}
    assert told["nnmeter networks"] + told["nnmeter refused"] == 2
    assert (told["nnmeter block"], told["nnmeter error"]) == ("", "")
