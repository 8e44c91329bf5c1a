"""Makes the packs of all devices of published tables, each with a scorecard of networks that no device was seen with.

    python benchmarks/public_devices.py TABLES OUT [--only SOURCE]... [--jobs N]

TABLES is the directory of the tables (docs/importing.md). Everything is imported, one model of all devices is fitted,
networks and families are left out in turn, and the pack of every device that is good enough is written to OUT, with
`devices.csv`: each device with its figures, and the reason where it has no pack.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.public_networks import importer
from nnmeter.lab.training.population import fit_population
from nnmeter.lab.training.population_file import POPULATION, write_population
from nnmeter.lab.training.population_folds import leave_out
from nnmeter.lab.training.public_packs import LEAST_LEARNED, Outcome, describe_devices, make_packs

_COLUMNS = (
    *("device", "networks", "ships", "within_5", "within_10", "within_20", "mape", "tau", "coverage"),
    *("family_mape", "flops_mape", "roofline_mape", "nearest_mape", "reason"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the device packs of published tables.")
    parser.add_argument("tables", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", action="append", default=[], help="a table, without .csv.gz; repeatable")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    start = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {line}", flush=True)

    known = importer.devices(arguments.tables)
    chosen = [d for d in known if not arguments.only or d.facts["table"]["source"] in arguments.only]
    imported = importer.import_measurements(arguments.tables, chosen, Detection(chosen))
    rows, refused = sum(imported.rows.values()), sum(sum(own.values()) for own in imported.refused.values())
    say(f"{rows} rows, {rows - refused} imported, {refused} refused")
    devices = describe_devices(imported)
    tables = [device.table for device in devices if device.networks >= LEAST_LEARNED]
    say(f"{len(devices)} devices, {len(tables)} of them to learn from")
    population = fit_population(tables)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_population(population, arguments.out / POPULATION)
    left_out = leave_out(tables, arguments.jobs, say)
    outcomes = make_packs(devices, population, left_out, arguments.out)
    write_outcomes(outcomes, arguments.out / "devices.csv")
    say(f"{sum(not o.reasons for o in outcomes)} of {len(outcomes)} devices ship")
    return 0


def write_outcomes(outcomes: Sequence[Outcome], path: Path) -> None:
    """A row for each device."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for outcome in sorted(outcomes, key=lambda o: o.id):
            writer.writerow(_row(outcome))


def _row(outcome: Outcome) -> list[str]:
    scores, families, baselines = outcome.scores, outcome.families, outcome.baselines
    figures = [""] * 10
    if scores is not None and families is not None and baselines is not None:
        values = (
            *(scores.within_5, scores.within_10, outcome.within_20, scores.mape),
            *(scores.kendall_tau, outcome.coverage, families.mape),
            *(baselines[name].mape for name in ("flops", "roofline", "nearest_network")),
        )
        figures = [f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}" for value in values]
    ships = "no" if outcome.reasons else "yes"
    return [outcome.id, str(outcome.networks), ships, *figures, "; ".join(outcome.reasons)]


if __name__ == "__main__":
    sys.exit(main())
