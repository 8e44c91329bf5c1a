"""How sure a difference is: fits the interval of a difference to pairs of measured models, and tries it on others.

    python benchmarks/compare_pairs.py            # the table of docs/compare.md
    python benchmarks/compare_pairs.py --save     # also writes nnmeter/comparison/difference.json

Rules:

1. Models were measured in one session of a device, and packs were trained on random networks only: no model here is
   known to them. Pairs are of one device:
   *variant*, two models of one family of `data/zoo`: other widths, depths, resolutions or blocks;
   *precision*, a model and its quantized or half-precision form, or two such forms of it;
   *batch*, a model at two batch sizes, made by `benchmarks/batch_sizes.py`;
   *family*, two models of different families, a fixed random selection of them.
   And of two devices: *device*, one model on both.
2. The parameters are those, of a grid, whose intervals are the narrowest in the geometric mean once `scales` make them
   hold their confidence (split conformal, as for the intervals of times). Every kind of pair counts as much as another.
   Pairs of two devices have scales of their own.
3. Left out: families are in eight groups, and a pair is predicted with parameters that were fitted without any pair of
   its families' groups. The table is of these predictions alone.
4. The sign is judged on pairs that differ by more than 3 % as measured.
5. *machine*: pairs of one family, and of two, that were measured on a machine without a pack, by the packs of two
   others. What models scatter by between machines is the least of a grid that makes 90 % intervals hold 90 % of them;
   there is one such machine, so that no other is left to try it on.
"""

from __future__ import annotations

import argparse
import json
import pickle
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import exp, hypot, log
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.comparison.difference import (
    DIFFERENCE_FILE,
    DifferenceModel,
    Errors,
    difference_interval_ms,
    errors_between,
    multipliers_of,
)
from nnmeter.devices import load_pack
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.prediction.prediction import Prediction
from nnmeter.predictor.intervals import CONFIDENCES, normal_quantile
from nnmeter.predictor.tails import probability_below

ROOT = Path(__file__).resolve().parent.parent
ZOO, QUANTIZED = ROOT / "data" / "zoo", ROOT / "data" / "zoo-quantized"
DEVICES = (
    "epyc-genoa-onnxruntime1.32-1t", "xeon-icelake-onnxruntime1.32-1t", "xeon-icelake-onnxruntime1.32-2t",
    "xeon-icelake-openvino2026.4-1t",
)  # fmt: skip
FILES = {"models": ZOO, "quantized": QUANTIZED, "batches": None}
MACHINE, MACHINE_PACKS = "epyc-f25m1-onnxruntime1.32-1t", DEVICES[:2]
OTHER_FAMILY = 300  # pairs a device
GROUPS = 8  # of families
DIFFERS = log(1.03)
GRID = {
    "rho": (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0),
    "own": (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2),
    "floor": (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08),
}
MACHINES = tuple(0.01 * n for n in range(31))


KINDS = {
    "variant": "variant: one family",
    "precision": "precision",
    "batch": "batch",
    "family": "family: two families",
    "device": "device: one model on two",
}
HEAD = """\
| pairs | count | 90 % interval holds | median | of two times | differ by > 3 % | sign right | verdict given | right |
|---|--:|--:|--:|--:|--:|--:|--:|--:|"""

PROBABILITY_HEAD = """\
| probability of the verdict | pairs | as stated | right |
|---|--:|--:|--:|"""
BINS = ((0.5, 0.7), (0.7, 0.9), (0.9, 0.95), (0.95, 0.99), (0.99, 1.01))


@dataclass(frozen=True)
class Model:
    """A model as it was measured and predicted on one device."""

    name: str
    stem: str  # of its precision and batch, what other forms of it share
    family: str
    file: str
    measured_ms: float
    prediction: Prediction


@dataclass(frozen=True)
class Pair:
    """Two models, and what their difference was and was predicted to be."""

    kind: str
    device: str
    families: tuple[str, ...]
    names: tuple[str, str]
    measured: float  # log ratio
    predicted: float
    difference_ms: tuple[float, float]  # measured, predicted
    errors: Errors
    multipliers: dict[float, float]
    first_ms: float  # predicted time of the first
    own_halves: tuple[float, float]  # of the log intervals of the two, for comparison


