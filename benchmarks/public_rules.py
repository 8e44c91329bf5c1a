"""Which fusion rules the published latencies speak for, of runtimes that do not say what they fuse.

    python benchmarks/public_rules.py TABLES [--runtime NAME]... [--jobs N]

All devices of such runtimes (`nnmeter/lab/importing/public_networks/runtimes.py`, `known` false) are imported under
each of the alternatives. A fifth of the networks is kept aside, the one that `public_kept_aside.py` keeps aside first;
of the others each is predicted by the model of these devices that was learned without it, in parts, as scorecards do.
By these errors a choice is made:

1. An error is the mean absolute log error of a network over the devices of the runtime: rows of one network are one.
2. An alternative is better than the rules that ship if the mean of its differences over networks is below 0 by more
   than twice its standard error. The best of those that are better is chosen; where none is, what ships stays.
3. What was kept aside chooses nothing: its errors are printed beside.

A runtime of which no device has networks enough to be learned from is named, and nothing is chosen.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from kept_aside.networks import KEPT_PARTS, kept_part

from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.public_networks import importer
from nnmeter.lab.importing.published import PublishedDevice
from nnmeter.lab.training.population import DeviceTable, fit_population, predict_log_ms
from nnmeter.lab.training.population_folds import ROUNDS, leave_out
from nnmeter.lab.training.public_packs import LEAST_LEARNED, describe_devices

ALTERNATIVES: dict[str, dict[str, bool]] = {
    "nothing joins": {"activations_join": False, "sums_join": False, "products_join": False, "chains_join": False},
    "activations": {"activations_join": True, "sums_join": False, "products_join": False, "chains_join": False},
    "and sums": {"activations_join": True, "sums_join": True, "products_join": False, "chains_join": False},
    "and chains": {"activations_join": True, "sums_join": True, "products_join": False, "chains_join": True},
    "and products": {"activations_join": True, "sums_join": True, "products_join": True, "chains_join": True},
}
_SHIPS = "as it ships"
_PARTS = 6
_ALSO = ("drp-ai-tvm",)  # TVM says what it fuses on a CPU, and nothing of the accelerator

Errors = dict[str, dict[str, float]]  # by runtime and network


def errors_under(
    tables: Path, devices: Sequence[PublishedDevice], changes: Mapping[str, bool] | None, jobs: int
) -> tuple[Errors, Errors]:
    """Errors of the networks that choose, and of those that were kept aside, under rules with these changes."""
    runtimes = {device.name: str(device.facts["table"]["runtime"]) for device in devices}
    imported = importer.import_measurements(tables, devices, Detection(devices, None, changes))
    found = [device.table for device in describe_devices(imported)]
    kept = {table.id: np.array([kept_part(name) == 0 for name in table.networks], bool) for table in found}
    rest = [table.taken(~kept[table.id]) for table in found]
    rest = [table for table in rest if len(set(table.networks)) >= LEAST_LEARNED]
    left_out = leave_out(rest, jobs, None, _PARTS, 0)
    population = fit_population(rest, ROUNDS)
    aside = [table.taken(kept[table.id]) for table in found if table.id in population.devices]
    return (
        _by_network(rest, left_out.by_network, runtimes),
        _by_network(aside, {t.id: predict_log_ms(population.devices[t.id].theta, t.work) for t in aside}, runtimes),
    )


def _by_network(
    tables: Sequence[DeviceTable], predicted: Mapping[str, np.ndarray], runtimes: Mapping[str, str]
) -> Errors:
    errors: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for table in tables:
        apart = np.abs(np.log(table.latency_ms) - predicted[table.id])
        for network, error in zip(table.networks, apart.tolist(), strict=True):
            errors[runtimes[table.id]][network].append(error)
    return {
        runtime: {network: float(np.mean(values)) for network, values in own.items()} for runtime, own in errors.items()
    }


def compare(base: Mapping[str, float], other: Mapping[str, float]) -> tuple[float, float]:
    """By how much the mean error over networks changes, and the standard error of that (rule 2)."""
    change = np.array([other[network] - base[network] for network in sorted(base)])
    error = float(change.std(ddof=1) / np.sqrt(len(change))) if len(change) > 1 else float("nan")
    return float(change.mean()) if len(change) else float("nan"), error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--runtime", action="append", default=[])
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    devices = [
        device
        for device in importer.devices(arguments.tables)
        if (runtime := device.facts["table"]["runtime"]) in (arguments.runtime or [runtime])
        and (not device.facts["fusion"]["known"] or runtime in _ALSO or arguments.runtime)
        and set(ALTERNATIVES["activations"]) <= Detection([device]).rules[device.name].parameters.keys()
    ]
    found = {}
    for name, changes in {_SHIPS: None, **ALTERNATIVES}.items():
        found[name] = errors_under(arguments.tables, devices, changes, arguments.jobs)
        print(f"{name}: done", file=sys.stderr, flush=True)
    for runtime in sorted({str(device.facts["table"]["runtime"]) for device in devices}):
        _print(runtime, {name: tuple(part.get(runtime, {}) for part in own) for name, own in found.items()})
    return 0


def _print(runtime: str, found: Mapping[str, tuple[Mapping[str, float], ...]]) -> None:
    choosing, aside = found[_SHIPS]
    if not choosing:
        print(f"\n{runtime}: no device has {LEAST_LEARNED} networks; nothing is chosen")
        return
    means = [float(np.mean(list(own.values()))) if own else float("nan") for own in (choosing, aside)]
    print(
        f"\n{runtime}: {len(choosing)} networks choose, mean log error {means[0]:.3f} as it ships; "
        f"{len(aside)} of one of {KEPT_PARTS} parts were kept aside, {means[1]:.3f}"
    )
    better = {}
    for name in ALTERNATIVES:
        change, error = compare(choosing, found[name][0])
        beside, its_error = compare(aside, found[name][1])
        if change < -2.0 * error:
            better[name] = change
        print(f"  {name:16s} {change:+.4f} +- {error:.4f}   kept aside {beside:+.4f} +- {its_error:.4f}", flush=True)
    print(f"  chosen: {min(better, key=lambda name: better[name]) if better else 'what ships'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
