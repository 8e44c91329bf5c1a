"""Importing profiles: what `nnmeter import profile` does.

Rules:

1. Every file is looked at by the readers in turn, until one knows it. A file that none knows, and one that belongs to
   no profile, is refused as a whole. Every row of the others is imported or refused (`ledger`).
2. All profiles of an import are of one runtime and one device. A file of another runtime is refused.
3. Two profiles of one network make two measurements, told apart by a number behind the name.
4. All is imported before anything is written, and the measurement file is written whole or not at all. The report lies
   beside it, as `<file>.import.json`.
5. Files come from elsewhere. A reader says what is wrong with one by an error of this package, and that is the reason
   for which its rows are refused. What it does not expect is a fault of the reader, and refused as one, with the
   fault.
6. The results of a kit are one file of the report, its manifest; its rows are counted with it.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from nnmeter.devices.fingerprint_fields import faults_of_fingerprint
from nnmeter.errors import MeasurementError, NnmeterError, brief
from nnmeter.files import write_whole
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.lab.importing.profiles.given import Companions, GivenFile, expand
from nnmeter.lab.importing.profiles.ledger import FileAccount
from nnmeter.lab.importing.profiles.setting import MeasuredDevice, Setting
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.validation import faults_of_row

# Format -> its reader, in the order in which files are shown to them.
READERS: dict[str, str] = {
    "kit": "nnmeter.lab.importing.profiles.kit",
    "onnxruntime": "nnmeter.lab.importing.profiles.onnxruntime",
    "openvino": "nnmeter.lab.importing.profiles.openvino",
    "tensorrt": "nnmeter.lab.importing.profiles.tensorrt",
    "pytorch": "nnmeter.lab.importing.profiles.pytorch",
    "executorch": "nnmeter.lab.importing.profiles.executorch",
    "tflite": "nnmeter.lab.importing.profiles.tflite",
    "ncnn": "nnmeter.lab.importing.profiles.ncnn",
    "mnn": "nnmeter.lab.importing.profiles.mnn",
    "table": "nnmeter.lab.importing.profiles.table",
}
MODEL = "model"
_MODEL_SUFFIXES = (".onnx",)
_DATA_SUFFIXES = (".onnx.data", ".weights", ".bin")

UNKNOWN = "no profile that a reader knows"
ALONE = "belongs to no profile that was given"
_LONGEST_REASON = 300
_FEW = 3  # reasons that a message names

Progress = Callable[[str, int, int], None]


def import_profiles(
    paths: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None,
    device: MeasuredDevice,
    *,
    rules: str | None = None,
    sizes: InputSizes = AS_DECLARED,
    families: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Import the profiles that runtimes' own tools wrote (rules 1 to 5).

    Args:
        paths: profiles and what belongs to them, files and folders.
        output: measurement file (Parquet) to write; none if None.
        device: what was measured, as far as the user says.
        rules: fusion rules, a file or the name of a rule set; those of the runtime if not given.
        sizes: of free dimensions of the models.
        families: architecture family by name of a model.
        progress: told a file, how many are done, and how many there are.

    Returns:
        The report of rule 4: `files` with the rows of each, `measurements`, `kernels`, `fingerprint`.

    Raises:
        MeasurementError: nothing could be imported, or nobody says what device it is.
        DeviceError: the fusion rules are faulty.
    """
    files = expand(paths)
    modules = {name: import_module(module) for name, module in READERS.items()}
    setting = Setting(device, rules, sizes, families or {})
    owners = {kind: module for module in modules.values() for kind in module.MAINS}
    accounts: dict[int, FileAccount] = {}
    for file in files:
        accounts[id(file)] = FileAccount(str(file.path), "")
        try:
            file.kind = _kind_of(file, modules.values())
        except OSError as fault:
            accounts[id(file)].refuse(brief(fault.strerror or fault, _LONGEST_REASON))
        accounts[id(file)].format = file.kind or "unknown"
        file.forget()  # thousands of profiles are not held at once
    mains = [file for file in files if file.kind in owners]
    by_kind: dict[str, list[GivenFile]] = {}
    for file in files:
        by_kind.setdefault(file.kind, []).append(file)
    companions = Companions(by_kind, mains)
    found: list[Measurement] = []
    taken: dict[str, int] = {}
    for number, main in enumerate(mains):
        if progress is not None:
            progress(str(main.path), number, len(mains))
        account = accounts[id(main)]
        own = _read(owners[main.kind], main, companions, setting, account)
        found += [_with_own_id(measurement, taken) for measurement in own]
        main.forget()
    for file in files:
        account = accounts[id(file)]
        if file.kind in owners or account.rows:
            continue
        if id(file) in companions.used:
            account.accept()
        else:
            account.refuse(ALONE if file.kind else UNKNOWN)
    return _finish(found, [accounts[id(file)] for file in files], setting, mains, output)