def models_of(device: str, pack: str | None = None) -> list[Model]:
    """The measured models of a device, each predicted with its pack."""
    predictor = LatencyPredictor(load_pack(ROOT / "predictors" / (pack or device)))
    found = []
    for file, folder in FILES.items():
        path = ROOT / "data" / device / f"{file}.parquet"
        if not path.is_file():
            continue
        for m in read_measurements(path)[0]:
            if m.granularity != "model":
                continue
            stem = m.network.partition(".")[0].partition("-batch")[0]
            source: Any = folder / f"{m.network}.onnx" if folder else _batched(m.network)
            found.append(Model(m.network, stem, _FAMILIES[stem], file, m.latency_ms, predictor.predict(source)))
    return found


def _batched(network: str) -> Any:
    import onnx
    from batch_sizes import with_batch

    stem, _, batch = network.rpartition("-batch")
    return with_batch(onnx.load(ZOO / f"{stem}.onnx", load_external_data=False), int(batch))


def _families() -> dict[str, str]:
    lines = (ZOO / "families.csv").read_text(encoding="utf-8").splitlines()[1:]
    return {name.removesuffix(".onnx"): family for name, family in (line.split(",") for line in lines)}


_FAMILIES = _families()


def pairs_of(device: str, models: Sequence[Model]) -> list[Pair]:
    """The pairs of one device (rule 1)."""
    chosen: dict[str, list[tuple[Model, Model]]] = defaultdict(list)
    for a, b in combinations(models, 2):
        kind = _kind(a, b)
        if kind:
            chosen[kind].append((a, b))
    others = sorted(chosen["family"], key=lambda pair: (pair[0].name, pair[1].name))
    random.Random(0).shuffle(others)
    chosen["family"] = others[:OTHER_FAMILY]
    return [_pair(kind, device, a, b) for kind, pairs in chosen.items() for a, b in pairs]


def _kind(a: Model, b: Model) -> str:
    files = {a.file, b.file}
    if files == {"models"}:
        return "variant" if a.family == b.family else "family"
    if files == {"batches"}:
        return "batch" if a.stem == b.stem else ""
    return "precision" if a.stem == b.stem and "batches" not in files else ""


def _pair(kind: str, device: str, a: Model, b: Model) -> Pair:
    first, second = a.prediction, b.prediction
    return Pair(
        kind,
        device,
        tuple(sorted({a.family, b.family})),
        (a.name, b.name),
        log(b.measured_ms / a.measured_ms),
        log(second.latency_ms / first.latency_ms),
        (b.measured_ms - a.measured_ms, second.latency_ms - first.latency_ms),
        errors_between(first, second),
        multipliers_of(first, second),
        first.latency_ms,
        (log(first.latency_ms / first.interval_ms.low), log(second.latency_ms / second.interval_ms.low)),
    )


