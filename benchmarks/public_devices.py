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

from public_tables import public_devices

from nnmeter.lab.training.population import fit_population
from nnmeter.lab.training.population_file import POPULATION, write_population
from nnmeter.lab.training.population_folds import leave_out
from nnmeter.lab.training.public_baselines import NEAREST
from nnmeter.lab.training.public_packs import LEAST_LEARNED, LeftOutScores, Outcome, make_packs, sums_of

_FIGURES = (
    *("within_5", "within_10", "within_20", "mape", "tau", "coverage"),
    *("flops_mape", "roofline_mape", "nearest_mape"),
)
_COLUMNS = ("device", "networks", "ships", *_FIGURES, *(f"family_{name}" for name in _FIGURES), "reason")


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

    devices, counts = public_devices(arguments.tables, arguments.only)
    say(f"{counts['rows']} rows, {counts['rows'] - counts['refused']} imported, {counts['refused']} refused")
    tables = [device.table for device in devices if device.networks >= LEAST_LEARNED]
    say(f"{len(devices)} devices, {len(tables)} of them to learn from")
    population = fit_population(tables)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_population(population, arguments.out / POPULATION)
    left_out = leave_out(tables, arguments.jobs, say, sums=sums_of(devices))
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
    figures = [*_figures(outcome.networks_out), *_figures(outcome.families_out)]
    ships = "no" if outcome.reasons else "yes"
    return [outcome.id, str(outcome.networks), ships, *figures, "; ".join(outcome.reasons)]


def _figures(scores: LeftOutScores | None) -> list[str]:
    if scores is None:
        return [""] * len(_FIGURES)
    metrics = scores.metrics
    others = [scores.baselines.get(name) for name in ("flops", "roofline", NEAREST)]
    values = (
        *(metrics.within_5, metrics.within_10, scores.within_20, metrics.mape, metrics.kendall_tau, scores.coverage),
        *(None if other is None else other.mape for other in others),
    )
    return ["" if v is None else f"{v:.3g}" if abs(v) < 1 else f"{v:.1f}" for v in values]


if __name__ == "__main__":
    sys.exit(main())
