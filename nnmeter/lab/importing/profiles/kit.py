"""The results of a kit (`nnmeter kit`): a folder of rows, each with what the runtime's own program wrote.

Rules:

1. `kit.json` says what the networks are, the folder `models` beside `results` has them. A row is a folder
   `rows/<number>` with a file `row` (kind, network, when it began, seconds, degrees, megahertz) and the program's
   files.
2. Of each network the first profiled row gives kernels, all timed rows together whole times. Without a profiled row
   there is no measurement, and its timed rows are refused; so are rows of which the program failed, with its last
   line.
3. The reference product ran beside the networks. Times are corrected by the median of the `_AROUND` rows of it that are
   nearest to each row, to the median of all (`nnmeter.lab.measuring.correction`), where there are enough of it. Single
   rows tell of the process more than of the machine: one program in four takes a third longer, whatever runs beside it.
4. `device.txt` and `cpuinfo.txt` say what the device is, as far as the user does not.
5. The account counts the rows of the files that were read, and of each row that was not read one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

from nnmeter.devices import processor
from nnmeter.devices.machine import ISA_LEVELS
from nnmeter.errors import MeasurementError, NnmeterError, brief
from nnmeter.files import read_limited
from nnmeter.lab.importing.profiles import onnxruntime, openvino, tensorrt
from nnmeter.lab.importing.profiles.given import GivenFile
from nnmeter.lab.importing.profiles.ledger import FileAccount
from nnmeter.lab.importing.profiles.setting import Setting
from nnmeter.lab.importing.profiles.times import NOMINAL_REFERENCE_MS
from nnmeter.lab.measuring.correction import correct
from nnmeter.lab.measuring.measurement import Measurement

KIT, PART = "kit", "part of a kit"
MAINS = (KIT,)
MANIFEST, ROWS = "kit.json", "rows"
REFERENCE = "reference"

_ROW = re.compile(r"(profile|time) (\S{1,300}) (\d{1,12}) (\d{1,9}) ?(\d{0,4}) ?(\d{0,6})\s*")
_NUMBER = re.compile(r"\d{1,9}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
_MOST_TEXT = 1 << 20
_AROUND = 9  # rule 3
_LEAST_REFERENCES = 4  # rows: fewer say nothing of a state that changes

UNREADABLE = "row without a note of what ran (cut off by a loss of power)"
NO_PROFILE = "timed row of a network that was not profiled"
NO_NETWORK = "row of a network that the kit does not have"


@dataclass(frozen=True, slots=True)
class _Reader:
    """How a runtime's rows are read: its module, and names of its files by what they are."""

    module: ModuleType
    main: str
    companions: Mapping[str, str]
    whole: tuple[str, str]