class Table:
    """Pairs as arrays, so that a grid of parameters is tried in a second."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = list(pairs)
        self.error = np.array([abs(p.measured - p.predicted) for p in pairs])
        names = ("together", "apart", "short", "common", "unsampled_together", "unsampled_apart")
        self.terms = {name: np.array([getattr(p.errors, name) for p in pairs]) for name in names}
        self.multipliers = {c: np.array([p.multipliers[c] for p in pairs]) for c in CONFIDENCES}
        counts: dict[str, int] = defaultdict(int)
        for p in pairs:
            counts[p.kind] += 1
        self.weight = np.array([1.0 / counts[p.kind] for p in pairs])

    def spreads(self, rho: float, own: float, floor: float) -> np.ndarray[Any, Any]:
        """`Errors.spread` of every pair."""
        t = self.terms
        return np.sqrt(
            rho * t["together"] + (1 - rho) * t["apart"] + t["short"] + own**2 * (1 - t["common"]) + floor**2
        )

    def unsampled(self, rho: float) -> np.ndarray[Any, Any]:
        """`Errors.unsampled` of every pair."""
        return rho * self.terms["unsampled_together"] + (1 - rho) * self.terms["unsampled_apart"]

    def scale(self, confidence: float, spreads: np.ndarray[Any, Any], unsampled: np.ndarray[Any, Any]) -> float:
        """What makes intervals of these spreads hold their confidence."""
        left = np.sqrt(np.maximum(self.error**2 - (normal_quantile(confidence) * unsampled) ** 2, 0.0))
        scores = left / (self.multipliers[confidence] * spreads)
        return max(_weighted_quantile(scores, self.weight, confidence), 0.01)


def fit(pairs: Sequence[Pair]) -> DifferenceModel:
    """Rule 2."""
    table = Table([p for p in pairs if not p.errors.devices])
    best: tuple[float, tuple[float, float, float]] | None = None
    for rho, own, floor in product(*GRID.values()):
        spreads, unsampled = table.spreads(rho, own, floor), table.unsampled(rho)
        sampled = table.scale(0.9, spreads, unsampled) * table.multipliers[0.9] * spreads
        half = np.hypot(sampled, normal_quantile(0.9) * unsampled)
        width = float(np.sum(table.weight * np.log(half)))
        if best is None or width < best[0]:
            best = (width, (rho, own, floor))
    assert best is not None
    scales: list[dict[float, float]] = []
    for part in (table, Table([p for p in pairs if p.errors.devices])):
        terms = part.spreads(*best[1]), part.unsampled(best[1][0])
        scales.append({c: part.scale(c, *terms) for c in CONFIDENCES})
    rho, own, floor = best[1]
    return DifferenceModel(rho, own, floor, scales[0], scales[1], 0.0)


def with_machines(model: DifferenceModel, pairs: Sequence[Pair]) -> DifferenceModel:
    """Rule 5."""
    moved = [replace(p, errors=replace(p.errors, transferred=True)) for p in pairs]
    for machines in MACHINES:
        tried = replace(model, machines=machines)
        if np.mean([abs(p.measured - p.predicted) <= half_width(tried, p) for p in moved]) >= 0.9:
            return tried
    raise ValueError("no spread of the grid holds 90 %; widen the grid")


def _weighted_quantile(values: np.ndarray[Any, Any], weights: np.ndarray[Any, Any], share: float) -> float:
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    position = int(np.searchsorted(sums, min(share * (1 + 1 / len(values)), 1.0) * sums[-1]))
    return float(values[order][min(position, len(values) - 1)])


def across(first: str, second: str, by_device: dict[str, list[Model]]) -> list[Pair]:
    """One model on two devices."""
    others = {m.name: m for m in by_device[second]}
    return [_pair("device", f"{first}, {second}", a, others[a.name]) for a in by_device[first] if a.name in others]


def half_width(model: DifferenceModel, pair: Pair, confidence: float = 0.9) -> float:
    """Half of the interval of a pair's log ratio."""
    return pair.errors.half_width(model, confidence, pair.multipliers[confidence])


@dataclass(frozen=True)
class Outcome:
    """A pair, and half of the interval that parameters gave it which none of its families was in."""

    pair: Pair
    half: float
    halves: dict[float, float]

    @property
    def interval_ms(self) -> tuple[float, float]:
        """Of the difference in milliseconds."""
        return difference_interval_ms(self.pair.first_ms, exp(self.pair.predicted), self.half, self.pair.own_halves[0])

    @property
    def held(self) -> bool:
        """Whether the interval holds what was measured."""
        return abs(self.pair.measured - self.pair.predicted) <= self.half

    @property
    def told(self) -> bool:
        """Whether the interval says which is faster."""
        return abs(self.pair.predicted) > self.half

    @property
    def probability(self) -> float:
        """That the sign is what was predicted."""
        return probability_below(abs(self.pair.predicted), self.halves)

    @property
    def right(self) -> bool:
        """Whether the sign is that of what was measured."""
        return self.pair.measured * self.pair.predicted > 0


def outcome_of(model: DifferenceModel, pair: Pair) -> Outcome:
    """What parameters say of a pair."""
    return Outcome(pair, half_width(model, pair), {c: half_width(model, pair, c) for c in CONFIDENCES})


def leave_out(fitted: Sequence[Pair], tried: Sequence[Pair]) -> list[Outcome]:
    """Rule 3."""
    names = sorted(set(_FAMILIES.values()))
    group = {family: number % GROUPS for number, family in enumerate(names)}
    outcomes = []
    for left_out in sorted({frozenset(group[f] for f in p.families) for p in tried}, key=sorted):
        model = fit([p for p in fitted if not left_out & {group[f] for f in p.families}])
        own = [p for p in tried if {group[f] for f in p.families} == left_out]
        outcomes += [outcome_of(model, p) for p in own]
    return outcomes


