"""Networks with attention or normalization of rows, on hardware that was seen with convolutional networks alone.

A softmax makes no transformer: classifiers end in one.
On a sixth of the hardware at a time all such networks are kept aside; what they do there is told by convolutional
networks of that hardware, and by all networks of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from kept_aside.rows import HARDWARE_PARTS, NetworkRow, Rows, Tell, predicted_rows, taken
from nnmeter.lab.training.population import COLUMNS, DeviceRates, DeviceTable, Matrix, fit_population, predict_log_ms
from nnmeter.lab.training.population_folds import fold_of
from nnmeter.lab.training.public_packs import LEAST_LEARNED, PublicDevice
from nnmeter.lab.training.work_predictor import Errors, make_predictor
from nnmeter.predictor.kernel_predictor import KernelPredictor

_ATTENTION = [
    place
    for place, name in enumerate(COLUMNS)
    if name.partition(".")[0] in ("layer_norm", "attention", "batched") and name.endswith(".launch")
]


def judge(devices: Sequence[PublicDevice], jobs: int, folder: Path | None, say: Tell) -> None:
    """Keep transformers aside; print how they are predicted, after each part what is known so far."""
    known = {device.id: device for device in devices if device.networks >= LEAST_LEARNED}
    tables = [device.table for device in known.values()]
    file, found = Rows(folder, "transformers", NetworkRow), []
    with ProcessPoolExecutor(jobs) as pool:
        tasks = [pool.submit(_learn_part, tables, part) for part in range(HARDWARE_PARTS)]
        for number, task in enumerate(as_completed(tasks)):
            for name, rates in task.result().items():
                device = known[name]
                attends = _attends(device.table)
                predictor = _pack_of(taken(device, ~attends), rates)
                own = list(predicted_rows(predictor, device, np.flatnonzero(attends)))
                file.add(own)
                found += own
            say(f"transformers, {number + 1} of {HARDWARE_PARTS} parts")
            _print(found)


def _attends(table: DeviceTable) -> Matrix:
    """Which of a device's networks are transformers."""
    found: Matrix = np.any(table.work[:, _ATTENTION] > 0, axis=1)
    return found


def _learn_part(tables: Sequence[DeviceTable], part: int) -> dict[str, DeviceRates]:
    """Rates of devices whose transformers were kept aside."""
    rest, kept = [], []
    for table in tables:
        attends = _attends(table)
        apart = fold_of(table.hardware, HARDWARE_PARTS) == part and attends.any()
        if apart and np.count_nonzero(~attends) >= LEAST_LEARNED:
            rest.append(table.taken(~attends))
            kept.append(table.id)
        elif not apart:
            rest.append(table)
    population = fit_population(rest)
    return {name: population.devices[name] for name in kept}


def _pack_of(device: PublicDevice, rates: DeviceRates) -> KernelPredictor:
    """The predictor of a device, with intervals from the errors of its fit."""
    errors = np.log(device.table.latency_ms) - predict_log_ms(rates.theta, device.table.work)
    return make_predictor(rates, device.works, device.table.latency_ms, Errors(errors, np.full(len(errors), np.nan)))


def _print(rows: Sequence[NetworkRow]) -> None:
    if not rows:
        return
    print("\ntransformers of hardware that was seen with convolutional networks alone")
    for name in ("all", *sorted({row.table for row in rows})):
        own = [row for row in rows if name in ("all", row.table)]
        errors = np.array([abs(row.predicted / row.measured - 1.0) for row in own])
        widths = np.array([row.high / row.low for row in own])
        devices = len({row.device for row in own})
        print(
            f"  {name:24s} rows {len(own):5d} of {devices:3d} devices  error median {100 * np.median(errors):4.0f} %, "
            f"mean {100 * np.mean(errors):4.0f} %  90 % intervals hold "
            f"{100 * np.mean([row.holds for row in own]):3.0f} %, high / low {np.median(widths):.1f}",
            flush=True,
        )
