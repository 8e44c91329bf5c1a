"""Whether trees tell devices of many networks better than rates by sorts of work do.

    python benchmarks/public_additive.py TABLES [--least N] [--device NAME]... [--rounds N]... [--jobs N]

For devices with N networks or more (50 if not given). A fifth of the networks is kept aside on all devices, the one
that `public_kept_aside.py` keeps aside first; what is learned from the others predicts it:

1. "rates": the model of all devices (`nnmeter/lab/training/population.py`), as packs of published tables have it.
2. "trees": additive boosting of the device's own networks from a roofline (`additive.py`), as `nnmeter train` does.
3. "both": additive boosting that begins with the prices of 1 (`work_trees.py`), for each number of rounds.

The rounds of 2 are chosen on a fifth of the networks that are learned from. Printed for each: ±5, ±10 and ±20 %,
MAPE and tau of the networks that were kept aside; and how many of the devices each is best on by MAPE.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from kept_aside.networks import kept_part
from public_tables import public_devices

from nnmeter.lab.evaluation.metrics import compute_metrics
from nnmeter.lab.training.additive import AdditivePreset, cross_validate_additive
from nnmeter.lab.training.population import DeviceRates, Matrix, fit_population, predict_log_ms
from nnmeter.lab.training.population_folds import parts_of
from nnmeter.lab.training.priors import launch_of, roofline_prior
from nnmeter.lab.training.public_packs import LEAST_LEARNED, PublicDevice
from nnmeter.lab.training.table import build_table
from nnmeter.lab.training.wholes import WholeFit
from nnmeter.lab.training.work_trees import LEAST_BOOSTED, PRESET, describe_sums, predict_left_out

FROM_ROOFLINE = AdditivePreset(leaves=8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--least", type=int, default=LEAST_BOOSTED)
    parser.add_argument("--device", action="append", default=[])
    parser.add_argument("--rounds", action="append", type=int, default=[])
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    devices, _ = public_devices(arguments.tables)
    rates = learned_rates(devices)
    chosen = [
        device
        for device in devices
        if device.networks >= arguments.least and (not arguments.device or device.id in arguments.device)
    ]
    best: Counter[str] = Counter()
    one = partial(judge, rounds=arguments.rounds or [PRESET.rounds])
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for device, errors in pool.map(one, chosen, [rates[device.id] for device in chosen]):
            best[min(errors, key=lambda way: errors[way])] += 1
            print(device, flush=True)
    print("best: " + ", ".join(f"{way} on {count} devices" for way, count in best.most_common()))
    return 0


def learned_rates(devices: Sequence[PublicDevice]) -> dict[str, DeviceRates]:
    """The rates of all devices, learned without what is kept aside."""
    tables = [device.table.taken(~kept_rows(device)) for device in devices]
    population = fit_population([table for table in tables if len(set(table.networks)) >= LEAST_LEARNED])
    return dict(population.devices)


def kept_rows(device: PublicDevice) -> Matrix:
    """Which rows of a device are kept aside."""
    return np.array([kept_part(name) == 0 for name in device.table.networks], bool)


def judge(device: PublicDevice, rates: DeviceRates, rounds: Sequence[int]) -> tuple[str, dict[str, float]]:
    """What is printed of a device, and the MAPE of each way."""
    kept = kept_rows(device)
    lines, errors = [f"\n{device.id}: {np.count_nonzero(~kept)} networks, {np.count_nonzero(kept)} kept aside"], {}
    measured = device.table.latency_ms[kept]
    for way, predicted in predictions(device, rates, kept, rounds):
        found = compute_metrics(predicted.tolist(), measured.tolist())
        within_20 = 100.0 * float(np.mean(np.abs(predicted / measured - 1.0) <= 0.2))
        errors[way] = found.mape
        lines.append(
            f"  {way:9s} ±5 {found.within_5:5.1f}  ±10 {found.within_10:5.1f}  ±20 {within_20:5.1f}  "
            f"MAPE {found.mape:5.2f} %  tau {found.kendall_tau:.3f}"
        )
    return "\n".join(lines), errors


def predictions(
    device: PublicDevice, rates: DeviceRates, kept: Matrix, rounds: Sequence[int]
) -> Iterator[tuple[str, Matrix]]:
    """Milliseconds of what was kept aside, in each way."""
    yield "rates", np.exp(predict_log_ms(rates.theta, device.table.work[kept]))
    yield "trees", _by_trees(device, kept)
    sums = describe_sums(device.measurements)
    for count in rounds:
        yield f"both {count}", np.exp(predict_left_out(sums, rates.theta, kept, replace(PRESET, rounds=count)))


def _by_trees(device: PublicDevice, kept: Matrix) -> Matrix:
    table = build_table(device.measurements)
    learned = build_table([m for m, aside in zip(device.measurements, kept, strict=True) if not aside])
    prior = roofline_prior(learned, launch_of(str(device.fingerprint["kind"])))
    problem = WholeFit(table, prior, np.zeros(len(table.kernel)), device.table.latency_ms, True, 0).problem
    own = replace(
        problem, weight=np.where(kept, 0.0, problem.weight), judged_ms=np.where(kept, np.nan, problem.judged_ms)
    )
    fold = np.where(kept, -1, parts_of(device.table.networks, 5))
    rounds = cross_validate_additive(own, fold, FROM_ROOFLINE, 0, held=(0,)).rounds
    found = cross_validate_additive(problem, np.where(kept, 0, 1), FROM_ROOFLINE, 0, rounds, held=(0,))
    return found.total_ms[kept]


if __name__ == "__main__":
    sys.exit(main())