def row_of(name: str, outcomes: Sequence[Outcome]) -> str:
    """A row of the table."""
    differ = [o for o in outcomes if abs(o.pair.measured) > DIFFERS]
    told = [o for o in differ if o.told]
    independent = [hypot(*o.pair.own_halves) for o in outcomes]
    cells = [
        name,
        str(len(outcomes)),
        _share([o.held for o in outcomes]),
        f"± {100 * (exp(float(np.median([o.half for o in outcomes]))) - 1):.1f} %",
        f"± {100 * (exp(float(np.median(independent))) - 1):.1f} %",
        str(len(differ)),
        _share([o.right for o in differ]),
        _share([o.told for o in differ]),
        _share([o.right for o in told]),
    ]
    return f"| {' | '.join(cells)} |"


def _share(values: Sequence[bool]) -> str:
    return f"{100 * float(np.mean(values)):.1f} %" if len(values) else ""


def main() -> None:
    """Fit, try on families left out, print."""
    parser = argparse.ArgumentParser(description="Calibrate the interval of a difference.")
    parser.add_argument("--save", action="store_true", help="write nnmeter/comparison/difference.json")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    if arguments.cache and arguments.cache.is_file():
        by_device = pickle.loads(arguments.cache.read_bytes())
    else:
        by_device = {device: models_of(device) for device in DEVICES}
        for pack in MACHINE_PACKS:
            by_device[f"{MACHINE} by {pack}"] = models_of(MACHINE, pack)
        if arguments.cache:
            arguments.cache.write_bytes(pickle.dumps(by_device))
    pairs = [p for device in DEVICES for p in pairs_of(device, by_device[device])]
    for first, second in combinations(DEVICES, 2):
        pairs += across(first, second, by_device)
    machine = []
    for pack in MACHINE_PACKS:
        machine += pairs_of(MACHINE, by_device[f"{MACHINE} by {pack}"])
    model = with_machines(fit(pairs), machine)
    outcomes = leave_out(pairs, pairs)
    print(HEAD)
    for kind, words in KINDS.items():
        print(row_of(words, [o for o in outcomes if o.pair.kind == kind]))
    for device in DEVICES:
        print(row_of(f"`{device}`", [o for o in outcomes if o.pair.device == device]))
    one = [o for o in outcomes if not o.pair.errors.devices]
    print(row_of("all of one device", one))
    print(row_of("of these, 30 % of the time in common", [o for o in one if o.pair.errors.common >= 0.3]))
    print(row_of("of these, measured within 25 %", [o for o in one if abs(o.pair.measured) < log(1.25)]))
    moved = [replace(p, errors=replace(p.errors, transferred=True)) for p in machine]
    print(row_of("machine: another than the pack's", [outcome_of(model, p) for p in moved]))
    print(f"\n{PROBABILITY_HEAD}")
    for low, high in BINS:
        own = [o for o in one if low <= o.probability < high]
        if own:
            stated = 100 * float(np.mean([o.probability for o in own]))
            bounds = f"{100 * low:g} - {min(100 * high, 100):g} %"
            print(f"| {bounds} | {len(own)} | {stated:.1f} % | {_share([o.right for o in own])} |")
    held = [low <= p.difference_ms[0] <= high for p, (low, high) in ((o.pair, o.interval_ms) for o in outcomes)]
    print(f"\nof the differences in milliseconds, 90 % intervals hold {_share(held)}")
    print(model)
    if arguments.save:
        save(model)


def save(model: DifferenceModel) -> None:
    """Write what was learnt into the package."""
    document = {
        "schema_version": 1,
        "made_with": "python benchmarks/compare_pairs.py --save",
        "rho": model.rho,
        "own": model.own,
        "floor": model.floor,
        "scales": {str(c): round(s, 4) for c, s in model.scales.items()},
        "device_scales": {str(c): round(s, 4) for c, s in model.device_scales.items()},
        "machines": round(model.machines, 2),
    }
    DIFFERENCE_FILE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
