"""All devices of the public tables, as the benchmarks of public packs learn from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from nnmeter.lab.importing import hat
from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.public_networks import importer
from nnmeter.lab.training.public_packs import PublicDevice, describe_devices

_EVERY_ENCODER = 13  # of HAT's twelve thousand, which are points of one grid, every so many is learned from


def public_devices(tables: Path, only: Collection[str] = ()) -> tuple[list[PublicDevice], Counter[str]]:
    """Import tables of known networks, and HAT's encoders where they are beside them.

    Args:
        tables: their directory.
        only: names of tables, without .csv.gz; all if empty.

    Returns:
        The devices, and how many rows were imported and refused.
    """
    known = importer.devices(tables)
    chosen = [d for d in known if not only or d.facts["table"]["source"] in only]
    found = [importer.import_measurements(tables, chosen, Detection(chosen))] if chosen else []
    if (tables / "hat.csv.gz").is_file() and (not only or hat.SOURCE.name in only):
        encoders = hat.devices(tables)
        found.append(hat.import_measurements(tables, encoders, Detection(encoders), every=_EVERY_ENCODER))
    counts: Counter[str] = Counter()
    for imported in found:
        refused = sum(sum(own.values()) for own in imported.refused.values())
        counts += Counter(rows=sum(imported.rows.values()), refused=refused)
    return [device for imported in found for device in describe_devices(imported)], counts
