"""A campaign that the devices of a Dask cluster measure together.

1. It is planned and written here (`nnmeter.lab.cluster.ledger`), and measured by workers
   (`nnmeter.lab.cluster.block_job`).
2. A new device says what it is. One that cannot measure for this campaign is left out, and named with the reason.
3. Each idle device gets one block; what it sends is checked before it counts.
4. A worker that has gone gives its block back. One that comes back is a new device, and goes on.
5. A device whose last block took longer than what is left of the budget begins no other. When that is so of all, blocks
   under way are waited for, and gaps are filled.
6. Where the connection to the scheduler breaks, Dask tries for a while to have it back; what was under way is measured
   again.
"""

from __future__ import annotations

import contextlib
import os
import queue
import time
import uuid
from asyncio import TimeoutError as AsyncTimeoutError
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from nnmeter.errors import MeasurementError, brief
from nnmeter.lab.campaign.bench import Recipes, default_recipes
from nnmeter.lab.campaign.directory import CampaignDirectory
from nnmeter.lab.cluster.block_job import LIMIT_S, TOPIC, BlockJob, BlockResult, measure_block
from nnmeter.lab.cluster.blocks import MOST_LOSSES
from nnmeter.lab.cluster.devices import Device, Devices
from nnmeter.lab.cluster.ledger import ENDLESS_S, Ledger
from nnmeter.lab.cluster.received import received_rows

BLOCK_NETWORKS = 40  # about 20 seconds, as a block on one machine
LOOK_S = 0.5
PATIENCE_S = 120.0  # without any device
RESULT_S = 30.0

Measure = Callable[[BlockJob], BlockResult]


@dataclass(frozen=True, slots=True)
class ClusterProgress:
    """How far a campaign on a cluster is.

    Attributes:
        devices: names of those that are used.
        left_out: names of those that are not.
        blocks: written by this call.
        lost: how often a block lost its worker.
        networks, kernels, refused: measured and skipped by this call.
        elapsed_s: seconds since its start.
        budget_s: those that it has; None where only the number of blocks ends it.
        error: latest cross-validated error of all networks of the campaign, None where there are too few.
        plans: number of plans made, the prior not counted.
    """

    devices: tuple[str, ...]
    left_out: tuple[str, ...]
    blocks: int
    lost: int
    networks: int
    kernels: int
    refused: int
    elapsed_s: float
    budget_s: float | None
    error: float | None
    plans: int


def run_cluster_campaign(
    out_dir: str | os.PathLike[str],
    client: Any,
    runtime: str = "onnxruntime",
    threads: int = 1,
    budget_s: float | None = 1200.0,
    seed: int = 0,
    progress: Callable[[ClusterProgress], None] | None = None,
    resume: bool = True,
    until: float | None = None,
    *,
    resource: str = "device",
    block_networks: int = BLOCK_NETWORKS,
    blocks: int | None = None,
    say: Callable[[str], None] | None = None,
    measure: Measure = measure_block,
    recipes: Recipes | None = None,
) -> ClusterProgress:
    """Measures random networks on all devices of a cluster.

    Args:
        out_dir: directory of the campaign.
        client: a `distributed.Client`.
        runtime: name of the runtime, which the workers have.
        threads: threads that execute one network.
        budget_s: seconds for this call; None if `blocks` alone is to end it.
        seed: first seed of a new campaign.
        progress: called twice a second, and when a block has come.
        resume: whether the directory may hold a campaign already.
        until: cross-validated error at which to stop.
        resource: name of the resource as which workers announce a device.
        block_networks: networks of a block.
        blocks: blocks that the campaign has in all, those of earlier calls included; None for no end.
        say: called with a line for each worker that comes, goes or cannot measure.
        measure: what a worker does with a job.
        recipes: where networks come from, for the plan; workers have their own.

    Returns:
        What this call did.

    Raises:
        MeasurementError: the directory holds a campaign and `resume` is false; another process writes to it; no device
            can measure; or the scheduler is gone. What was measured is kept.
    """
    if budget_s is None and blocks is None:
        raise MeasurementError("this campaign would have no end; give budget_s or blocks")
    found = default_recipes() if recipes is None else recipes
    with CampaignDirectory(out_dir) as directory:
        ledger = Ledger(directory, found, runtime, threads, seed, resume, block_networks, blocks, budget_s)
        campaign = _Campaign(ledger, client, Devices(resource), budget_s, until, measure, say or (lambda line: None))
        try:
            while not ledger.is_over:
                campaign.step()
                if progress is not None:
                    progress(campaign.progress())
            ledger.finish()
            return campaign.progress()
        finally:
            campaign.let_go()