def _kind_of(file: GivenFile, modules: Any) -> str:
    name = file.path.name.lower()
    if name.endswith(_MODEL_SUFFIXES):
        return MODEL
    if name.endswith(_DATA_SUFFIXES):
        return ""
    return next((kind for module in modules if (kind := module.recognise(file))), "")


def _read(
    module: ModuleType, main: GivenFile, companions: Companions, setting: Setting, account: FileAccount
) -> list[Measurement]:
    """What a reader makes of a profile; where it fails, all of its rows are refused with the reason (rule 5)."""
    try:
        rows = module.read(main, companions, setting, account)
    except (NnmeterError, OSError) as fault:
        reason = str(fault)
        if isinstance(fault, OSError):
            reason = f"{fault.filename or main.path}: {fault.strerror or fault}"
    except csv.Error as fault:
        reason = f"is no table ({fault}); export it again"
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as fault:
        reason = f"its reader failed on it ({type(fault).__name__}: {fault}); please report the file"
    else:
        return [row for row in rows if _is_sound(row, account)]
    count = max(account.rows, 1)
    account.restart()
    account.refuse(brief(" ".join(reason.split()), _LONGEST_REASON), "", count)
    return []


def _is_sound(row: Measurement, account: FileAccount) -> bool:
    """Whether a measurement is one by the rules of all measurements; one that is not is noted."""
    fault = next(faults_of_row(row), None)
    if fault is not None:
        account.refused[f"makes no measurement: {fault}"] += min(1, account.imported)
    return fault is None


def _with_own_id(row: Measurement, taken: dict[str, int]) -> Measurement:
    """Rule 3."""
    count = taken[row.id] = taken.get(row.id, 0) + 1
    if count == 1:
        return row
    name = f"{row.id}#{count}"
    taken[name] = 1
    return replace(row, id=name)


def _finish(
    found: Sequence[Measurement],
    accounts: Sequence[FileAccount],
    setting: Setting,
    mains: Sequence[GivenFile],
    output: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    if not found:
        told = [f"{account.file}: {reason}" for account in accounts for reason in account.refused]
        more = f" and {len(told) - _FEW} more reasons" if len(told) > _FEW else ""
        raise MeasurementError(f"nothing could be imported: {'; '.join(told[:_FEW]) or 'there are no rows'}{more}")
    device = setting.device
    if not (device.name or device.hardware or device.here):
        raise MeasurementError("nothing says what was measured; give --device NAME, or --here for this machine")
    rules = setting.loaded_rules
    fingerprint = device.fingerprint([main.kind for main in mains], setting.rules_name, rules.parameters)
    fingerprint.setdefault("reference_ms", found[0].reference_ms)
    wrong = next(faults_of_fingerprint(fingerprint), None)
    if wrong is not None:
        raise MeasurementError(f"what is said of the device cannot be: {wrong}")
    report: dict[str, Any] = {
        "schema_version": 1,
        "measurements": len(found),
        "kernels": sum(len(row.kernels) for row in found),
        "timed_kernels": sum(len(row.kernels) if row.kernel_ms or row.granularity == "kernel" else 0 for row in found),
        "rows": sum(account.rows for account in accounts),
        "imported_rows": sum(account.imported for account in accounts),
        "fingerprint": fingerprint,
        "files": [account.to_dict() for account in accounts],
        "output": None if output is None else os.fspath(output),
    }
    if output is not None:
        from nnmeter.lab.measuring.store import write_measurements

        place = Path(output)
        write_measurements(place, found, fingerprint)
        write_whole(place.with_suffix(".import.json"), json.dumps(report, indent=1) + "\n")
    return report
