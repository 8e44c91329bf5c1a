"""How wide the intervals of a published device must be on families that its training never saw; adds it to its pack.

    python benchmarks/shift_of_packs.py DATASETS --device adreno640gpu_tflite21 [--limit N] [--cache FILE] [--pack DIR]

DATASETS is as for `published_packs.py`. Every family of nn-Meter's networks is left out in turn of a fit to the others'
whole times (`nnmeter.lab.training.additive`), and predicted. What that shows becomes the `shift` of the pack's
intervals (`nnmeter.predictor.shift`), and DIR, a copy of the pack that ships or the pack itself, is saved with it;
prices stay as they are. `--cache` keeps what the fits found.

Then, for each family: what the others alone show of it. The shift is learned without it, its networks are at their
distance from the clusters of the others, and a line says the share of them inside of the 90 % interval without and
with the shift, and half the width of both, in per cent. (The fits that judge the others had seen the family; its own
had not.) Last, the mean half width of networks of families that stay, that of the pack's scorecard and with what the
shift adds to it: a fifth of them, drawn at random, that the shift was learned without.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nnmeter.devices import DevicePack, load_pack, save_pack
from nnmeter.devices.pack_rules import referenced_rules
from nnmeter.lab.importing.run import import_dataset
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.training.additive import AdditivePreset, cross_validate_additive
from nnmeter.lab.training.folds import FOLDS
from nnmeter.lab.training.intervals import HeldOutPrices, describe_table, row_sigmas, spreads_apart
from nnmeter.lab.training.priors import launch_of, roofline_prior
from nnmeter.lab.training.shift import BUDGET, fit_shift
from nnmeter.lab.training.table import KernelTable, build_table
from nnmeter.lab.training.wholes import WholeFit
from nnmeter.predictor.shift import Shift, growth

DATASET = "nn-meter-26k"
ROUNDS = 200
CONFIDENCE = 0.9


@dataclass
class LeftOut:
    """All networks, as predicted where their families were left out.

    Attributes:
        families: of each network.
        fold: of each, families mixed.
        described: as the pack's prices describe them [networks, dimensions].
        errors: log(measured / predicted) [networks].
        halves: half the log interval without shift, by confidence [networks].
    """

    families: np.ndarray
    fold: np.ndarray
    described: np.ndarray
    errors: np.ndarray
    halves: dict[float, np.ndarray]

    def without(self, mine: np.ndarray) -> LeftOut:
        """The networks but those of `mine`."""
        rest = ~mine
        halves = {c: half[rest] for c, half in self.halves.items()}
        return LeftOut(self.families[rest], self.fold[rest], self.described[rest], self.errors[rest], halves)


def leave_out(pack: DevicePack, measurements: list[Measurement], cache: Path | None) -> LeftOut:
    """Leave each family out and predict it."""
    table = build_table(measurements, pack.predictor.describe)
    families = np.array([n.family for n in table.networks])
    names, number = np.unique(families, return_inverse=True)
    fit = WholeFit(table, roofline_prior(table, launch_of(pack.card.kind)), np.zeros(len(table.kernel)),
                   np.array([n.latency_ms for n in table.networks]), True, 0)  # fmt: skip

    def predict() -> tuple[np.ndarray, np.ndarray]:
        preset = AdditivePreset(leaves=24)
        outcome = cross_validate_additive(fit.problem, number, preset, 0, ROUNDS, held=range(len(names)))
        return outcome.log_factor, outcome.total_ms

    factors, total_ms = _cached(cache, predict)
    latency_ms = fit.roofline_ms[table.kernel] * np.exp(factors[number[table.network], table.kernel])
    seen = _kinds_of_others(table, number)
    known = pack.predictor
    apart = HeldOutPrices(latency_ms, *row_sigmas(table, known.vocabulary, seen, known.fallback_sigma))
    count = len(table.networks)
    prices_ms = np.array([p.latency_ms for p in known.price([k for m in measurements for k in m.kernels])])
    _, halves = spreads_apart(table, replace(known.intervals, shift=None), apart)
    errors = np.log(np.array([n.latency_ms for n in table.networks]) / total_ms)
    fold = np.random.default_rng(0).permutation(count) % FOLDS
    return LeftOut(families, fold, describe_table(table, tuple(known.vocabulary), prices_ms), errors, halves)


def _cached(cache: Path | None, compute: Callable[[], tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if cache is not None and cache.is_file():
        stored = np.load(cache)
        return stored["factors"], stored["totals"]
    factors, totals = compute()
    if cache is not None:
        np.savez_compressed(cache, factors=factors, totals=totals)
    return factors, totals


def _kinds_of_others(table: KernelTable, number: np.ndarray) -> np.ndarray:
    """Whether each row's kind occurs in another family than the row's [rows]."""
    kind, family = table.kind[table.kernel], number[table.network]
    own = np.zeros((len(table.kinds), int(number.max()) + 1), bool)
    own[kind, family] = True
    return (own.sum(axis=1)[kind] - own[kind, family]) > 0


def learn(pack: DevicePack, found: LeftOut, budget: float) -> Shift:
    """The shift that all families show."""
    kinds = tuple(pack.predictor.vocabulary)
    usual = float((pack.scorecard or {})["interval_half_width"]) / 100.0
    names = found.families.tolist()
    shift = fit_shift(found.described, kinds, names, found.fold, found.errors, found.halves, usual, budget)
    if shift is None:
        raise SystemExit("too few networks or families to learn from")
    return shift


def judge(pack: DevicePack, found: LeftOut, budget: float) -> list[str]:
    """A line a family: what the others show of it."""
    lines = []
    for name in np.unique(found.families):
        mine = found.families == name
        rest = found.without(mine)
        shift = learn(pack, rest, budget)
        error, half = np.abs(found.errors[mine]), found.halves[CONFIDENCE][mine]
        wide = np.hypot(half, shift.spreads[CONFIDENCE] * growth(_distances(shift, found.described[mine])))
        inside = [100 * float((error <= h).mean()) for h in (half, wide)]
        lines.append(f"{name:14s} {mine.sum():5d}  inside {inside[0]:5.1f} -> {inside[1]:5.1f} %"
                     f"   half width {100 * half.mean():5.1f} -> {100 * wide.mean():5.1f} %")  # fmt: skip
    mine = found.fold == 0
    shift = learn(pack, found.without(mine), budget)
    usual = float((pack.scorecard or {})["interval_half_width"])
    added = 100 * shift.spreads[CONFIDENCE] * growth(_distances(shift, found.described[mine]))
    wide = float(np.hypot(usual, added).mean())
    lines.append(f"families that stay, {mine.sum()} networks: mean half width {usual:.2f} -> {wide:.2f} %")
    return lines


def _distances(shift: Shift, described: np.ndarray) -> np.ndarray:
    return np.min([cluster.distances(described) for cluster in shift.clusters], axis=0) / shift.near


def main() -> int:
    parser = argparse.ArgumentParser(description="Learn how wide intervals of unseen families must be.")
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--device", required=True, help="id of a pack of nn-Meter's devices")
    parser.add_argument("--limit", type=int, default=500, help="most networks of a family")
    parser.add_argument("--cache", type=Path, help="keeps what the fits found")
    parser.add_argument("--measurements", type=Path, help="networks that were imported already")
    parser.add_argument("--budget", type=float, default=BUDGET, help="growth of seen families' intervals")
    parser.add_argument("--pack", type=Path, help="pack to save with the shift")
    arguments = parser.parse_args()
    pack = load_pack(arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.measurements
        if path is None:
            path = Path(folder) / "all.parquet"
            import_dataset(DATASET, arguments.datasets / DATASET, path, [arguments.device], limit=arguments.limit)
        measurements, _ = read_measurements(path)
    found = leave_out(pack, measurements, arguments.cache)
    print(f"{arguments.device}: {len(measurements)} networks; without -> with the shift")
    print("\n".join(judge(pack, found, arguments.budget)))
    shift = learn(pack, found, arguments.budget)
    spreads = ", ".join(f"{100 * c:g} % {spread:.3f}" for c, spread in shift.spreads.items())
    print(f"shift: {len(shift.clusters)} clusters, near {shift.near:.3f}, spreads {spreads}")
    if arguments.pack is not None:
        known = pack.predictor
        predictor = replace(known, intervals=replace(known.intervals, shift=shift))
        rules = pack.rules_source
        document = referenced_rules(rules.name, rules.parameters, rules.trained_with)
        save_pack(arguments.pack, pack.card, document, predictor, pack.scorecard)
    return 0


if __name__ == "__main__":
    sys.exit(main())
