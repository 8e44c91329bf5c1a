"""What the parts share: devices with some of their networks, predictions of a pack, rows that are saved."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np

from nnmeter.lab.training.population import Matrix
from nnmeter.lab.training.public_packs import PublicDevice
from nnmeter.predictor.kernel_predictor import KernelPredictor

HARDWARE_PARTS = 6
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A network that was kept aside on a device, in milliseconds; the interval is of 90 %."""

    device: str
    table: str
    network: str
    measured: float
    predicted: float
    low: float
    high: float
    flops: float
    roofline: float

    @property
    def holds(self) -> bool:
        """Whether the interval has the measured time."""
        return self.low <= self.measured <= self.high


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device that was kept aside, one draw of networks that were given; the error of the others in per cent."""

    device: str
    table: str
    ships: bool
    given: int
    draw: int
    mape: float


class Rows:
    """A file of rows that is whole after each that is added, so that a run that is cut is not lost."""

    def __init__(self, folder: Path | None, name: str, kind: type) -> None:
        self._path = folder / f"{name}.csv" if folder else None
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._write("w", [[field.name for field in fields(kind)]])

    def add(self, rows: Iterable[NetworkRow | DeviceRow]) -> None:
        """Add rows."""
        self._write("a", [[f"{v:.6g}" if isinstance(v, float) else v for v in astuple(row)] for row in rows])

    def _write(self, mode: str, lines: Sequence[Sequence[object]]) -> None:
        if self._path:
            with open(self._path, mode, newline="", encoding="utf-8") as stream:
                csv.writer(stream, lineterminator="\n").writerows(lines)


def taken(device: PublicDevice, rows: Matrix) -> PublicDevice:
    """A device with some of its networks."""
    places = np.flatnonzero(rows)
    return replace(
        device,
        measurements=tuple(device.measurements[i] for i in places),
        works=tuple(device.works[i] for i in places),
        table=device.table.taken(places),
    )


def table_of(device: PublicDevice) -> str:
    """The table that a device is of."""
    return str(device.fingerprint["table"]["source"])


def predicted_rows(predictor: KernelPredictor, device: PublicDevice, rows: Matrix) -> Iterator[NetworkRow]:
    """What a pack says of some networks of a device."""
    for row in rows:
        measurement, work = device.measurements[row], device.works[row]
        prices = predictor.price_network(measurement.kernels)
        total = sum(price.latency_ms for price in prices) + predictor.overhead_ms
        low, high = predictor.intervals.interval_ms(total, prices, 0.9)
        assert predictor.baselines is not None
        others = predictor.baselines.predict_ms(work.costs, work.item_bits, predictor.roofline)
        yield NetworkRow(
            device.id,
            table_of(device),
            measurement.network,
            measurement.latency_ms,
            total,
            low,
            high,
            others["flops"],
            others["roofline"],
        )
