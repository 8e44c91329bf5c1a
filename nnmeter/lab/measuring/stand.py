"""What times models in a sitting: this process, or a device by wire (`nnmeter.lab.wire.far_stand`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from nnmeter.errors import NnmeterError
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.measuring import protocol
from nnmeter.lab.measuring.fingerprint import take_fingerprint
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.protocol import Progress, Stopwatch
from nnmeter.lab.runtimes.base import RuntimeAdapter

Refused = Callable[[str, NnmeterError], None]
Executed = Callable[[Path, Sequence[Kernel]], None]


class Stand(Protocol):
    """A runtime of one device, with a number of threads."""

    def fingerprint(self) -> dict[str, Any]:
        """Of the device, the runtime and its settings."""
        ...

    def reference_ms(self) -> float:
        """The reference's own time now, where the nominal time is that of an earlier session."""
        ...

    def measure(
        self,
        models: Sequence[str | os.PathLike[str]],
        sizes: InputSizes,
        families: Mapping[str, str] | None,
        passes: int,
        seconds_per_pass: float,
        reference_ms: float | None,
        progress: Progress | None,
        refused: Refused,
        executed: Executed,
    ) -> Sequence[Measurement]:
        """`nnmeter.lab.measuring.protocol.measure_models` there.

        `executed` is called with the file and the kernels of each of the measurements, in their order.

        Raises:
            MeasuringInterrupted: Ctrl-C, with what was measured until then.
        """
        ...


class LocalStand:
    """This process."""

    def __init__(self, adapter: RuntimeAdapter, threads: int) -> None:
        self._adapter, self._threads = adapter, threads

    def fingerprint(self) -> dict[str, Any]:
        """Of this machine."""
        adapter = self._adapter
        return take_fingerprint(adapter.name, adapter.version(), self._threads, adapter.device_settings(self._threads))

    def reference_ms(self) -> float:
        """Of this machine."""
        stopwatch = Stopwatch(self._adapter)
        try:
            return stopwatch.nominal_ms()
        finally:
            stopwatch.close()

    def measure(
        self,
        models: Sequence[str | os.PathLike[str]],
        sizes: InputSizes,
        families: Mapping[str, str] | None,
        passes: int,
        seconds_per_pass: float,
        reference_ms: float | None,
        progress: Progress | None,
        refused: Refused,
        executed: Executed,
    ) -> Sequence[Measurement]:
        """In this process."""
        return protocol.measure_models(
            models,
            self._adapter,
            self._threads,
            passes,
            seconds_per_pass,
            families=families,
            dims=sizes.dims,  # type: ignore[arg-type]  # several sizes for one are refused where it is bound
            shapes=sizes.shapes,  # type: ignore[arg-type]
            reference_ms=reference_ms,
            progress=progress,
            refused=refused,
            executed=executed,
        )
