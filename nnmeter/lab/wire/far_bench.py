"""A bench of a campaign whose device is reached by wire: the plan and the rows are here, the measuring is there."""

from __future__ import annotations

import base64
import re
import time
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.bench import BenchLost, Work
from nnmeter.lab.measuring.library_threads import VARIABLES
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.memory import LIMIT_BYTES
from nnmeter.lab.wire.board import Board
from nnmeter.lab.wire.claims import Claim
from nnmeter.lab.wire.messages import fingerprint_of_message, positive_ms, row_of_message
from nnmeter.lab.wire.session import FarDeath, FarRefusal, Session

if TYPE_CHECKING:
    import onnx

_MOST_NONSENSE = 8  # rows in a row that are none


class FarBench:
    """Measures one network at a time on a device by wire (`nnmeter.lab.campaign.bench.Bench`)."""

    def __init__(
        self,
        board: Board,
        claim: Claim,
        bare_network_of: Callable[[int], onnx.ModelProto] | None = None,
        memory_limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        """Take the device and open its runtime.

        Args:
            board: the device, with its runtime and threads.
            claim: of the campaign.
            bare_network_of: makes the network of a seed, without its large weights, where the far side cannot.
            memory_limit_bytes: of the far process.

        Raises:
            MeasurementError: the device cannot be reached or is held by another campaign, or the runtime is not there.
        """
        self._board, self._bare_network_of = board, bare_network_of
        self._restlessness, self._peak_bytes, self._full, self._nonsense = 0.0, 0, False, 0
        self.session = Session(board, claim)
        try:
            self._fingerprint, self.has_profiler = open_runtime(self.session, board, memory_limit_bytes)
        except BaseException:
            self.session.close()
            raise

    def fingerprint(self) -> dict[str, Any]:
        """Of the device."""
        return dict(self._fingerprint)

    def nominal_ms(self) -> float:
        """Milliseconds of the reference there."""
        try:
            return positive_ms(self.session.ask({"nominal": {}}).end.get("reference_ms"))
        except (FarRefusal, FarDeath) as fault:
            raise MeasurementError(f"{self._board.shown}: {fault}") from fault

    def measure(self, work: Work, nominal_ms: float, sitting: str) -> Measurement:
        """One network; one that costs the far process its life is refused, and the next one meets another process."""
        family, model = self._network_of(work)
        asked = {"work": work, "model": model, "nominal_ms": nominal_ms, "sitting": sitting}
        try:
            end = self.session.ask({"network": asked}).end
        except FarDeath:
            self.session.reopen()
            raise
        row = self._row(
            end.get("row"),
            family=family,
            network=f"{family}-{work.seed}",
            id=f"block:{family}-{work.seed}",
            granularity="block",
            reference_ms=nominal_ms,
            threads=self._fingerprint["threads"],
            sitting=sitting,
        )
        self._restlessness, self._peak_bytes = _figure(end.get("restlessness")), int(_figure(end.get("peak_bytes")))
        self._full = bool(end.get("full"))
        return row

    def restlessness(self) -> float:
        """Of the device, as it was after the last network."""
        return self._restlessness

    def peak_bytes(self) -> int:
        """Of the far process, after the last network."""
        return self._peak_bytes

    def tidy(self) -> None:
        """Has another process go on where the one before held too much memory."""
        if self._full:
            self._full = False
            self.session.reopen()

    def close(self) -> None:
        """Gives the device back."""
        self.session.close()

    def _row(self, message: Any, **asked: Any) -> Measurement:
        """The row that came; a device that says nonsense again and again is given up."""
        try:
            row = row_of_message(message, **asked)
        except MeasurementError as fault:
            self._nonsense += 1
            if self._nonsense >= _MOST_NONSENSE:
                raise BenchLost(f"{self._board.shown}: measures nothing of use ({fault})") from fault
            raise
        self._nonsense = 0
        return row

    def _network_of(self, work: Work) -> tuple[str, str | None]:
        """The family of a network, and it where the far side cannot make it."""
        if self._bare_network_of is None:
            return work.recipe, None
        try:
            model = self._bare_network_of(work.made_of)
        except (ValueError, ArithmeticError, LookupError) as fault:
            raise MeasurementError(f"seed {work.seed}: no network could be built ({fault})") from fault
        family = next(entry.value for entry in model.metadata_props if entry.key == "nnmeter.family")
        return family, base64.b64encode(zlib.compress(model.SerializeToString())).decode("ascii")


def open_runtime(
    session: Session, board: Board, memory_limit_bytes: int, keeps_free: bool = False
) -> tuple[dict[str, Any], bool]:
    """Opens the runtime of a device; its fingerprint, and whether it has a profiler.

    Raises:
        MeasurementError: the runtime is not there, or the answer is none.
    """
    runtime, threads = board.runtime or "onnxruntime", board.threads or 1
    job = {
        "runtime": runtime, "threads": threads, "cores": board.cores, "session": "free" if keeps_free else None,
        "memory_limit_bytes": memory_limit_bytes, "single": list(VARIABLES),
    }  # fmt: skip
    try:
        opened = session.open(job)
        fingerprint = fingerprint_of_message(opened["fingerprint"], runtime, threads, time.strftime("%Y-%m-%d"))
    except (FarRefusal, FarDeath) as fault:
        raise MeasurementError(f"{board.shown}: {fault}") from fault
    if board.cores:
        fingerprint["device"] = _device_of_cores(fingerprint, board.cores)
    return fingerprint, opened.get("has_profiler") is True


def _device_of_cores(fingerprint: Mapping[str, Any], cores: str) -> str:
    """Some cores of a machine are a device of their own: `cortex-a76-cores4-7-onnxruntime-2t`."""
    cpu = str(fingerprint.get("cpu") or fingerprint.get("architecture") or "cpu").lower()
    plain = re.sub(r"[^a-z0-9.]+", "-", cpu).strip("-.")[:60] or "cpu"
    return f"{plain}-cores{cores.replace(',', '.')}-{fingerprint['runtime']}-{fingerprint['threads']}t"


def _figure(value: Any) -> float:
    """A figure that is only shown; 0 where it is none."""
    return float(value) if type(value) in (int, float) and 0 <= value < 1e18 else 0.0
