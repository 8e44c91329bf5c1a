"""The devices of a cluster: workers that announce one as an abstract resource.

1. A worker that announces the resource (`dask worker --resources "device=1"`) is a device. A task takes all that it
   announces, so that one task at a time is there, of this campaign or of another.
2. A worker that comes back has another address, or has been away: it is a new device, and is asked again what it is.
3. A device that cannot measure for this campaign is left out until its worker is started anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nnmeter.lab.cluster.block_job import BlockJob


@dataclass(slots=True, eq=False)
class Device:
    """One worker.

    Attributes:
        address: of the worker.
        name: of the worker.
        amount: of the resource that it announces.
        fingerprint: once it has said what it is.
        job, future: what it is doing.
        begun: when it began that.
        typical_s: what its last block took.
        left_out: why it is not used, if it is not.
    """

    address: str
    name: str
    amount: float
    fingerprint: Mapping[str, Any] | None = None
    job: BlockJob | None = None
    future: Any = None
    begun: float = 0.0
    typical_s: float = 0.0
    left_out: str | None = None


@dataclass(slots=True)
class Devices:
    """All devices that are there, by address."""

    resource: str
    there: dict[str, Device] = field(default_factory=dict)

    def look(self, client: Any) -> tuple[list[Device], list[Device]]:
        """Those that have come since the last look, and those that have gone.

        Raises:
            OSError: the scheduler does not answer.
        """
        # Not `scheduler_info`, whose answer another thread may replace by one without workers.
        workers = client.sync(client.scheduler.identity)["workers"]
        announced = {
            address: (told.get("name", address), amount)
            for address, told in workers.items()
            if (amount := told.get("resources", {}).get(self.resource, 0)) > 0
        }
        gone = [d for d in self.there.values() if d.address not in announced]
        for device in gone:
            del self.there[device.address]
        come = [
            Device(address, _printable(name), amount)
            for address, (name, amount) in announced.items()
            if address not in self.there
        ]
        self.there.update((device.address, device) for device in come)
        return come, gone

    def usable(self) -> list[Device]:
        """Those that can measure, or have not said yet."""
        return [device for device in self.there.values() if device.left_out is None]

    def left_out(self) -> list[Device]:
        """Those that are not used (rule 3)."""
        return [device for device in self.there.values() if device.left_out is not None]

    def idle(self) -> list[Device]:
        """Those that have said what they are and do nothing."""
        return [d for d in self.usable() if d.fingerprint is not None and d.job is None]

    def of(self, future: Any) -> Device | None:
        """The device that a future is of; None for one that is given up already."""
        return next((d for d in self.there.values() if d.future is not None and d.future.key == future.key), None)


def _printable(name: object) -> str:
    return "".join(c if c.isprintable() else " " for c in str(name))[:80]
