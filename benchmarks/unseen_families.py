"""How good the pack of a published device would be on families of networks that its training never saw.

    python benchmarks/unseen_families.py DATASETS --device cortexA76cpu_tflite21 [--jobs N] [--limit N] [--not NAME]

DATASETS is as for `published_packs.py`. Every family of nn-Meter's networks is left out in turn; a predictor is trained
on the others and predicts all networks of the family. Then it is calibrated on 20 of them, drawn at random, as
`nnmeter calibrate` does, and predicts the rest. A line a family: share within ±5 and ±10 %, share of networks inside of
the 90 % interval, kernel types of the family that no other family has, and their share of the predicted time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from nnmeter.devices import DevicePack
from nnmeter.fusion.loading import load_rules
from nnmeter.lab.evaluation.evaluate import evaluate_pack
from nnmeter.lab.evaluation.scorecard import Scorecard
from nnmeter.lab.importing.nn_meter_26k import devices
from nnmeter.lab.importing.run import import_dataset
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import read_measurements, write_measurements
from nnmeter.lab.training.build import build_pack
from nnmeter.lab.transfer.calibrate import calibrate_pack

DATASET = "nn-meter-26k"
CALIBRATED_ON = 20


def leave_out(path: Path, family: str) -> tuple[str, float, float]:
    """Leave one family out; a line, and the shares within ±10 % without and with calibration."""
    measurements, fingerprint = read_measurements(path)
    rest = [m for m in measurements if m.family != family]
    own = [m for m in measurements if m.family == family]
    few = set(np.random.default_rng(0).permutation([m.network for m in own])[:CALIBRATED_ON].tolist())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_measurements(folder / "rest.parquet", rest, fingerprint)
        write_measurements(folder / "few.parquet", [m for m in own if m.network in few], fingerprint)
        pack = build_pack([folder / "rest.parquet"], folder / "pack", device_id="left-out")
        before = evaluate_pack(pack, own)
        calibrated, _ = calibrate_pack(pack, [folder / "few.parquet"], folder / "calibrated", repeats=0)
        after = evaluate_pack(calibrated, [m for m in own if m.network not in few])
    line = f"{family:14s} {before.overall.models:5d}  {_figures(before)}   {_figures(after)}   {_strange(pack, own)}"
    return line, before.overall.within_10, after.overall.within_10


def _figures(card: Scorecard) -> str:
    overall = card.overall
    return f"{overall.within_5:5.1f} {overall.within_10:5.1f} {overall.bias:+6.1f} {card.interval_coverage:5.1f}"


def _strange(pack: DevicePack, own: list[Measurement]) -> str:
    """Operators that the training did not have, with their share of the predicted time."""
    shares: dict[str, float] = {}
    total = 0.0
    for measurement in own:
        for price, kernel in zip(pack.predictor.price_network(measurement.kernels), measurement.kernels, strict=True):
            total += price.latency_ms
            if price.source == "fallback":
                shares[kernel.type] = shares.get(kernel.type, 0.0) + price.latency_ms
    return ", ".join(f"{t} {100 * ms / total:.1f} %" for t, ms in sorted(shares.items())) or "none"


def main() -> int:
    parser = argparse.ArgumentParser(description="Leave families of networks out of the training of a pack.")
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--device", required=True)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--limit", type=int, help="most networks of a family")
    parser.add_argument(
        "--not", dest="flipped", action="append", default=[], help="a switch of the fusion rules to flip"
    )
    arguments = parser.parse_args()
    rules = next(d.rules for d in devices(arguments.datasets / DATASET) if d.name == arguments.device)
    parameters = {name: not load_rules(rules).parameters[name] for name in arguments.flipped}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all.parquet"
        import_dataset(
            DATASET,
            arguments.datasets / DATASET,
            path,
            [arguments.device],
            parameters=parameters,
            limit=arguments.limit,
        )
        families = sorted({m.family for m in read_measurements(path)[0]})
        print(
            f"{arguments.device}: family left out, networks; ±5 %, ±10 %, bias, inside of the interval; the same after"
        )
        print(f"calibration with {CALIBRATED_ON} networks of the family; operators that no other family has")
        with ProcessPoolExecutor(arguments.jobs) as pool:
            found = [job.result() for job in [pool.submit(leave_out, path, family) for family in families]]
    for line, _, _ in found:
        print(line, flush=True)
    means = np.array([numbers for _, *numbers in found]).mean(axis=0)
    print(f"mean over families within ±10 %: {means[0]:.1f}; calibrated: {means[1]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
