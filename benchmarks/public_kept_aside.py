"""How good packs of published tables are on networks, devices and transformers that were kept aside.

    python benchmarks/public_kept_aside.py TABLES [--part networks|devices|transformers]... [--only SOURCE]...

Parts:

1. `networks`: a fifth of all networks is kept aside on every device, under any batch. All of the rest is done without
   them: the model of all devices, the scorecards, and the choice of what ships. The packs that ship are then asked.
2. `devices`: hardware is kept aside with all of its settings, a sixth at a time. 5, 10 and 20 of its networks are given
   to the fit of `nnmeter calibrate`, which starts from the setting of the same engine that has most networks; the
   others are predicted. Its pack's scorecard plays no part: all devices with enough networks count, those of settings
   that ship are told apart.
3. `transformers`: on a sixth of the hardware at a time all networks with attention or normalization of rows are kept
   aside; what they do there is told by convolutional networks of that hardware, and by all networks of the others.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nnmeter.devices.catalog import list_devices, load_pack
from nnmeter.lab.evaluation.metrics import Metrics, compute_metrics
from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.public_networks.importer import devices as devices_of
from nnmeter.lab.importing.public_networks.importer import import_measurements
from nnmeter.lab.training.population import COLUMNS, Matrix, Population, fit_population, predict_log_ms
from nnmeter.lab.training.population_folds import fold_of, leave_out
from nnmeter.lab.training.public_packs import LEAST_LEARNED, PublicDevice, describe_devices, make_packs
from nnmeter.lab.training.work_predictor import Errors, make_predictor
from nnmeter.lab.transfer.calibrate_work import Start, fit_near_rates
from nnmeter.predictor.kernel_predictor import KernelPredictor

GIVEN = (5, 10, 20)
_KEPT_PARTS, _HARDWARE_PARTS = 5, 6
_LEAST_JUDGED = 5
_DRAWS, _SEED = 3, 0
_SHIPS = "packs that ship"
_ATTENTION = [
    place
    for place, name in enumerate(COLUMNS)
    if name.partition(".")[0] in ("layer_norm", "attention", "batched", "softmax") and name.endswith(".launch")
]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Judged:
    """One device on networks that were kept aside; shares in per cent."""

    device: PublicDevice
    metrics: Metrics
    within_20: float
    coverage: float
    others: dict[str, float]  # mean error of baselines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--part", action="append", choices=list(PARTS), default=[])
    parser.add_argument("--only", action="append", default=[], help="a table, without .csv.gz; repeatable")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    start = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {line}", file=sys.stderr, flush=True)

    known = devices_of(arguments.tables)
    chosen = [d for d in known if not arguments.only or d.facts["table"]["source"] in arguments.only]
    devices = describe_devices(import_measurements(arguments.tables, chosen, Detection(chosen)))
    say(f"{len(devices)} devices")
    for part in arguments.part or PARTS:
        PARTS[part](devices, arguments.jobs, say)
    return 0


def judge_networks(devices: Sequence[PublicDevice], jobs: int, say: Tell) -> None:
    """Part 1."""
    is_kept = {
        name: fold_of(f"kept aside {name}", _KEPT_PARTS) == 0 for device in devices for name in device.table.networks
    }
    rest = [taken(device, ~_of(device, is_kept)) for device in devices]
    tables = [device.table for device in rest if device.networks >= LEAST_LEARNED]
    population = fit_population(tables)
    say("learned from the rest")
    left_out = leave_out(tables, jobs, say)
    judged = []
    with tempfile.TemporaryDirectory() as folder:
        outcomes = make_packs(rest, population, left_out, Path(folder))
        ships = {outcome.id for outcome in outcomes if not outcome.reasons}
        say(f"{len(ships)} devices ship")
        for device in devices:
            rows = np.flatnonzero(_of(device, is_kept))
            if device.id in ships and len(rows) >= _LEAST_JUDGED:
                judged.append(_judge(device, rows, load_pack(Path(folder) / device.id).predictor))
    print(f"\nnetworks kept aside: {len(ships)} devices ship, {len(judged)} of them with {_LEAST_JUDGED} rows or more")
    _print_judged("all", judged)
    for table in sorted({_table_of(j.device) for j in judged}):
        _print_judged(table, [j for j in judged if _table_of(j.device) == table])


def _judge(device: PublicDevice, rows: Matrix, predictor: KernelPredictor) -> Judged:
    measured = device.table.latency_ms[rows]
    predicted, low, high = (np.array(v) for v in zip(*_predictions(predictor, device, rows), strict=True))
    others: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        work = device.works[row]
        assert predictor.baselines is not None
        for name, ms in predictor.baselines.predict_ms(work.costs, work.item_bits, predictor.roofline).items():
            others[name].append(ms)
    return Judged(
        device,
        compute_metrics(predicted.tolist(), measured.tolist()),
        100.0 * float(np.mean(np.abs(predicted / measured - 1.0) <= 0.2)),
        100.0 * float(np.mean((low <= measured) & (measured <= high))),
        {name: compute_metrics(values, measured.tolist()).mape for name, values in others.items()},
    )


def _predictions(
    predictor: KernelPredictor, device: PublicDevice, rows: Matrix
) -> Iterator[tuple[float, float, float]]:
    """Milliseconds and 90 % interval of networks."""
    for row in rows:
        prices = predictor.price(device.measurements[row].kernels)
        total = sum(price.latency_ms for price in prices) + predictor.overhead_ms
        yield (total, *predictor.intervals.interval_ms(total, prices, 0.9))


def _print_judged(name: str, judged: Sequence[Judged]) -> None:
    if not judged:
        return
    mape, tau, coverage = (
        np.array(v) for v in zip(*((j.metrics.mape, j.metrics.kendall_tau, j.coverage) for j in judged), strict=True)
    )
    near = np.mean([j.metrics.within_10 >= 60 and j.within_20 >= 88 for j in judged])
    rows = np.array([j.metrics.models for j in judged])
    better = [np.mean([j.metrics.mape < j.others[other] for j in judged]) for other in ("flops", "roofline")]
    print(
        f"  {name:24s} devices {len(judged):4d}  MAPE median {np.median(mape):5.1f} %  near {100 * near:3.0f} %  "
        f"tau median {np.median(tau):.3f}  intervals hold {np.average(coverage, weights=rows):.1f} %, worst "
        f"device {coverage.min():.0f} %  better than FLOPs {100 * better[0]:.0f} %, roofline {100 * better[1]:.0f} %"
    )


def judge_devices(devices: Sequence[PublicDevice], jobs: int, say: Tell) -> None:
    """Part 2."""
    errors: dict[int, dict[str, float]] = {given: {} for given in GIVEN}
    tables = {device.id: device.table for device in devices if device.networks >= LEAST_LEARNED}
    generator = np.random.default_rng(_SEED)
    for part in range(_HARDWARE_PARTS):
        rest = [t for t in tables.values() if fold_of(t.hardware, _HARDWARE_PARTS) != part]
        population = fit_population(rest)
        for device in devices:
            table = tables.get(device.id)
            if table is None or fold_of(table.hardware, _HARDWARE_PARTS) != part:
                continue
            relatives = [t for t in rest if t.engine == table.engine]
            starts = [Start(*population.prior(table.sort, table.engine, table.hardware))]
            if relatives:
                near = max(relatives, key=lambda t: (len(t.latency_ms), t.id))
                starts.insert(0, Start(population.devices[near.id].theta, 2.0 * population.covariance))
            names, log_ms = np.array(table.networks), np.log(table.latency_ms)
            for given in GIVEN:
                if device.networks - given < _LEAST_JUDGED:
                    continue
                found = []
                for _ in range(_DRAWS):
                    drawn = np.isin(names, generator.permutation(np.unique(names))[:given])
                    rates = fit_near_rates(starts, table.work[drawn], log_ms[drawn], population.noise_of(table.engine))
                    apart = predict_log_ms(rates.theta, table.work[~drawn]) - log_ms[~drawn]
                    found.append(100.0 * float(np.mean(np.abs(np.expm1(apart)))))
                errors[given][device.id] = float(np.mean(found))
        say(f"devices, part {part + 1} of {_HARDWARE_PARTS}")
    sources = {device.id: _table_of(device) for device in devices}
    ships = {device.id for device in list_devices(public=True)}
    print("\ndevices kept aside: mean error of their other networks, mean and median over devices")
    for source in ("all", _SHIPS, *sorted(set(sources.values()))):
        own = {
            g: [v for name, v in e.items() if source in ("all", sources[name]) or (source == _SHIPS and name in ships)]
            for g, e in errors.items()
        }
        cells = [f"{g}: {np.mean(v):5.1f} / {np.median(v):5.1f} % ({len(v)})" for g, v in own.items() if v]
        if cells:
            print(f"  {source:24s} {'   '.join(cells)}")


def judge_transformers(devices: Sequence[PublicDevice], jobs: int, say: Tell) -> None:
    """Part 3."""
    known = [device for device in devices if device.networks >= LEAST_LEARNED]
    attends: dict[str, Matrix] = {d.id: np.any(d.table.work[:, _ATTENTION] > 0, axis=1) for d in known}
    found: dict[str, list[tuple[float, float, bool]]] = defaultdict(list)
    for part in range(_HARDWARE_PARTS):
        kept = [d for d in known if fold_of(d.table.hardware, _HARDWARE_PARTS) == part and attends[d.id].any()]
        kept = [d for d in kept if np.count_nonzero(~attends[d.id]) >= LEAST_LEARNED]
        names = {d.id for d in kept}
        rest = {d.id: taken(d, ~attends[d.id]) if d.id in names else d for d in known}
        population = fit_population([d.table for d in rest.values()])
        for device in kept:
            predictor = _pack_of(rest[device.id], population)
            rows = np.flatnonzero(attends[device.id])
            measured = device.table.latency_ms[rows]
            for ms, (total, low, high) in zip(measured, _predictions(predictor, device, rows), strict=True):
                found[_table_of(device)].append((abs(total / ms - 1.0), high / low, low <= ms <= high))
        say(f"transformers, part {part + 1} of {_HARDWARE_PARTS}")
    print("\ntransformers of hardware that was seen with convolutional networks alone")
    for table, rows_found in sorted(found.items()):
        errors, widths, held = (np.array(v) for v in zip(*rows_found, strict=True))
        print(
            f"  {table:24s} rows {len(errors):5d}  error median {100 * np.median(errors):4.0f} %, "
            f"mean {100 * np.mean(errors):4.0f} %  90 % intervals hold {100 * np.mean(held):3.0f} %, "
            f"high / low {np.median(widths):.1f}"
        )


def _pack_of(device: PublicDevice, population: Population) -> KernelPredictor:
    """The predictor of a device, with intervals from the errors of its fit as of two networks' worth more noise."""
    rates = population.devices[device.id]
    errors = np.log(device.table.latency_ms) - predict_log_ms(rates.theta, device.table.work)
    return make_predictor(rates, device.works, device.table.latency_ms, Errors(errors, np.full(len(errors), np.nan)))


def taken(device: PublicDevice, rows: Matrix) -> PublicDevice:
    """A device with some of its networks."""
    places = np.flatnonzero(rows)
    return replace(
        device,
        measurements=tuple(device.measurements[i] for i in places),
        works=tuple(device.works[i] for i in places),
        table=device.table.taken(places),
    )


def _of(device: PublicDevice, is_kept: dict[str, bool]) -> Matrix:
    return np.array([is_kept[name] for name in device.table.networks], bool)


def _table_of(device: PublicDevice) -> str:
    return str(device.fingerprint["table"]["source"])


PARTS = {"networks": judge_networks, "devices": judge_devices, "transformers": judge_transformers}

if __name__ == "__main__":
    sys.exit(main())
