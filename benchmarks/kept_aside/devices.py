"""Hardware that was kept aside with all of its settings, a sixth at a time.

5, 10 and 20 of a device's networks are given to the fit of `nnmeter calibrate`, which starts from the setting of the
same engine that has most networks; the others are predicted. The scorecard of its pack plays no part: all devices with
enough networks count, those of settings that ship are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from kept_aside.rows import HARDWARE_PARTS, DeviceRow, Rows, Tell, table_of
from nnmeter.devices.catalog import list_devices
from nnmeter.lab.training.population import DeviceTable, Matrix, Population, fit_population, predict_log_ms
from nnmeter.lab.training.population_folds import fold_of
from nnmeter.lab.training.public_packs import LEAST_LEARNED, PublicDevice
from nnmeter.lab.transfer.calibrate_work import Start, fit_near_rates

GIVEN = (5, 10, 20)
_LEAST_JUDGED = 5
_DRAWS, _SEED = 3, 0
_SHIPS = "packs that ship"
Errors = list[tuple[str, int, int, float]]  # device, networks given, draw, mean error in per cent


def judge(devices: Sequence[PublicDevice], jobs: int, folder: Path | None, say: Tell) -> None:
    """Keep hardware aside; print how its other networks are predicted, after each part what is known so far."""
    tables = [device.table for device in devices if device.networks >= LEAST_LEARNED]
    sources = {device.id: table_of(device) for device in devices}
    ships = {device.id for device in list_devices(public=True)}
    file, found = Rows(folder, "devices", DeviceRow), []
    with ProcessPoolExecutor(jobs) as pool:
        tasks = [pool.submit(_judge_part, tables, part) for part in range(HARDWARE_PARTS)]
        for number, task in enumerate(as_completed(tasks)):
            own = [
                DeviceRow(name, sources[name], name in ships, given, draw, mape)
                for name, given, draw, mape in task.result()
            ]
            file.add(own)
            found += own
            say(f"devices, {number + 1} of {HARDWARE_PARTS} parts")
            _print(found)


def _judge_part(tables: Sequence[DeviceTable], part: int) -> Errors:
    is_kept = [fold_of(table.hardware, HARDWARE_PARTS) == part for table in tables]
    rest = [table for table, kept in zip(tables, is_kept, strict=True) if not kept]
    population = fit_population(rest)
    generator = np.random.default_rng(_SEED + part)
    return [
        row
        for table, kept in zip(tables, is_kept, strict=True)
        if kept
        for row in _judge_device(table, rest, population, generator)
    ]


def _judge_device(
    table: DeviceTable, rest: Sequence[DeviceTable], population: Population, generator: np.random.Generator
) -> Iterator[tuple[str, int, int, float]]:
    starts = [Start(*population.prior(table.sort, table.engine, table.hardware))]
    relatives = [other for other in rest if other.engine == table.engine]
    if relatives:
        near = max(relatives, key=lambda other: (len(other.latency_ms), other.id))
        starts.insert(0, Start(population.devices[near.id].theta, 2.0 * population.covariance))
    names, log_ms = np.array(table.networks), np.log(table.latency_ms)
    known: Matrix = np.unique(names)
    noise = population.noise_of(table.engine)
    for given in GIVEN:
        for draw in range(_DRAWS if len(known) - given >= _LEAST_JUDGED else 0):
            drawn = np.isin(names, generator.permutation(known)[:given])
            rates = fit_near_rates(starts, table.work[drawn], log_ms[drawn], noise)
            apart = predict_log_ms(rates.theta, table.work[~drawn]) - log_ms[~drawn]
            yield table.id, given, draw, 100.0 * float(np.mean(np.abs(np.expm1(apart))))


def _print(rows: Sequence[DeviceRow]) -> None:
    print("\ndevices kept aside: error of their other networks, mean and median over devices (devices)")
    for name in ("all", _SHIPS, *sorted({row.table for row in rows})):
        own = [row for row in rows if name in ("all", row.table) or (name == _SHIPS and row.ships)]
        cells = []
        for given in GIVEN:
            by_device: dict[str, list[float]] = {}
            for row in own:
                if row.given == given:
                    by_device.setdefault(row.device, []).append(row.mape)
            means = [np.mean(values) for values in by_device.values()]
            if means:
                cells.append(f"{given}: {np.mean(means):5.1f} / {np.median(means):5.1f} % ({len(means)})")
        if cells:
            print(f"  {name:24s} {'   '.join(cells)}", flush=True)
