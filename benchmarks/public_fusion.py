"""Which fusion rules the published latencies of a runtime speak for that does not say what it fuses.

    python benchmarks/public_fusion.py TABLES [--runtime NAME]... [--jobs N]

All devices of such runtimes (`nnmeter/lab/importing/public_networks/runtimes.py`, `known` false) are imported under
each of the alternatives, and every network is predicted by the model of these devices that was learned without it, in
parts, as the scorecards of packs do. Printed is the mean absolute log error of the rules that ship, and by how much
each alternative changes it, with the standard error of that difference over networks: rows of one network on several
devices are one.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.public_networks import importer
from nnmeter.lab.importing.published import PublishedDevice
from nnmeter.lab.training.population_folds import leave_out
from nnmeter.lab.training.public_packs import LEAST_LEARNED, describe_devices

ALTERNATIVES: dict[str, dict[str, bool]] = {
    "nothing joins": {"activations_join": False, "sums_join": False, "products_join": False, "chains_join": False},
    "activations": {"activations_join": True, "sums_join": False, "products_join": False, "chains_join": False},
    "and sums": {"activations_join": True, "sums_join": True, "products_join": False, "chains_join": False},
    "and chains": {"activations_join": True, "sums_join": True, "products_join": False, "chains_join": True},
    "and products": {"activations_join": True, "sums_join": True, "products_join": True, "chains_join": True},
}
_SHIPS = "as it ships"
_PARTS, _FAMILY_PARTS = 6, 2

Errors = dict[tuple[str, str], list[float]]  # absolute log errors by runtime and network


def left_out_errors(
    tables: Path, devices: list[PublishedDevice], changes: Mapping[str, bool] | None, jobs: int
) -> Errors:
    """Errors of networks that were left out, under rules with these changes."""
    runtimes = {device.name: str(device.facts["table"]["runtime"]) for device in devices}
    imported = importer.import_measurements(tables, devices, Detection(devices, None, changes))
    found = [device.table for device in describe_devices(imported) if device.networks >= LEAST_LEARNED]
    left_out = leave_out(found, jobs, None, _PARTS, _FAMILY_PARTS)
    errors: Errors = defaultdict(list)
    for table in found:
        apart = np.abs(np.log(table.latency_ms) - left_out.by_network[table.id])
        for network, error in zip(table.networks, apart.tolist(), strict=True):
            errors[runtimes[table.id], network].append(error)
    return errors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--runtime", action="append", default=[])
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    devices = [
        device
        for device in importer.devices(arguments.tables)
        if not device.facts["fusion"]["known"]
        and (not arguments.runtime or device.facts["table"]["runtime"] in arguments.runtime)
    ]
    found = {
        name: left_out_errors(arguments.tables, devices, changes, arguments.jobs)
        for name, changes in {_SHIPS: None, **ALTERNATIVES}.items()
    }
    for runtime in sorted({runtime for runtime, _ in found[_SHIPS]}):
        networks = sorted(network for own, network in found[_SHIPS] if own == runtime)
        means = {name: np.array([np.mean(errors[runtime, n]) for n in networks]) for name, errors in found.items()}
        rows = sum(len(found[_SHIPS][runtime, n]) for n in networks)
        print(f"\n{runtime}: {len(networks)} networks, {rows} rows, mean log error {means[_SHIPS].mean():.3f}")
        for name in ALTERNATIVES:
            change = means[name] - means[_SHIPS]
            error = change.std(ddof=1) / np.sqrt(len(change)) if len(change) > 1 else float("nan")
            verdict = "" if not abs(change.mean()) > 2 * error else "better" if change.mean() < 0 else "worse"
            print(f"  {name:16s} {change.mean():+.4f} +- {error:.4f}  {verdict}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
