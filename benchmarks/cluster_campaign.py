"""Campaigns on a Dask cluster: is every block there once whatever is killed, and does throughput grow with the devices?

    python benchmarks/cluster_campaign.py losses [--blocks 12] [--networks 4]
    python benchmarks/cluster_campaign.py pinned [--blocks 40] [--networks 6] [--workers 1 2] [--keep DIR]
    python benchmarks/cluster_campaign.py replay DIR [--networks 1] [--workers 1 2 4 8]

1. `losses`: four workers measure for real with ONNX Runtime. The first is slow: it waits twice as long again behind
   each block. The second is killed (SIGKILL) in the middle of its first two blocks, and comes back each time. In the
   end every block is there once, the campaign verifies, and no measuring process is left behind.
2. `pinned`: the same blocks measured for real by one worker and by several, each on a processor core of its own. The
   cores of one machine share caches and memory, so they are less separate than devices are.
3. `replay`: what the first `pinned` run kept in DIR, by workers that wait as long as the networks of a block took and
   send their rows: devices that share nothing, whatever machine this is. All but the measuring itself is real.

A throughput is blocks a second between the first that is begun and the last that is written; the efficiency is that of
`n` workers by `n` times that of one. Exit code 1 if anything was lost, doubled or damaged.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import distributed

from nnmeter.lab.campaign.directory import refused_entries
from nnmeter.lab.campaign.verification import verify_measurements
from nnmeter.lab.cluster.block_job import BlockJob, BlockResult, measure_block
from nnmeter.lab.cluster.campaign import run_cluster_campaign
from nnmeter.lab.cluster.received import seed_of
from nnmeter.lab.measuring.store import part_files, part_range, read_measurements, write_measurements

DEATHS = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    modes = parser.add_subparsers(dest="mode", required=True)
    losses, pinned, replay = (modes.add_parser(name) for name in ("losses", "pinned", "replay"))
    for mode, blocks, networks in ((losses, 12, 4), (pinned, 40, 6)):
        mode.add_argument("--blocks", type=int, default=blocks, help="blocks of the campaign")
        mode.add_argument("--networks", type=int, default=networks, help="networks of a block")
    pinned.add_argument("--keep", type=Path, help="directory for the campaign of the first number of workers")
    replay.add_argument("--networks", type=int, default=1, help="networks of a block")
    replay.add_argument("source", type=Path, help="campaign that `pinned` kept")
    pinned.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    replay.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if options.mode == "losses":
            return lose(place, options.blocks, options.networks)
        if options.mode == "pinned":
            return grow(place, options.workers, measure_on_core, options.blocks, options.networks, options.keep)
        seeds = part_range(part_files(options.source)[-1]).stop
        measure = partial(wait_for_block, source=os.path.abspath(options.source))
        return grow(place, options.workers, measure, seeds // options.networks, options.networks, None)


def lose(place: Path, blocks: int, networks: int) -> int:
    """Rule 1; the exit code."""
    measure = partial(measure_among_losses, folder=str(place))
    events, seconds = run(place / "campaign", 4, measure, blocks, networks)
    by_worker = {name: sum(e["device"] == name for e in events if e["what"] == "written") for name in "0123"}
    lost = sum(event["what"] == "lost" for event in events)
    print(f"blocks by worker: {by_worker}; {lost} blocks lost; {seconds:.0f} s")
    time.sleep(2.0)
    left = [pid for pid in os.listdir("/proc") if pid.isdigit() and measures_block(pid)]
    if left:
        print(f"measuring processes are left: {left}")
    return int(not check(place / "campaign", blocks, networks) or lost != DEATHS or bool(left))


def grow(place: Path, workers: Sequence[int], measure: Any, blocks: int, networks: int, keep: Path | None) -> int:
    """Rules 2 and 3; the exit code."""
    whole = True
    base: float | None = None
    for number in workers:
        out = keep if keep and base is None else place / f"campaign-{number}"
        events, seconds = run(out, number, measure, blocks, networks)
        if base is None:
            took = {str(event["block"]): event["seconds"] for event in events if event["what"] == "done"}
            (out / "seconds.json").write_text(json.dumps(took))
        base = base or seconds * workers[0]
        whole &= check(out, blocks, networks)
        speed = base / seconds
        print(
            f"{number} workers: {blocks} blocks in {seconds:.1f} s, {speed:.2f} times one, "
            f"efficiency {speed / number:.3f}"
        )
    return int(not whole)


def run(out: Path, workers: int, measure: Any, blocks: int, networks: int) -> tuple[list[dict[str, Any]], float]:
    """A campaign; its events, and the seconds from the first block that is begun to the last that is written."""
    moments: list[float] = []

    def measured(event: tuple[float, dict[str, Any]]) -> None:
        if event[1]["what"] == "written" or (event[1]["what"] == "begun" and event[1]["networks"]):
            moments.append(time.monotonic())

    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, resources={"device": 1}, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.wait_for_workers(workers)
        client.subscribe_topic("nnmeter", measured)
        run_cluster_campaign(
            out, client, budget_s=None, blocks=blocks, block_networks=networks, measure=measure, say=print
        )
        time.sleep(0.5)
        return [event for _, event in client.get_events("nnmeter")], moments[-1] - moments[0]


def check(campaign: Path, blocks: int, networks: int) -> bool:
    """Whether every block is there once and the campaign verifies."""
    report = verify_measurements(campaign)
    expected = [range(first, first + networks) for first in range(0, blocks * networks, networks)]
    there = [part_range(path) for path in part_files(campaign)]
    print(f"{campaign.name}: {report.found}; {len(report.problems)} problems; every block once: {there == expected}")
    return not report.problems and there == expected


def measure_among_losses(job: BlockJob, folder: str) -> BlockResult:
    """On the first worker slowly, on the second killed in the middle of its first blocks."""
    name = distributed.get_worker().name
    if name == 1 and job.works and len(list(Path(folder).glob("death-*"))) < DEATHS:
        (Path(folder) / f"death-{os.getpid()}").touch()
        threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGKILL)).start()
    result = measure_block(job)
    if name == 0 and job.works:
        time.sleep(2 * result.seconds)
    return result


def measure_on_core(job: BlockJob) -> BlockResult:
    """On the core that has the number of the worker; the process that measures inherits it."""
    os.sched_setaffinity(0, {int(distributed.get_worker().name)})
    return measure_block(job)


def wait_for_block(job: BlockJob, source: str) -> BlockResult:
    """The rows of its networks, after as long as they took: their shares of the blocks in which they were measured."""
    place = Path(source)
    worker = distributed.get_worker()
    tell: Callable[..., None] = partial(worker.log_event, "nnmeter")
    told = {"device": str(worker.name), "block": job.first}
    kept = worker.__dict__.setdefault("_replayed", {})  # read once a worker
    if source not in kept:
        kept[source] = read_measurements(place)
    rows, fingerprint = kept[source]
    if not job.works:
        return BlockResult(fingerprint, (), {}, 0.0, True)
    tell({"what": "begun", "networks": len(job.works), **told})
    took = json.loads((place / "seconds.json").read_text())
    blocks = [part_range(path) for path in part_files(place)]
    seconds = sum(took[str(b.start)] / len(b) for b in blocks for seed in b if job.first <= seed < job.stop)
    time.sleep(seconds)
    own = [row for row in rows if job.first <= seed_of(row) < job.stop]
    refused = {seed: e["reason"] for seed, e in refused_entries(place).items() if job.first <= seed < job.stop}
    with tempfile.TemporaryDirectory() as folder:
        write_measurements(Path(folder) / "block.parquet", own, fingerprint)
        data = (Path(folder) / "block.parquet").read_bytes()
    tell({"what": "done", "refused": len(refused), "seconds": seconds, **told})
    return BlockResult(job.fingerprint or {}, (data,), refused, seconds, True)


def measures_block(pid: str) -> bool:
    """Whether a process is one that a worker started to measure a block."""
    try:
        return b"nnmeter-block-" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
