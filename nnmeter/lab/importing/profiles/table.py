"""A plain table, for any tool that no reader is of: a CSV file with a line for each measured model.

Rules:

1. The first line names the columns. `model` (path of the model, from the folder of the table) and `ms` (milliseconds of
   one inference) must be there; `sizes`, `family`, `runs`, `min_ms` and `p90_ms` may be.
2. `sizes` gives what the model leaves open, as `--dim` and `--shape` do, with blanks between: `batch=8 ids=8x128`.
3. A row is a line. Its kernels are those that the fusion rules of the runtime foresee; `--runtime` names it.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import replace

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError, NnmeterError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.lab.importing.profiles.given import Companions, GivenFile
from nnmeter.lab.importing.profiles.ledger import FileAccount
from nnmeter.lab.importing.profiles.setting import Setting
from nnmeter.lab.importing.profiles.times import measured
from nnmeter.lab.measuring.measurement import Measurement

TABLE = "table"
MAINS = (TABLE,)

_TIME_COLUMNS = ("ms", "latency_ms")
_SIZE = re.compile(r"([^=\s]+)=(\d+(?:x\d+)*)(x?)")
_MOST_MS = 1e9


def recognise(file: GivenFile) -> str:
    """What a file is: a table where its first line has the columns of rule 1."""
    columns = _columns(file.head.split(b"\n", 1)[0].decode("utf-8", "replace"))
    return TABLE if "model" in columns and any(name in columns for name in _TIME_COLUMNS) else ""


def read(main: GivenFile, companions: Companions, setting: Setting, account: FileAccount) -> list[Measurement]:
    """A measurement for each line (rules 1 to 3)."""
    if not setting.device.runtime:
        raise MeasurementError("does not say which runtime was timed; give it with --runtime")
    found: list[Measurement] = []
    seen: dict[str, int] = {}
    lines = main.text.lstrip("\ufeff").splitlines()
    for number, row in enumerate(csv.DictReader(lines, fieldnames=_columns(lines[0])), start=1):
        if number == 1 or not any(row.values()):
            continue
        try:
            measurement = _measurement(row, main, setting)
        except (NnmeterError, OSError, ValueError) as fault:
            account.refuse(_reason(fault), f"line {number}")
            continue
        count = seen[measurement.id] = seen.get(measurement.id, 0) + 1
        account.accept()
        found.append(measurement if count == 1 else replace(measurement, id=f"{measurement.id}#{count}"))
    return found


def _columns(line: str) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in line.lstrip("\ufeff").split(",")]


def _measurement(row: Mapping[str, str | None], main: GivenFile, setting: Setting) -> Measurement:
    from nnmeter.fusion.detect import detect_kernels

    cells = {
        key: (value or "").strip() for key, value in row.items() if isinstance(key, str) and isinstance(value, str)
    }
    ms = _milliseconds(next((cells[name] for name in _TIME_COLUMNS if cells.get(name)), ""))
    if not cells.get("model"):
        raise MeasurementError("names no model")
    sizes = _sizes(cells.get("sizes", ""))
    path = main.path.parent / cells["model"]
    graph = bind_shapes(read_model(path), setting.sizes.updated(sizes.dims, sizes.shapes))
    name = path.stem + "".join(f"-{word}" for word in cells.get("sizes", "").split())
    network = setting.network(name, graph, TABLE)
    network = replace(network, family=cells.get("family") or network.family)
    kernels = [kernel.signature for kernel in detect_kernels(graph, setting.loaded_rules)]
    measurement = measured(network, kernels, [ms], mean_only=True)
    runs = cells.get("runs", "")
    return replace(
        measurement,
        min_ms=_milliseconds(cells["min_ms"]) if cells.get("min_ms") else math.nan,
        p90_ms=_milliseconds(cells["p90_ms"]) if cells.get("p90_ms") else math.nan,
        runs=int(runs) if runs.isdecimal() and len(runs) < 9 and cells.get("min_ms") and cells.get("p90_ms") else 0,
    )


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise MeasurementError(f"{text!r:.40} is no time in milliseconds") from None
    if not (math.isfinite(value) and 0 < value < _MOST_MS):
        raise MeasurementError(f"{text!r:.40} is no time in milliseconds")
    return value


def _sizes(text: str) -> InputSizes:
    dims: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for word in text.split():
        match = _SIZE.fullmatch(word)
        if match is None or len(match[2]) > 200:
            raise MeasurementError(f"{word!r:.40} is no size such as batch=8 or x=1x3x224x224")
        numbers = tuple(map(int, match[2].split("x")))
        if len(numbers) > 1 or match[3]:
            shapes[match[1]] = numbers
        else:
            dims[match[1]] = numbers[0]
    return InputSizes(dims, shapes)


def _reason(fault: Exception) -> str:
    text = str(fault).strip()
    return text if len(text) <= 200 else f"{text[:200]} ..."
