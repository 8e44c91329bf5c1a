"""A Dask client of whom a test decides which workers there are and what becomes of their tasks."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any


class FakeFuture:
    """A task; it is done when the cluster says so."""

    def __init__(self, key: str, run: Any) -> None:
        self.key, self.run = key, run
        self.status = "pending"
        self.value: Any = None
        self.tell: Any = None

    def add_done_callback(self, tell: Any) -> None:
        self.tell = tell

    def end(self, status: str, value: Any = None) -> None:
        self.status, self.value = status, value
        self.tell(self)

    def result(self, timeout: float) -> Any:
        if self.status == "finished":
            return self.value
        raise self.value if self.status == "error" else CancelledError(self.key)

    def cancel(self) -> None:
        self.status = "cancelled"


class KilledWorker(Exception):
    """Told apart by its name, as Dask's."""


class FakeClient:
    """Attributes: `workers` by address as a scheduler has them; `plan`, called with each task that is submitted."""

    def __init__(self, plan: Any, *names: str, resource: str = "device") -> None:
        self.plan, self.resource = plan, resource
        self.workers: dict[str, dict[str, Any]] = {}
        self.status = "running"
        self.scheduler = self
        self.events: list[dict[str, Any]] = []
        self.submitted: list[tuple[str, Any]] = []
        for name in names:
            self.start(name)

    def start(self, name: str, amount: float = 1) -> None:
        resources = {self.resource: amount} if amount else {}
        self.workers[f"tcp://{name}-{len(self.submitted)}"] = {"name": name, "resources": resources}

    def stop(self, name: str) -> None:
        self.workers = {address: told for address, told in self.workers.items() if told["name"] != name}

    def identity(self) -> dict[str, Any]:
        if self.status != "running":
            raise OSError("connection closed")
        return {"workers": dict(self.workers)}

    def sync(self, call: Any) -> Any:
        return call()

    def submit(self, function: Any, job: Any, *, key: str, workers: list[str], resources: Any, **_: Any) -> FakeFuture:
        name = self.workers[workers[0]]["name"]
        assert resources == self.workers[workers[0]]["resources"]
        self.submitted.append((name, job))
        future = FakeFuture(key, lambda: function(job))
        future.add_done_callback = lambda tell: self._begin(future, tell, name, job)  # type: ignore[method-assign]
        return future

    def _begin(self, future: FakeFuture, tell: Any, name: str, job: Any) -> None:
        future.tell = tell
        self.plan(self, name, job, future)

    def log_event(self, topic: str, message: dict[str, Any]) -> None:
        assert topic == "nnmeter"
        self.events.append(message)

    def cancel(self, futures: list[FakeFuture]) -> None:
        for future in futures:
            future.cancel()
