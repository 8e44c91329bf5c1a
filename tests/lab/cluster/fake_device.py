"""A device of a cluster that exists only here: real campaign code, on a runtime where nothing is executed."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

from nnmeter.lab.campaign.campaign import Recipes, run_campaign
from nnmeter.lab.campaign.directory import STATE_FILE, read_state, refused_entries, write_state
from nnmeter.lab.cluster.block_job import BlockJob, BlockResult
from nnmeter.lab.measuring.store import part_files
from tests.lab.campaign.campaign_child import build
from tests.lab.campaign.conftest import FakeClock, FakeRuntime

RECIPES = Recipes({"even": 6.0, "odd": 3.0, "rare": 1.0}, build, [(2002 + place, "odd") for place in range(5)])


def measure(job: BlockJob) -> BlockResult:
    """The block, on a clock that only the networks move."""
    FakeRuntime.clock = FakeClock()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if job.fingerprint is not None:
            write_state(place, job.first, job.fingerprint)
        run_campaign(place, FakeRuntime(), job.threads, 1e6, job.first, recipes=RECIPES, clock=FakeRuntime.clock,
                     works=job.works)  # fmt: skip
        parts = tuple(path.read_bytes() for path in part_files(place))
        refused = {seed: entry["reason"] for seed, entry in refused_entries(place).items()}
        return BlockResult(read_state(place / STATE_FILE)["fingerprint"], parts, refused, 1.0, True)


def measure_among_others(job: BlockJob, folder: str) -> BlockResult:
    """Worker 0 is slow, worker 1 is killed in its first two blocks, and the others leave it its third.

    Each block leaves a file that says who had it.
    """
    from distributed import get_worker

    name, place = get_worker().name, Path(folder)
    if job.works:
        if name == 1 and len(list(place.glob("death-*"))) < 2:
            (place / f"death-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        while name != 1 and len(list(place.glob("block-*"))) > 5 and not list(place.glob("block-*-1")):
            time.sleep(0.05)
        time.sleep(0.4 if name == 0 else 0.05)
        (place / f"block-{job.first}-{name}").touch()
    return measure(job)