# Runtime -> patterns of the files of a profiled row, and of a timed one.
_READERS: dict[str, _Reader] = {
    "onnxruntime": _Reader(
        onnxruntime, "profile_*.json", {"optimized.onnx": "model"}, ("times.csv", onnxruntime.RESULTS)
    ),
    "openvino": _Reader(
        openvino,
        "benchmark_average_counters_report.csv",
        {"graph.xml": openvino.GRAPH},
        ("benchmark_report.csv", openvino.REPORT),
    ),
    "tensorrt": _Reader(
        tensorrt, "profile.json", {"layers.json": tensorrt.LAYERS}, ("times.json", tensorrt.TIMES)
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    folder: Path
    kind: str
    network: str


class _Files:
    """The files of one network, in the place of `Companions`."""

    def __init__(self, by_kind: Mapping[str, GivenFile]) -> None:
        self._by_kind = by_kind

    def find(self, main: GivenFile, kind: str, where: Any = None) -> GivenFile | None:
        return self._by_kind.get(kind)


def recognise(file: GivenFile) -> str:
    """What a file is: the manifest of a kit, where rows lie beside it."""
    if file.path.name != MANIFEST or not (file.path.parent / ROWS).is_dir():
        return ""
    content = file.json
    return KIT if isinstance(content, dict) and isinstance(content.get("networks"), dict) else ""


def read(main: GivenFile, companions: Any, setting: Setting, account: FileAccount) -> list[Measurement]:
    """The measurements that the rows of a kit make (rules 1 to 5)."""
    manifest = main.json
    runtime, networks = manifest.get("runtime"), manifest["networks"]
    if runtime not in _READERS:
        raise MeasurementError(f"is a kit for {str(runtime)[:40]!r}, of which nothing is known; update nnmeter")
    threads = manifest.get("threads", 1)
    if not isinstance(threads, int) or not 0 < threads <= 4096:
        raise MeasurementError("says no number of threads; restore kit.json")
    setting.device = replace(setting.device, threads=threads)
    setting.learn(str(runtime), **_device_facts(main.path.parent, setting))
    reader = _READERS[str(runtime)]
    rows = _rows(main.path.parent / ROWS, networks, account)
    references = _references(rows, reader, account)
    nominal_ms = median(ms for _, ms in references) if len(references) >= _LEAST_REFERENCES else None
    found: list[Measurement] = []
    by_network: dict[str, list[_Row]] = {}
    for row in rows:
        if row.network != REFERENCE:
            by_network.setdefault(row.network, []).append(row)
    for network, own in by_network.items():
        model = main.path.parent.parent / "models" / f"{network}.onnx"
        found += _network(network, str(networks[network]), own, model, reader, setting, account, references, nominal_ms)
    if not found:
        raise MeasurementError("has no row that makes a measurement; see what the program says in results/rows/*/log")
    if nominal_ms is not None:
        facts: dict[str, Any] = {
            "reference": "a product of matrices in a program of its own, beside each group of networks"
        }
        facts |= {"reference_ms": nominal_ms, "reported": False}
        setting.device = replace(setting.device, facts={**setting.device.facts, **facts})
    return found


def _rows(folder: Path, networks: Mapping[str, Any], account: FileAccount) -> list[_Row]:
    found = []
    for place in sorted(folder.iterdir(), key=lambda one: (len(one.name), one.name)):
        if not _NUMBER.fullmatch(place.name) or not place.is_dir():
            continue
        text = _text_of(place / "row")
        match = _ROW.fullmatch(text)
        failed = _text_of(place / "failed")
        if failed:
            account.refuse(f"failed on the device: {brief(' '.join(failed.split()), 160)}", place.name)
        elif match is None:
            account.refuse(UNREADABLE, place.name)
        elif match[2] != REFERENCE and (match[2] not in networks or not _NAME.fullmatch(match[2])):
            account.refuse(NO_NETWORK, match[2])
        else:
            found.append(_Row(int(place.name), place, match[1], match[2]))
    return found


def _references(rows: Sequence[_Row], reader: _Reader, account: FileAccount) -> list[tuple[int, float]]:
    """Number and median milliseconds of the rows of the reference (rule 3)."""
    found = []
    for row in rows:
        if row.network == REFERENCE:
            times = _whole_ms(row, reader)
            if times:
                account.accept()
                found.append((row.number, median(times)))
            else:
                account.refuse("row of the reference without a time", row.folder.name)
    return found


def _whole_ms(row: _Row, reader: _Reader) -> list[float]:
    """Milliseconds of whole runs in a timed row; the median alone where the program tells no more."""
    file = GivenFile(row.folder / reader.whole[0], reader.whole[1])
    try:
        return list(reader.module.whole_ms(file))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


def _network(
    network: str,
    family: str,
    rows: Sequence[_Row],
    model: Path,
    reader: _Reader,
    setting: Setting,
    account: FileAccount,
    references: Sequence[tuple[int, float]],
    nominal_ms: float | None,
) -> list[Measurement]:
    profiled = [row for row in rows if row.kind == "profile"]
    timed = [row for row in rows if row.kind == "time"]
    if not profiled:
        account.refuse(NO_PROFILE, network, len(timed))
        return []
    row = profiled[0]
    account.refuse("profiled again", network, len(profiled) - 1)
    files = {kind: GivenFile(row.folder / name, kind) for name, kind in reader.companions.items()}
    files = {kind: file for kind, file in files.items() if file.path.is_file()}
    files.setdefault("model", GivenFile(model, "model"))
    mains = sorted(row.folder.glob(reader.main))
    own = FileAccount(account.file, account.format)
    try:
        if not mains:
            raise MeasurementError("profiled row without a profile")
        found = reader.module.read(GivenFile(mains[0]), _Files(files), setting, own)
    except (NnmeterError, OSError) as fault:
        account.refuse(brief(" ".join(str(fault).split()), 200), network, max(own.rows, 1) + len(timed))
        return []
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as fault:
        account.refuse(f"its reader failed ({type(fault).__name__}: {brief(fault, 80)})", network, max(own.rows, 1))
        return []
    account.rows += own.rows
    account.refused.update(own.refused)
    for reason, examples in own.examples.items():
        account.examples.setdefault(reason, examples)
    whole: list[float] = []
    for one in timed:
        times = _whole_ms(one, reader)
        if times:
            account.accept()
            around = reference_around(one.number, references)
            scale = correct(1.0, around, nominal_ms) if nominal_ms and around else 1.0
            whole += [ms * scale for ms in times]
        else:
            account.refuse("timed row without a time", network)
    factor = _factor(row.number, references, nominal_ms)
    return [_finished(one, network, family, whole, factor, nominal_ms) for one in found]


def _finished(
    row: Measurement, network: str, family: str, whole_ms: Sequence[float], factor: float, nominal_ms: float | None
) -> Measurement:
    """A measurement with its own name, in the state of the reference's median, with the times of its timed rows."""
    import numpy as np

    from nnmeter.lab.measuring.protocol import trimmed_mean

    part = row.id.partition("/")[2]
    granularity = row.granularity if part else "block" if family else "model"
    changed = replace(
        row,
        id=f"{granularity}:{network}" + (f"/{part}" if part else ""),
        granularity=granularity,
        network=network,
        family=family,
        sitting=KIT,
        latency_ms=row.latency_ms * factor,
        half_ms=(row.half_ms[0] * factor, row.half_ms[1] * factor),
        kernel_ms=tuple(ms * factor for ms in row.kernel_ms),
        reference_ms=nominal_ms or NOMINAL_REFERENCE_MS,
    )
    if part or not whole_ms:
        return changed
    times = np.asarray(whole_ms)
    halves = (float(trimmed_mean(times[::2])), float(trimmed_mean(times[1::2]))) if len(times) >= 4 else (0.0, 0.0)
    low, middle, high = float(times.min()), float(np.median(times)), float(np.percentile(times, 90))
    return replace(
        changed,
        latency_ms=float(trimmed_mean(times)),
        half_ms=halves,
        min_ms=low,
        median_ms=middle,
        p90_ms=high,
        runs=len(times),
    )


def _factor(number: int, references: Sequence[tuple[int, float]], nominal_ms: float | None) -> float:
    around = reference_around(number, references)
    return correct(1.0, around, nominal_ms) if nominal_ms and around else 1.0


def reference_around(number: int, references: Sequence[tuple[int, float]]) -> float:
    """Milliseconds of the reference around a row: the median of the `_AROUND` nearest rows; 0 where there is none."""
    place = bisect_left(references, (number, 0.0))
    first = max(0, min(place - _AROUND // 2, len(references) - _AROUND))
    near = [ms for _, ms in references[first : first + _AROUND]]
    return median(near) if near else 0.0


def _device_facts(folder: Path, setting: Setting) -> dict[str, Any]:
    """What the device said of itself (rule 4)."""
    own = processor.from_cpuinfo(_text_of(folder / "cpuinfo.txt"))
    told = dict(line.split("=", 1) for line in _text_of(folder / "device.txt").splitlines() if "=" in line)
    words = [told.get(f"ro.product.{name}", "") for name in ("manufacturer", "model")]
    words += [told.get("ro.soc.model", ""), own.name or told.get("machdep.cpu.brand_string", "")]
    hardware = ", ".join(word for word in words if word) or told.get("product_name", "")
    levels = [level for level, flags in ISA_LEVELS.items() if flags <= own.flags]
    facts = {
        "vendor": own.vendor,
        "architecture": told.get("architecture", ""),
        "isa": levels[-1] if levels else "",
        "cpu_family": own.family,
        "cpu_model": own.model,
        "stepping": own.stepping,
        "os": told.get("system", ""),
    }
    if not setting.device.here:
        clean = {key: value for key, value in facts.items() if value and value.isprintable() and len(value) < 200}
        setting.device = replace(setting.device, facts={**clean, **setting.device.facts})
    return {"hardware": hardware if hardware.isprintable() and not setting.device.here else ""}


def _text_of(path: Path) -> str:
    try:
        return read_limited(path, _MOST_TEXT, follow=False).decode("utf-8", "replace").strip()
    except OSError:
        return ""
