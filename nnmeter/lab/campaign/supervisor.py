"""A campaign in a process of its own, started anew when a runtime brings it down.

1. Runtimes are native code, and one network in some hundreds makes one of them crash. The worker that dies so leaves
   its seed in hand (`nnmeter.lab.campaign.directory`); the next one skips it and goes on for the rest of the
   budget.
2. A worker that dies before it has begun a network is not followed by another one, which would only die as well.
3. Interrupting reaches both processes, or this one alone: then, or if this one is killed, the worker notices that it is
   alone. It writes what it has, and ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from nnmeter.children import child_environment, python_command
from nnmeter.errors import MeasurementError
from nnmeter.files import read_limited
from nnmeter.lab.campaign.bench import Work
from nnmeter.lab.campaign.campaign import CampaignProgress
from nnmeter.lab.campaign.directory import IN_HAND_FILE
from nnmeter.lab.campaign.shards import Shard
from nnmeter.lab.campaign.worker import INTERRUPTED
from nnmeter.lab.measuring.library_threads import VARIABLES
from nnmeter.lab.measuring.store import count_stored

Tell = Callable[[CampaignProgress], None]


def run_supervised_campaign(
    out_dir: str | os.PathLike[str],
    runtime: str,
    threads: int = 1,
    budget_s: float = 600.0,
    seed: int = 0,
    progress: Callable[[CampaignProgress], None] | None = None,
    resume: bool = True,
    until: float | None = None,
    like: Mapping[str, Any] | None = None,
    shard: Shard | None = None,
    works: Sequence[Work] | None = None,
) -> CampaignProgress:
    """`nnmeter.lab.campaign.campaign.run_campaign` in worker processes (rules 1 to 3).

    Args:
        out_dir: directory of the campaign.
        runtime: name of the runtime.
        threads: threads that execute one network.
        budget_s: seconds in all.
        seed: first seed of a new campaign.
        progress: called every few seconds.
        resume: whether the directory may hold a campaign already.
        until: cross-validated error at which to stop.
        like: arguments of `nnmeter.lab.campaign.cuts.cut_networks`, to measure the kernels of models.
        shard: which part of a campaign this is, where it is one.
        works: the networks, where somebody else plans.

    Returns:
        What all workers did together.

    Raises:
        MeasurementError: what the worker says, or that it died before it began.
        KeyboardInterrupt: it was interrupted; what was measured is written.
    """
    started = time.monotonic()
    parts: list[CampaignProgress] = []
    stored = count_stored(out_dir) if resume else (0, 0)

    def so_far(latest: CampaignProgress) -> CampaignProgress:
        return _together([*parts, latest], time.monotonic() - started, budget_s)

    while True:
        left_s = budget_s - (time.monotonic() - started)
        job = {
            "out_dir": os.fspath(out_dir), "runtime": runtime, "threads": threads, "budget_s": max(left_s, 0.0),
            "seed": seed, "resume": resume or bool(parts), "until": until, "like": like,
            "shard": [shard.number, shard.count] if shard else None, "works": works,
            "spent_s": budget_s - max(left_s, 0.0),
        }  # fmt: skip
        before = _seed_in_hand(out_dir)
        latest, finished, code = _run_worker(job, lambda latest: progress(so_far(latest)) if progress else None)
        if not finished:  # what it had not written is measured again
            was, stored = stored, count_stored(out_dir)
            latest = replace(latest, networks=stored[0] - was[0], kernels=stored[1] - was[1])
        done = so_far(latest)
        parts.append(latest)
        if not finished and code == INTERRUPTED:
            raise KeyboardInterrupt
        if not finished and not latest.networks and _seed_in_hand(out_dir) in (before, None):
            raise MeasurementError(
                f"{os.fspath(out_dir)}: the measuring process ended by itself (exit code {code}) before a network was "
                f"begun; try `python -c 'import {runtime}'`"
            )
        if finished or budget_s - (time.monotonic() - started) <= 0:
            return done


def _seed_in_hand(out_dir: str | os.PathLike[str]) -> str | None:
    try:
        return read_limited(Path(out_dir) / IN_HAND_FILE, 64).decode("utf-8", "replace")
    except OSError:
        return None


def _run_worker(job: dict[str, Any], tell: Tell) -> tuple[CampaignProgress, bool, int]:
    """Runs one worker; the last progress that it told, whether it came to its end, and its exit code."""
    # The worker finds its modules where this process does, wherever it was started, and none where it was started.
    worker = subprocess.Popen(
        python_command("from nnmeter.lab.campaign.worker import main; main()", json.dumps(job)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(**dict.fromkeys(VARIABLES, "1")),
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    assert worker.stdin and worker.stdout
    latest = CampaignProgress(0, 0, 0, 0.0, job["budget_s"], "")
    try:
        latest, finished = _listen(worker.stdout, latest, tell)
    finally:
        worker.stdin.close()  # of this the worker writes its block, if it has not ended
        code = worker.wait()
    return latest, finished, code


def _listen(stream: IO[str], latest: CampaignProgress, tell: Tell) -> tuple[CampaignProgress, bool]:
    for line in stream:
        kind, content = _told(line)
        if kind == "error":
            raise MeasurementError(content)
        if kind in ("progress", "done"):
            latest = CampaignProgress(**content)
            tell(latest)
        if kind == "done":
            return latest, True
    return latest, False


def _told(line: str) -> tuple[str, Any]:
    """What a line of the worker says; nothing where it is a runtime's own talk, or a line that death cut off."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return "", None
    return next(iter(said.items())) if isinstance(said, dict) and len(said) == 1 else ("", None)


def _together(parts: list[CampaignProgress], elapsed_s: float, budget_s: float) -> CampaignProgress:
    """What several workers did; error and plans are of the campaign, so the last worker that knows them tells them."""
    return replace(
        parts[-1],
        networks=sum(part.networks for part in parts),
        kernels=sum(part.kernels for part in parts),
        refused=sum(part.refused for part in parts) + len(parts) - 1,
        elapsed_s=elapsed_s,
        budget_s=budget_s,
        error=next((part.error for part in reversed(parts) if part.error is not None), None),
        planning_s=sum(part.planning_s for part in parts),
        peak_bytes=max(part.peak_bytes for part in parts),
    )
