"""Importing a data set: what `nnmeter import` does.

Rules:

1. One measurement file a device. With one device the output is that file, else a directory of `<device>.parquet`.
2. A report lies beside them: `import.json` in the directory, `<file>.import.json` beside a file. For every device it
   counts the rows imported and those refused, by reason; together they are all of the device's rows.
3. A device's name may come from the data set: it is a plain one, so that its file lies in the directory.
4. All is imported before anything is written, and each file is written whole or not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from nnmeter.devices.fingerprint_fields import faults_of_fingerprint
from nnmeter.errors import MeasurementError, brief
from nnmeter.files import write_whole
from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.published import Imported, PublishedDevice

DATASETS: dict[str, str] = {
    "hat": "nnmeter.lab.importing.hat",
    "nn-meter-26k": "nnmeter.lab.importing.nn_meter_26k",
    "phones-qed-usc": "nnmeter.lab.importing.phones_qed_usc",
    "public-networks": "nnmeter.lab.importing.public_networks.importer",
    "v100-tensorrt": "nnmeter.lab.importing.v100_tensorrt",
}

TABLES = "public-networks"  # the data set that is any number of tables

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,119}")  # of a device, after which its file is called

Progress = Callable[[str, int], None]


def import_dataset(
    dataset: str,
    source: Path | Sequence[Path],
    output: Path,
    devices: Sequence[str] = (),
    rules: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Import published latencies into measurement files (rules 1 to 4).

    Args:
        dataset: a key of `DATASETS`.
        source: the directory or file that its authors publish; of tables, several.
        output: a measurement file, or a directory where there are several devices; it is made if need be.
        devices: names of devices, with wildcards or without; all that the data set has if there are none.
        rules: fusion rules in place of the devices' own: a rule set of the package, or a file.
        parameters: parameters of the fusion rules to change.
        limit: most rows of each of its files.
        progress: told what is read and how many of its rows are done.

    Returns:
        The report of rule 2, with the files that were written under `files`.

    Raises:
        MeasurementError: there is nothing to import, or a device is unknown.
        DeviceError: the fusion rules are faulty.
    """
    sources = [source] if isinstance(source, Path) else list(source)
    for place in sources:
        if not place.exists():
            raise MeasurementError(f"{place}: no such file or directory; give what the authors of {dataset} publish")
    if len(sources) != 1 and dataset != TABLES:
        raise MeasurementError(f"{dataset} is one directory or file; give one, not {len(sources)}")
    source = sources if dataset == TABLES else sources[0]
    module = import_module(DATASETS[dataset])
    chosen = _choose(module, dataset, source, devices)
    if len(chosen) > 1 and output.suffix == ".parquet":
        raise MeasurementError(
            f"{output}: one file cannot hold {len(chosen)} devices; choose one with --device, or give a directory"
        )
    imported: Imported = module.import_measurements(
        source, chosen, Detection(chosen, rules, parameters), limit, progress
    )
    return _write(imported, chosen, output)


def _choose(
    module: ModuleType, dataset: str, source: Path | Sequence[Path], wanted: Sequence[str]
) -> list[PublishedDevice]:
    known: Sequence[PublishedDevice] = module.devices(source)
    for device in known:
        if not _NAME.fullmatch(device.name):
            raise MeasurementError(
                f"{dataset}: names a device {brief(repr(device.name), 80)}, after which no file can be called; "
                "give letters, digits and ._+- (120 characters at most), or restore the data set"
            )
    for pattern in wanted:
        if not any(fnmatchcase(device.name, pattern) for device in known):
            names = ", ".join(device.name for device in known)
            raise MeasurementError(f"{dataset}: has no times of a device {pattern!r}; there are {names}")
    return [d for d in known if not wanted or any(fnmatchcase(d.name, pattern) for pattern in wanted)]


def _write(imported: Imported, chosen: Sequence[PublishedDevice], output: Path) -> dict[str, Any]:
    from nnmeter.lab.measuring.store import write_measurements

    found = [device.name for device in chosen if imported.measurements.get(device.name)]
    if not found:
        reasons = [reason for counts in imported.refused.values() for reason, _ in counts.most_common(1)]
        raise MeasurementError(f"nothing could be imported: {'; '.join(dict.fromkeys(reasons)) or 'there are no rows'}")
    for name in found:
        wrong = next(faults_of_fingerprint(imported.fingerprints[name]), None)
        if wrong is not None:
            raise MeasurementError(f"what is said of the device {name} cannot be: {wrong}")
    single = output.suffix == ".parquet"
    if not single:
        output.mkdir(parents=True, exist_ok=True)
    report = imported.to_dict()
    report["files"] = {}
    for name in found:
        path = output if single else output / f"{name}.parquet"
        write_measurements(path, imported.measurements[name], imported.fingerprints[name])
        report["files"][name] = str(path)
    place = output.with_suffix(".import.json") if single else output / "import.json"
    write_whole(place, json.dumps(report, indent=1) + "\n")
    return report
