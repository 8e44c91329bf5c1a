"""Networks with attention or normalization of rows, on devices that were seen with convolutional networks alone.

A softmax makes no transformer: classifiers end in one. What such networks do on a device is told by its convolutional
networks, and by all networks of other devices. Two ways of keeping them aside:

1. "hardware": on a sixth of the hardware at a time. Other hardware may have been seen with transformers in the same
   runtime, as a device has whose table lacks them by chance.
2. "runtime": in all runtimes of one maker at a time, on all devices. No device was seen with transformers in such a
   runtime, as none of the packs of TensorFlow Lite and Arm NN has been. This is the harder one, and the one that
   intervals must hold in.

Intervals are of a pack made from the convolutional networks, but for the spread of these, which is that of the fit and
not of networks left out: it is somewhat too narrow, and matters little beside what was not sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from kept_aside.rows import HARDWARE_PARTS, NetworkRow, Rows, Tell, predicted_rows, taken
from nnmeter.lab.training.population import COLUMNS, DeviceRates, DeviceTable, Matrix, fit_population, predict_log_ms
from nnmeter.lab.training.population_folds import ROUNDS, fold_of
from nnmeter.lab.training.public_packs import LEAST_LEARNED, PublicDevice
from nnmeter.lab.training.work_predictor import Errors, make_predictor
from nnmeter.predictor.kernel_predictor import KernelPredictor

_ATTENTION = [
    place
    for place, name in enumerate(COLUMNS)
    if name.partition(".")[0] in ("layer_norm", "attention", "batched") and name.endswith(".launch")
]


def judge(devices: Sequence[PublicDevice], jobs: int, folder: Path | None, say: Tell) -> None:
    """Keep transformers aside in both ways; print how they are predicted, after each part what is known so far."""
    known = {device.id: device for device in devices if device.networks >= LEAST_LEARNED}
    tables = [device.table for device in known.values()]
    groups = {device.id: f"{device.fingerprint['place']} {device.fingerprint['kind']}" for device in devices}
    for way, part_of in (("runtime", _maker), ("hardware", _sixth)):
        parts = sorted({part_of(table) for table in tables if attends(table).any()})
        file, found = Rows(folder, f"transformers-{way}", NetworkRow), []
        with ProcessPoolExecutor(jobs) as pool:
            tasks = [pool.submit(learn_without, tables, part_of, part) for part in parts]
            for number, task in enumerate(as_completed(tasks)):
                for name, rates in task.result().items():
                    device = known[name]
                    attending = attends(device.table)
                    predictor = _pack_of(taken(device, ~attending), rates)
                    own = list(predicted_rows(predictor, device, np.flatnonzero(attending)))
                    file.add(own)
                    found += own
                say(f"transformers by {way}, {number + 1} of {len(parts)} parts")
        _print(way, found, groups)


def attends(table: DeviceTable) -> Matrix:
    """Which of a device's networks are transformers."""
    found: Matrix = np.any(table.work[:, _ATTENTION] > 0, axis=1)
    return found


def _sixth(table: DeviceTable) -> str:
    return str(fold_of(table.hardware, HARDWARE_PARTS))


def _maker(table: DeviceTable) -> str:
    """Who made the runtime of a device: `ncnn` of `cpu float32 ncnn` and of `gpu float32 ncnn-vulkan`."""
    runtime = table.engine.removeprefix(table.sort).strip()
    return "qnn" if "qnn" in runtime else runtime.partition("-")[0]


def learn_without(
    tables: Sequence[DeviceTable], part_of: Callable[[DeviceTable], str], part: str
) -> dict[str, DeviceRates]:
    """Rates of the devices of a part that have both sorts of networks, learned without any transformer of the part."""
    rest, kept = [], []
    for table in tables:
        attending = attends(table)
        apart = part_of(table) == part and attending.any()
        if apart and np.count_nonzero(~attending) >= LEAST_LEARNED:
            rest.append(table.taken(~attending))
            kept.append(table.id)
        elif not apart:
            rest.append(table)
    population = fit_population(rest, ROUNDS)
    return {name: population.devices[name] for name in kept}


def _pack_of(device: PublicDevice, rates: DeviceRates) -> KernelPredictor:
    """The predictor of a device, with intervals from the errors of its fit."""
    table = device.table
    errors = np.log(table.latency_ms) - predict_log_ms(rates.theta, table.work)
    left_out = Errors(errors, np.full(len(errors), np.nan))
    return make_predictor(rates, device.works, table.latency_ms, left_out, str(device.fingerprint["kind"]))


def _print(way: str, rows: Sequence[NetworkRow], groups: dict[str, str]) -> None:
    """Figures of rows, each device with the same weight: medians over a device's rows, then over devices."""
    print(f"\ntransformers kept aside by {way}; errors are medians over the networks of a device, then over devices")
    for name in ("all", *sorted({groups[row.device] for row in rows}), *sorted({f"table {row.table}" for row in rows})):
        by_device: dict[str, list[NetworkRow]] = {}
        for row in rows:
            if name in ("all", groups[row.device], f"table {row.table}"):
                by_device.setdefault(row.device, []).append(row)
        held = [np.mean([row.holds for row in own]) for own in by_device.values()]
        widths = [np.median([row.high / row.low for row in own]) for own in by_device.values()]
        errors = [
            np.median([np.median([_apart(row, of) for row in own]) for own in by_device.values()])
            for of in ("predicted", "flops", "roofline")
        ]
        print(
            f"  {name:24s} rows {sum(map(len, by_device.values())):5d} of {len(by_device):3d} devices  "
            f"error {errors[0]:5.0f} % (FLOPs {errors[1]:.0f} %, roofline {errors[2]:.0f} %)  "
            f"90 % intervals hold {100 * np.mean(held):3.0f} %, high / low {np.median(widths):.1f}",
            flush=True,
        )


def _apart(row: NetworkRow, of: str) -> float:
    """By how much a figure is off, in per cent of the smaller: half is as far off as double."""
    value: float = getattr(row, of)
    return 100.0 * float(np.expm1(abs(np.log(value / row.measured))))
