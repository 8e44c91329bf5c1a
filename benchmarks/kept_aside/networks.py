"""Networks that were kept aside on all devices, under any batch: nothing was done with them.

The model of all devices, the scorecards and the choice of what ships are of the other networks; the packs that ship
are then asked for those that were kept aside. Scorecards leave out fewer parts than those of the packs that ship, to
save time: what ships is chosen by somewhat worse figures.

A fifth of all networks is kept aside at a time. One fifth is some five networks of most devices, of which one more or
less decides what share is near; with several fifths, one after the other, a device is judged by all of its networks in
them, each predicted by the pack that was made without its fifth, where that ships.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kept_aside.rows import NetworkRow, Rows, Tell, predicted_rows, taken
from nnmeter.devices.catalog import load_pack
from nnmeter.lab.evaluation.metrics import Metrics, compute_metrics
from nnmeter.lab.training.population import Matrix, fit_population
from nnmeter.lab.training.population_folds import fold_of, leave_out
from nnmeter.lab.training.public_packs import LEAST_LEARNED, PublicDevice, make_packs, sums_of

KEPT_PARTS = 5  # of all networks, one is kept aside at a time
_LEAST_JUDGED = 5
_FOLDS, _FAMILY_FOLDS = 6, 4

Found = dict[str, list[NetworkRow]]  # by device


@dataclass(frozen=True)
class _Judged:
    """One device on its networks that were kept aside; shares in per cent."""

    table: str
    metrics: Metrics
    within_20: float
    coverage: float
    flops: float
    roofline: float

    @classmethod
    def of(cls, rows: Sequence[NetworkRow]) -> _Judged:
        """The judgement of one device's rows."""
        measured, predicted = [row.measured for row in rows], [row.predicted for row in rows]
        apart = np.abs(np.array(predicted) / np.array(measured) - 1.0)
        return cls(
            rows[0].table,
            compute_metrics(predicted, measured),
            100.0 * float(np.mean(apart <= 0.2)),
            100.0 * float(np.mean([row.holds for row in rows])),
            compute_metrics([row.flops for row in rows], measured).mape,
            compute_metrics([row.roofline for row in rows], measured).mape,
        )


def judge(
    devices: Sequence[PublicDevice], jobs: int, folder: Path | None, say: Tell, parts: Sequence[int] = (0,)
) -> None:
    """Keep fifths of all networks aside, one after the other; print how the packs that ship do on them."""
    file, made = Rows(folder, "networks", NetworkRow), []
    together: dict[str, list[NetworkRow]] = defaultdict(list)
    for part in parts:
        ships, found = _judge_part(devices, part, jobs, say)
        made.append(ships)
        for name, rows in found.items():
            file.add(rows)
            together[name] += rows
        _print_all(f"fifth {part}: {ships} devices ship", found)
        if len(made) > 1:
            _print_all(f"{len(made)} fifths, {', '.join(map(str, made))} devices ship", together)


def kept_part(network: str) -> int:
    """The fifth that a network is in."""
    return fold_of(f"kept aside {network}", KEPT_PARTS)


def _judge_part(devices: Sequence[PublicDevice], part: int, jobs: int, say: Tell) -> tuple[int, Found]:
    """How many devices ship without a fifth of the networks, and what they say of it."""
    names = {name for device in devices for name in device.table.networks}
    is_kept = {name: kept_part(name) == part for name in names}
    rest = [taken(device, ~_of(device, is_kept)) for device in devices]
    tables = [device.table for device in rest if device.networks >= LEAST_LEARNED]
    population = fit_population(tables)
    say(f"fifth {part}: learned from the rest")
    left_out = leave_out(tables, jobs, None, _FOLDS, _FAMILY_FOLDS, sums_of(rest))
    found: Found = {}
    with tempfile.TemporaryDirectory() as packs:
        outcomes = make_packs(rest, population, left_out, Path(packs))
        ships = {outcome.id for outcome in outcomes if not outcome.reasons}
        say(f"fifth {part}: {len(ships)} devices ship")
        for device in devices:
            kept = np.flatnonzero(_of(device, is_kept))
            if device.id in ships and len(kept):
                found[device.id] = list(predicted_rows(load_pack(Path(packs) / device.id).predictor, device, kept))
    return len(ships), found


def _print_all(title: str, found: Found) -> None:
    judged = [_Judged.of(rows) for rows in found.values() if len(rows) >= _LEAST_JUDGED]
    print(f"\nnetworks kept aside, {title}, {len(judged)} of them with {_LEAST_JUDGED} rows or more")
    if not judged:
        return
    everything = [row for rows in found.values() for row in rows]
    held = 100.0 * float(np.mean([row.holds for row in everything]))
    print(f"  {len(everything)} rows of all that ship: 90 % intervals hold {held:.1f} %")
    _print("all", judged)
    for table in sorted({one.table for one in judged}):
        _print(table, [one for one in judged if one.table == table])


def _print(name: str, judged: Sequence[_Judged]) -> None:
    mape = np.array([one.metrics.mape for one in judged])
    tau = np.array([one.metrics.kendall_tau for one in judged])
    coverage = np.array([one.coverage for one in judged])
    rows = np.array([one.metrics.models for one in judged])
    near = np.mean([one.metrics.within_10 >= 60 and one.within_20 >= 88 for one in judged])
    better = [np.mean([one.metrics.mape < other for one, other in zip(judged, others, strict=True)])
              for others in ([one.flops for one in judged], [one.roofline for one in judged])]  # fmt: skip
    print(
        f"  {name:24s} devices {len(judged):4d}  rows median {np.median(rows):.0f}  "
        f"MAPE median {np.median(mape):5.1f} %  near {100 * near:3.0f} %  tau median {np.median(tau):.3f}  "
        f"intervals hold {np.average(coverage, weights=rows):.1f} %, "
        f">= 75 % on {100 * np.mean(coverage >= 75):.0f} % of devices, worst {coverage.min():.0f} %  "
        f"better than FLOPs {100 * better[0]:.0f} %, roofline {100 * better[1]:.0f} %",
        flush=True,
    )


def _of(device: PublicDevice, is_kept: dict[str, bool]) -> Matrix:
    return np.array([is_kept[name] for name in device.table.networks], bool)