class _Campaign:
    """One call of `run_cluster_campaign`: the conversation with the devices."""

    def __init__(
        self,
        ledger: Ledger,
        client: Any,
        devices: Devices,
        budget_s: float | None,
        until: float | None,
        measure: Measure,
        say: Callable[[str], None],
    ) -> None:
        self._ledger, self._client, self._devices = ledger, client, devices
        self._budget_s, self._until, self._measure, self._say = budget_s, until, measure, say
        self._started = self._seen = time.monotonic()
        self._met = False  # whether any device could measure
        self._results: queue.Queue[Any] = queue.Queue()

    def step(self) -> None:
        """Looks for devices, hands out blocks, and takes what comes back within half a second."""
        try:
            come, gone = self._devices.look(self._client)
        except OSError as fault:  # rule 6
            if self._client.status not in ("running", "connecting"):
                raise MeasurementError(
                    f"the scheduler does not answer any more ({brief(fault)}); what was measured is kept: start it "
                    "anew, and go on with --resume"
                ) from fault
            time.sleep(LOOK_S)
            return
        for device in gone:
            self._lose(device)
        for device in come:
            self._submit(device, self._ledger.question(), "device")
        self._give_up_hung()
        self._check_devices()
        self._hand_out()
        with contextlib.suppress(queue.Empty):
            futures = [self._results.get(timeout=LOOK_S)]
            futures += [self._results.get_nowait() for _ in range(self._results.qsize())]
            for future in futures:
                measured = self._devices.of(future)
                if measured is not None:
                    self._take(measured, future)

    def let_go(self) -> None:
        """What is under way is for nobody any more."""
        futures = [device.future for device in self._devices.there.values() if device.future is not None]
        if futures and self._client.status == "running":
            self._client.cancel(futures)

    def progress(self) -> ClusterProgress:
        """How far it is."""
        ledger = self._ledger
        return ClusterProgress(
            tuple(sorted(device.name for device in self._devices.usable())),
            tuple(sorted(device.name for device in self._devices.left_out())),
            ledger.written,
            ledger.lost,
            ledger.networks,
            ledger.kernels,
            ledger.refused,
            time.monotonic() - self._started,
            self._budget_s,
            ledger.error,
            ledger.plans_made,
        )

    def _submit(self, device: Device, job: BlockJob, kind: str) -> None:
        device.job, device.begun = job, time.monotonic()
        device.future = self._client.submit(
            self._measure,
            job,
            key=f"{kind}-{uuid.uuid4().hex[:12]}",
            workers=[device.address],
            allow_other_workers=False,
            resources={self._devices.resource: device.amount},
            pure=False,
        )
        device.future.add_done_callback(self._results.put)

    def _hand_out(self) -> None:
        """A block for each idle device (rules 3 and 5)."""
        left_s = ENDLESS_S if self._budget_s is None else self._budget_s - (time.monotonic() - self._started)
        idle = self._devices.idle()
        in_time = [device for device in idle if device.typical_s < left_s]
        none_goes_on = bool(idle) and not in_time and len(idle) == len(self._devices.usable())
        if self._reached() or left_s <= 0 or none_goes_on:
            self._ledger.close()
        for device in idle if self._ledger.closed else in_time:
            job = self._ledger.next_job()
            if job is None:
                return
            self._submit(device, job, "block")

    def _take(self, device: Device, future: Any) -> None:
        """What has come back from a device."""
        job, device.job, device.future = device.job, None, None
        assert job is not None
        result = self._result(device, job, future)
        if result is None:
            return
        try:
            if job.stop == job.first:
                self._ledger.meet(result)
                device.fingerprint, self._met = result.fingerprint, True
                self._say(f"{device.name}: measures")
                return
            rows = received_rows(job, result)
        except MeasurementError as fault:
            self._leave_out(device, job, str(fault))
            return
        device.typical_s = time.monotonic() - device.begun
        self._hand_out()  # first, for writing takes a moment and a plan some seconds
        self._ledger.write(job, rows, result.refused, device.fingerprint or {}, device.name)
        self._tell("written", device, job)
        self._ledger.plan()

    def _result(self, device: Device, job: BlockJob, future: Any) -> BlockResult | None:
        """The result of a device; None where there is none, and its block is given back."""
        try:
            result: BlockResult = future.result(timeout=RESULT_S)
            return result
        except Exception as fault:
            if future.status == "error":  # it was raised there, whatever it is
                if type(fault).__name__ == "KilledWorker":
                    self._give_back(job, lost=True)
                else:
                    known = isinstance(fault, MeasurementError)
                    self._leave_out(device, job, f"{'' if known else f'{type(fault).__name__}: '}{brief(fault)}")
            elif isinstance(fault, CancelledError | OSError | AsyncTimeoutError):  # rule 6, or it went before it sent
                future.cancel()
                self._give_back(job, lost=False)
            else:
                raise
            return None

    def _lose(self, device: Device) -> None:
        """A device has gone (rule 4)."""
        self._say(f"{device.name}: its worker has gone{', and its block with it' if device.job else ''}")
        if device.job is not None:
            device.future.cancel()
            self._tell("lost", device, device.job)
            self._give_back(device.job, lost=True)

    def _give_back(self, job: BlockJob, lost: bool) -> None:
        if job.stop > job.first and not self._ledger.give_back(job, lost):
            self._say(
                f"seeds {job.first} to {job.stop - 1}: are refused, since their worker was lost {MOST_LOSSES} times"
            )

    def _leave_out(self, device: Device, job: BlockJob, reason: str) -> None:
        device.left_out = reason
        self._say(f"{device.name}: is left out: {reason}")
        self._give_back(job, lost=False)

    def _give_up_hung(self) -> None:
        for device in self._devices.usable():
            if device.job is not None and time.monotonic() - device.begun > 1.1 * LIMIT_S:
                device.future.cancel()
                job, device.job, device.future = device.job, None, None
                self._leave_out(device, job, "has not answered for an hour; start its worker anew")

    def _check_devices(self) -> None:
        """Whether anything measures, or may soon: a worker that did may come back."""
        now = time.monotonic()
        if self._devices.usable():
            self._seen = now
            return
        reasons = "; ".join(f"{device.name} {device.left_out}" for device in self._devices.left_out())
        if now - self._seen > PATIENCE_S or (reasons and not self._met):
            resource = self._devices.resource
            start = f"start workers with `dask worker ADDRESS --nthreads 1 --resources {resource}=1`"
            raise MeasurementError(f"no worker of the cluster can measure as '{resource}': {reasons or start}")

    def _reached(self) -> bool:
        error = self._ledger.error
        return self._until is not None and error is not None and error <= self._until

    def _tell(self, what: str, device: Device, job: BlockJob) -> None:
        self._client.log_event(TOPIC, {"what": what, "device": device.name, "block": job.first})
