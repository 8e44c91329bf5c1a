"""What a worker of the cluster does for a campaign: measures one block on its device, and sends the rows.

1. The device is measured by a process of its own (`nnmeter.lab.campaign.supervisor`), not by the worker, whose threads
   would disturb it. A network that crashes the runtime costs the block nothing but itself. If the worker is killed, the
   process ends within one network.
2. The rows travel as they lie on disk, in Parquet files that carry their hash (`nnmeter.lab.measuring.store`, rule 7).
3. A job without networks tells what device this is, and what the reference takes on it now.
4. While it measures, the worker says so: events of the topic `nnmeter` (`Client.get_events`), and columns of the page
   on workers of Dask's dashboard.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnmeter._version import __version__
from nnmeter.errors import MeasurementError, NnmeterError, brief
from nnmeter.lab.campaign.bench import Work
from nnmeter.lab.campaign.directory import STATE_FILE, read_state, refused_entries, write_state
from nnmeter.lab.campaign.supervisor import run_supervised_campaign
from nnmeter.lab.measuring.store import part_files
from nnmeter.lab.runtimes import load_runtime

if TYPE_CHECKING:
    from nnmeter.lab.campaign.campaign import CampaignProgress

TOPIC = "nnmeter"
LIMIT_S = 3600.0  # a block takes a minute at most on a device that is worth the wait


@dataclass(frozen=True, slots=True)
class BlockJob:
    """A block to measure.

    Attributes:
        first, stop: its range of seeds.
        works: its networks; none to be told what the device is.
        runtime: name of the runtime.
        threads: threads of one network.
        fingerprint: the campaign's, with its nominal time of the reference; None where it is not known yet.
        version: of nnmeter that plans.
    """

    first: int
    stop: int
    works: tuple[Work, ...]
    runtime: str
    threads: int
    fingerprint: Mapping[str, Any] | None
    version: str = __version__


@dataclass(frozen=True, slots=True)
class BlockResult:
    """A block that is measured.

    Attributes:
        fingerprint: of the campaign on that device, with its nominal time of the reference.
        parts: contents of its Parquet files.
        refused: reason by the seed of each network that gave no row.
        seconds: that it took.
        has_profiler: whether the runtime tells times of kernels.
    """

    fingerprint: Mapping[str, Any]
    parts: tuple[bytes, ...]
    refused: Mapping[int, str]
    seconds: float
    has_profiler: bool


def measure_block(job: BlockJob) -> BlockResult:
    """What Dask runs on a worker (rule 4).

    Raises:
        MeasurementError: the device cannot measure for this campaign.
    """
    from distributed import get_worker

    worker = get_worker()
    sums: dict[str, Any] = {"nnmeter block": "", "nnmeter networks": 0, "nnmeter refused": 0, "nnmeter error": ""}
    known: dict[str, Any] = worker.__dict__.setdefault("_nnmeter", sums)
    worker.metrics.update({name: lambda worker, name=name: known[name] for name in sums})
    networks, refused = known["nnmeter networks"], known["nnmeter refused"]
    name = str(worker.name)

    def tell(what: str, **more: Any) -> None:
        worker.log_event(TOPIC, {"what": what, "device": name, "block": job.first, **more})

    def progress(latest: CampaignProgress) -> None:
        known["nnmeter networks"], known["nnmeter refused"] = networks + latest.networks, refused + latest.refused
        tell("measuring", networks=latest.networks, kernels=latest.kernels, refused=latest.refused)

    known["nnmeter block"] = f"{job.first} to {job.stop - 1}" if job.works else "says what it is"
    tell("begun", networks=len(job.works))
    try:
        result = measure_here(job, worker.local_directory, progress)
    except NnmeterError as fault:
        known["nnmeter error"] = str(fault)
        tell("failed", error=str(fault))
        raise
    finally:
        known["nnmeter block"] = ""
    tell("done", refused=len(result.refused), seconds=round(result.seconds, 1))
    return result


def measure_here(job: BlockJob, folder: str | None, progress: Callable[[CampaignProgress], None]) -> BlockResult:
    """Measures the block on this machine (rules 1 to 3).

    Args:
        job: the block.
        folder: where its files may lie meanwhile.
        progress: called every few seconds.

    Raises:
        MeasurementError: nnmeter is of another version here, the device is another one, the runtime is not there, or
            the block took longer than an hour.
    """
    if job.version != __version__:
        raise MeasurementError(f"has nnmeter {__version__}, and the campaign is planned by {job.version}; update one")
    started = time.monotonic()
    has_profiler = load_runtime(job.runtime).has_profiler  # or says what is not installed
    try:
        with tempfile.TemporaryDirectory(prefix="nnmeter-block-", dir=folder) as name:
            place = Path(name)
            if job.fingerprint is not None:
                write_state(place, job.first, job.fingerprint)
            run_supervised_campaign(
                place, job.runtime, job.threads, LIMIT_S, job.first, progress, resume=True, works=job.works
            )
            parts = tuple([path.read_bytes() for path in part_files(place)])
            refused = {seed: str(entry.get("reason")) for seed, entry in refused_entries(place).items()}
            fingerprint = read_state(place / STATE_FILE)["fingerprint"]
    except OSError as fault:
        raise MeasurementError(f"{brief(fault)}; check the worker's local directory and its disk") from fault
    return BlockResult(fingerprint, parts, refused, time.monotonic() - started, has_profiler)
