"""Tables of published latencies: a row a measurement of a known network, whatever device, runtime and source.

A table is a CSV file, perhaps compressed by gzip, whose first line names its columns. These are read, others are left
alone:

| column | meaning | where it is missing or empty |
|---|---|---|
| `network` | canonical name of the architecture | the row is refused |
| `device` | short id of the device | the row is refused |
| `latency_ms` | milliseconds a batch | the row is refused |
| `input` | shape with the batch, channels first: `1x3x224x224` | as the network is usually run |
| `batch` | inputs of one inference | 1 |
| `runtime`, `runtime_version`, `precision` | of the runtime | `unknown` |
| `threads` | that execute one network | not stated |
| `quantity` | `latency`, `fps-inverse` (pipelined or parallel), `e2e` (with pre- and postprocessing) | `latency` |
| `kind` | what the device is: `board-cpu`, `phone-gpu`, `npu` | `cpu` |
| `chip`, `source`, `framework_name`, `spread`, `row_ref` | for the record | not stated |

Rules:

1. A *setting* is a device with its runtime, version, precision, threads and quantity. Its rows are of one measure, and
   make one pack; rows of two settings are never mixed. Batches are not settings: kernels say them.
2. What cannot be a time, a batch or a shape is refused with its reason, as every row is that is not imported.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnmeter.errors import MeasurementError, brief
from nnmeter.files import read_limited

QUANTITIES = ("latency", "fps-inverse", "e2e")
_SUFFIXES = (".csv", ".csv.gz")
_NEEDED = ("network", "device", "latency_ms")
_MOST_BYTES = 1 << 28
_LONGEST_MS = 1e9
_LARGEST_SIZE = 1 << 20
_WHOLE = re.compile(r"[0-9]{1,9}")


class RowFault(ValueError):
    """Why a row cannot be imported; what it says is the reason that is counted."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What rows must have in common to be of one measure (rule 1)."""

    device: str
    runtime: str
    version: str
    precision: str
    threads: str
    quantity: str

    @property
    def id(self) -> str:
        """The name of the device with this setting: `rpi4-cpu-tflite-ruy2.11.0-fp32`."""
        parts = [self.device, f"{self.runtime}{self.version}", self.precision]
        if self.threads:
            parts.append(f"{self.threads}t" if self.threads.isdigit() else f"{self.threads}-threads")
        if self.quantity != QUANTITIES[0]:
            parts.append(self.quantity)
        text = "-".join(part for part in parts if part)
        return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-._+")[:120]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table.

    Attributes:
        table: name of the file.
        number: of the line, the first after the names being 2.
        setting: which measure it is of.
        network: canonical name; "" where the source does not tell it for certain.
        called: what the source calls the network.
        shape: of the input, with the batch; empty where it is not stated.
        batch: inputs of one inference.
        latency_ms: milliseconds a batch.
        spread: relative spread of the runs; None where it is not stated.
        kind, chip, source, reference: of the device, and where the row stands.
    """

    table: str
    number: int
    setting: Setting
    network: str
    called: str
    shape: tuple[int, ...]
    batch: int
    latency_ms: float
    spread: float | None
    kind: str
    chip: str
    source: str
    reference: str


def table_files(sources: Path | Sequence[Path]) -> list[Path]:
    """The tables of directories, and tables that are named themselves.

    Raises:
        MeasurementError: one of them holds none.
    """
    if isinstance(sources, Path):
        return _files_of(sources)
    return list(dict.fromkeys(path for source in sources for path in _files_of(source)))


def _files_of(source: Path) -> list[Path]:
    if source.is_dir():
        found = sorted(path for path in source.iterdir() if path.name.endswith(_SUFFIXES) and _is_table(path))
    else:
        found = [source] if source.name.endswith(_SUFFIXES) else []
    if not found:
        raise MeasurementError(f"{source}: holds no table (.csv or .csv.gz) with the columns {', '.join(_NEEDED)}")
    return found


def read_table(path: Path, limit: int | None = None) -> Iterator[tuple[Setting, Row | RowFault, str]]:
    """The rows of a table in order: the setting of each, the row or why it is none, and how to call it.

    Raises:
        MeasurementError: the file cannot be read, or lacks a column.
    """
    header, lines = _read(path)
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise MeasurementError(f"{path}: has no column {', '.join(map(repr, missing))}; see docs/importing.md")
    for number, line in enumerate(lines, start=2):
        if limit is not None and number - 2 >= limit:
            return
        fields = dict(zip(header, line, strict=False))
        setting = _setting(fields)
        called = f"{path.name}:{number} ({fields.get('framework_name') or fields.get('network') or 'no name'})"
        try:
            yield setting, _row(path, number, setting, fields), called
        except RowFault as fault:
            yield setting, fault, called


def _row(path: Path, number: int, setting: Setting, fields: Mapping[str, str]) -> Row:
    if not setting.id:
        raise RowFault("no device is named")
    if setting.threads.isdigit() and not _is_size(setting.threads):
        raise RowFault("the number of threads is none")
    if not "".join(fields.values()).isprintable():
        raise RowFault("there are control characters")
    if setting.quantity not in QUANTITIES:
        raise RowFault(f"the quantity is none of {', '.join(QUANTITIES)}")
    spread = fields.get("spread", "").strip()
    shape = _shape(fields.get("input", "").strip())
    return Row(
        path.name,
        number,
        setting,
        fields.get("network", "").strip(),
        fields.get("framework_name", "").strip(),
        shape,
        _batch(fields.get("batch", "").strip(), shape),
        _milliseconds(fields.get("latency_ms", "").strip()),
        _number(spread) if spread else None,
        fields.get("kind", "").strip() or "cpu",
        fields.get("chip", "").strip() or setting.device,
        fields.get("source", "").strip() or path.name.partition(".")[0],
        fields.get("row_ref", "").strip(),
    )


def _setting(fields: Mapping[str, str]) -> Setting:
    def of(name: str, otherwise: str = "") -> str:
        return fields.get(name, "").strip() or otherwise

    return Setting(
        of("device"),
        of("runtime", "unknown"),
        of("runtime_version"),
        of("precision"),
        of("threads"),
        of("quantity", QUANTITIES[0]),
    )


def _milliseconds(text: str) -> float:
    if not text:
        raise RowFault("no time in the table")
    value = _number(text)
    if not 0 < value < _LONGEST_MS:
        raise RowFault("the time is not a positive number of milliseconds")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise RowFault("a number is not one") from None
    if not math.isfinite(value):
        raise RowFault("a number is not finite")
    return value


def _shape(text: str) -> tuple[int, ...]:
    if not text:
        return ()
    parts = text.lower().split("x")
    if not all(_is_size(part) for part in parts):
        raise RowFault("the input is no shape such as 1x3x224x224")
    return tuple(map(int, parts))


def _is_size(text: str) -> bool:
    return _WHOLE.fullmatch(text) is not None and 0 < int(text) <= _LARGEST_SIZE


def _batch(text: str, shape: Sequence[int]) -> int:
    if not text:
        return shape[0] if shape else 1
    if not _is_size(text):
        raise RowFault("the batch is no positive whole number")
    if shape and shape[0] != int(text):
        raise RowFault("the batch is not that of the input")
    return int(text)


def _is_table(path: Path) -> bool:
    header, _ = _read(path, header_only=True)
    return all(name in header for name in _NEEDED)


def _read(path: Path, header_only: bool = False) -> tuple[list[str], list[list[str]]]:
    try:
        data = read_limited(path, _MOST_BYTES)
        if path.suffix == ".gz":
            with gzip.open(io.BytesIO(data)) as stream:
                data = stream.read(_MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
        if len(data) > _MOST_BYTES:
            raise MeasurementError(
                f"{path}: unpacks to more than {_MOST_BYTES >> 20} MiB; split it into several tables"
            )
        reader = csv.reader(io.StringIO(text, newline=""))
        header = [name.strip() for name in next(reader, [])]
        return header, [] if header_only else [line for line in reader if line]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as fault:
        raise MeasurementError(f"{path}: cannot be read as a table ({brief(fault)}); restore it") from fault
