"""Which of the alternatives of fusion rules the published latencies speak for.

    python benchmarks/fusion_alternatives.py nn-meter-26k SRC [--device NAME]... [--limit N] [--jobs N]

For every device, every switch of its fusion rules is set to its other value, alone; the networks are imported with the
rules so changed, and a predictor is trained from their whole times and judged on networks that it has not seen:

1. "unseen networks": a fifth of the networks, drawn at random, the same ones for all alternatives.
2. "unseen families": every family left out in one of five folds.

Printed is the mean absolute log error of the rules as they ship, and by how much each alternative changes it, with the
standard error of that difference over networks. A change larger than twice its error is marked with the verdict.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from nnmeter.fusion.loading import load_rules
from nnmeter.lab.importing.run import DATASETS, import_dataset
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.training.additive import AdditivePreset, cross_validate_additive
from nnmeter.lab.training.folds import FOLDS, family_folds
from nnmeter.lab.training.priors import launch_of, roofline_prior
from nnmeter.lab.training.table import build_table
from nnmeter.lab.training.wholes import WholeFit

PRESET = AdditivePreset(leaves=8)
ROUNDS = 300


@dataclass(frozen=True)
class Outcome:
    """Absolute log error of every network of a device, by name, as an unseen network and of an unseen family."""

    networks: dict[str, float]
    families: dict[str, float]


def judge(dataset: str, source: Path, device: str, changes: dict[str, bool], limit: int | None) -> Outcome:
    """Import with changed rules, train, and predict what was left out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "measurements.parquet"
        import_dataset(dataset, source, path, [device], parameters=changes, limit=limit)
        measurements, fingerprint = read_measurements(path)
    wholes = [m for m in measurements if m.granularity == "model"]
    table = build_table(wholes)
    measured_ms = np.array([n.latency_ms for n in table.networks])
    names = [n.name for n in table.networks]
    prior = roofline_prior(table, launch_of(fingerprint["kind"]))
    fit = WholeFit(table, prior, np.zeros(len(table.kernel)), measured_ms, True, 0)
    draw = {name: i % FOLDS for i, name in enumerate(np.random.default_rng(0).permutation(sorted(names)).tolist())}
    by_network = np.array([draw[name] for name in names])
    unseen = cross_validate_additive(fit.problem, by_network, PRESET, 0, ROUNDS, held=(0,))
    strange = cross_validate_additive(fit.problem, family_folds(table.networks, 0), PRESET, 0, ROUNDS)
    return Outcome(_errors(names, unseen.total_ms, measured_ms), _errors(names, strange.total_ms, measured_ms))


def _errors(names: list[str], predicted_ms: np.ndarray, measured_ms: np.ndarray) -> dict[str, float]:
    found = zip(names, np.abs(np.log(predicted_ms / measured_ms)).tolist(), strict=True)
    return {name: error for name, error in found if np.isfinite(error)}


def _change(base: dict[str, float], other: dict[str, float]) -> str:
    """Change of the mean error and its standard error, both in points of per cent, and the verdict."""
    common = base.keys() & other.keys()
    difference = 100 * np.array([other[name] - base[name] for name in sorted(common)])
    mean, error = float(difference.mean()), float(difference.std() / np.sqrt(len(difference)))
    verdict = "" if abs(mean) <= 2 * error else "better" if mean < 0 else "worse"
    return f"{mean:+8.3f} ± {error:.3f} {verdict:6s}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare alternatives of fusion rules on published latencies.")
    parser.add_argument("dataset", choices=sorted(DATASETS))
    parser.add_argument("source", type=Path)
    parser.add_argument("--device", action="append", default=[])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    known = import_module(DATASETS[arguments.dataset]).devices(arguments.source)
    chosen = [device for device in known if not arguments.device or device.name in arguments.device]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        jobs = {}
        for device in chosen:
            parameters = {**load_rules(device.rules).parameters, **device.parameters}
            alternatives: list[dict[str, bool]] = [
                {},
                *({name: not value} for name, value in parameters.items() if isinstance(value, bool)),
            ]
            for changes in alternatives:
                key = (device.name, *changes.items())
                jobs[key] = pool.submit(
                    judge, arguments.dataset, arguments.source, device.name, changes, arguments.limit
                )
        for device in chosen:
            base = jobs[(device.name,)].result()
            means = [100 * float(np.mean(list(errors.values()))) for errors in (base.networks, base.families)]
            print(f"\n{device.name}: mean absolute log error in per cent", flush=True)
            print(f"{'as shipped':36s} unseen networks {means[0]:8.3f}    unseen families {means[1]:8.3f}")
            for key, job in jobs.items():
                if key[0] == device.name and len(key) > 1:
                    (name, value), other = key[1], job.result()
                    found = [_change(base.networks, other.networks), _change(base.families, other.families)]
                    print(f"{f'{name} = {value}':36s} {found[0]}       {found[1]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
