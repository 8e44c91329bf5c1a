"""Adding a session to a measurement file that is there already.

1. A file holds measurements of one device; a session of another is refused.
2. Rows of earlier sessions stay as they are. A new row whose id is taken gets its session behind it:
   `model:resnet50-224@2026-01-31T12:00:00`; if that is taken too, a number. So does a session whose name is taken.
3. All sessions of a file share the nominal time of the reference kernel, that of the first: `reference_of` says what to
   measure with.
4. The new file replaces the old one whole, or not at all. What another process added meanwhile is read again at that
   moment, so that it is kept; a lock is held from then until the file is replaced.
5. What is added is what every verb reads (`nnmeter.lab.measuring.validation`), or nothing is.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnmeter.errors import MeasurementError, brief
from nnmeter.lab.measuring.fingerprint import identity
from nnmeter.lab.measuring.lock import locked_file
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import read_measurements, write_measurements
from nnmeter.lab.measuring.validation import faults_of_rows, read_signature

_IDENTITY_NAMES = (
    "cpu", "cpu_family", "cpu_model", "stepping", "isa", "runtime", "runtime_version", "threads", "precision",
)  # fmt: skip


def check_appendable(path: str | os.PathLike[str], fingerprint: Mapping[str, Any]) -> float | None:
    """The nominal time of the reference that a new session in this file shares (rule 3); None if there is no file.

    Verbs that measure for long ask before they begin.

    Raises:
        MeasurementError: the file is damaged, no measurement file, or of another device than `fingerprint` (rule 1).
    """
    if not Path(path).exists():
        return None
    rows, own = _read(path, fingerprint)
    return rows[0].reference_ms if rows else own.get("reference_ms")


def append_measurements(
    path: str | os.PathLike[str], measurements: Sequence[Measurement], fingerprint: Mapping[str, Any]
) -> list[Measurement]:
    """Add measurements to a file, which is made if it is not there (rules 1 to 5).

    Args:
        path: the measurement file.
        measurements: of one or more sessions.
        fingerprint: of the machine and runtime that they were taken with.

    Returns:
        The measurements as they were added, with their ids.

    Raises:
        MeasurementError: as `check_appendable`, or a row is no measurement; the file is as it was.
    """
    with locked_file(Path(path).absolute()):
        earlier: list[Measurement] = []
        kept: Mapping[str, Any] = fingerprint
        renamed: dict[str, str] = {}
        if Path(path).exists():
            earlier, own = _read(path, fingerprint)
            taken = {m.sitting for m in earlier}
            renamed = {m.sitting: _free_name(m.sitting, taken) for m in measurements}
            told = {renamed.get(name, name): facts for name, facts in fingerprint.get("sittings", {}).items()}
            kept = {**own, "sittings": {**own.get("sittings", {}), **told}}
        fresh = [replace(m, sitting=renamed.get(m.sitting, m.sitting)) for m in measurements]
        added = with_unique_ids(fresh, {m.id for m in earlier})
        _check(path, added)
        write_measurements(path, [*earlier, *added], kept)
        return added


def with_unique_ids(measurements: Sequence[Measurement], taken: Collection[str] = ()) -> list[Measurement]:
    """The same measurements, each with an id of its own that is not in `taken` (rule 2)."""
    used = set(taken)
    found = []
    for measurement in measurements:
        name = measurement.id
        if name in used:
            name = _free_name(f"{measurement.id}@{measurement.sitting}", used)
        used.add(name)
        found.append(measurement if name == measurement.id else replace(measurement, id=name))
    return found


def _free_name(name: str, taken: Collection[str]) -> str:
    """`name`, or where that is taken the first of `name#2`, `name#3`, ... that is not."""
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name}#{number}"
    return free


def describe_sitting(measurements: Sequence[Measurement], date: str, own_reference_ms: float) -> dict[str, Any]:
    """What a file's fingerprint says of one sitting: its day, how many it measured, the reference's own time."""
    return {"date": date, "measurements": len(measurements), "reference_ms": round(own_reference_ms, 6)}


def _check(path: str | os.PathLike[str], rows: Sequence[Measurement]) -> None:
    """Refuse rows that no verb would read again (rule 5)."""
    wrong = next(faults_of_rows(rows), None)
    try:
        for kernel in {kernel for row in rows for kernel in row.kernels}:
            read_signature(kernel.to_json())
    except ValueError as fault:
        wrong = brief(fault)
    if wrong is not None:
        raise MeasurementError(f"{os.fspath(path)}: is left as it was; what was to be added is no measurement: {wrong}")


def _read(path: str | os.PathLike[str], fingerprint: Mapping[str, Any]) -> tuple[list[Measurement], dict[str, Any]]:
    rows, own = read_measurements(path)
    if identity(own) != identity(fingerprint):
        names = [name for name in _IDENTITY_NAMES if own.get(name) != fingerprint.get(name)]
        differences = ", ".join(f"{name} {own.get(name)}, now {fingerprint.get(name)}" for name in names)
        raise MeasurementError(
            f"{path}: measured on another device ({differences or 'another vendor'}); give another file"
        )
    return rows, own
