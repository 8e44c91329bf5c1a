"""How far a pack's times are from those of another machine: what an interval says of a machine that no pack is of.

    python benchmarks/machine_transfer.py                         # learns, and tries it on machines left out
    python benchmarks/machine_transfer.py --machine zen3.parquet  # with one more, of `nnmeter measure data/zoo`
    python benchmarks/machine_transfer.py --save                  # writes nnmeter/devices/transfer.json
    python benchmarks/machine_transfer.py --curves                # what few measured models of a machine give

Rules:

1. A pack's predictions on the zoo as it was measured on another machine (all of `data`) give
   log(measured / predicted) of each model, in real milliseconds of that machine. Their median is the ratio of the
   machines, what is left the *spread* of models.
2. Machines of one kind have one place each on a logarithmic scale of time, by least squares from all ratios of packs to
   machines; places scatter with a standard deviation `sigma`, which is pooled over the kinds: server cores, and the
   large cores of phones, of which five more packs tell. Freedom is the number of machines less one for each kind.
3. A phone's times were published and do not ship; its pack's predictions stand for them, on models that both packs of a
   pair price with trained predictors. Their scatter of models is that of two packs, used only where no other is left.
4. The log ratio of a new machine to a pack's is then Student's, of scale `sqrt(2) sigma`; half an interval is its
   quantile and that of the models' spread, in squares.
5. Where there are two machines or more of two widths of vector instructions, the ratio may have a shift by width: it is
   taken if it predicts machines left out better than none.
6. Left out: each machine in turn, all of 2 to 5 learnt from the others; then every pack of its kind predicts it.
7. `--curves`: shares within ±5 and ±10 %, and mean error, with 0, 5, 10 and 20 models of each server that were
   measured, drawn at random 8 times: `nnmeter calibrate` from each pack of another machine, and from all mixed. With 0,
   what the reference product of both alone would give beside it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.devices import list_devices, load_pack
from nnmeter.devices.identity import Verdict, match_measurements
from nnmeter.devices.machine import VECTOR_BITS
from nnmeter.devices.nearest import is_candidate
from nnmeter.devices.transfer import TRANSFER_FILE
from nnmeter.lab.evaluation.metrics import Metrics, compute_metrics
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.training.build import mix_packs, mixture_id
from nnmeter.lab.transfer.curve import learning_curve
from nnmeter.lab.transfer.problem import pose_problem
from nnmeter.prediction.predict import LatencyPredictor, predict_on

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "onnxruntime"  # with one thread
CURVES = ("epyc-genoa-onnxruntime1.32-1t", "xeon-icelake-onnxruntime1.32-1t")
CONFIDENCES = (0.5, 0.8, 0.9, 0.95)
# The Helio P35 (Galaxy A03s) is left out: it has small in-order cores only, as no server has; it is 6 times slower than
# a Pixel 4, and with it sigma would be 0.78 in place of 0.49, and 85.7 % of 34 pairs held.
PHONE_PACKS = (
    "iphone7-1large-tflite", "iphonexs-1large-tflite", "mi8se-1large-tflite", "pixel4-1large-tflite",
    "s10-1large-tflite",
)  # fmt: skip
# By its times the core of the Emerald Rapids pack under another name: two packs of one core do not show how far
# machines differ.
SAME_CORE = frozenset({"xeon-amx-onnxruntime1.32-1t"})

TRAINED = 0.99  # least share of trained predictors in a phone's prediction


@dataclass(frozen=True)
class Ratio:
    """What a pack says of a machine.

    Attributes:
        kind: of machines.
        pack, machine: names of the pack's machine and of the other.
        log: median log(measured / predicted) of the models.
        models: what is left of each model's.
    """

    kind: str
    pack: str
    machine: str
    log: float
    models: tuple[float, ...]


@dataclass(frozen=True)
class Learnt:
    """What is learnt from some machines (rules 2, 4 and 5)."""

    sigma: float
    freedom: int
    spread: float
    shift: float  # of the log ratio for each halving of the width of vector instructions

    def half(self, confidence: float) -> float:
        """Half of the log interval of a ratio of machines, without the spread of models."""
        return student_quantile(0.5 + confidence / 2, self.freedom) * self.sigma * float(np.sqrt(2.0))

    def half_of_model(self, confidence: float) -> float:
        """Half of the log interval of a model."""
        return float(np.hypot(self.half(confidence), student_quantile(0.5 + confidence / 2, 10**6) * self.spread))


def server_ratios(extra: Sequence[Path], widths: dict[str, int]) -> list[Ratio]:
    """Ratios of server packs to measured machines; the width of vectors of each is put into `widths`."""
    shipped = [
        d for d in list_devices() if ROOT in d.path.parents and is_candidate(d.card) and d.card.id not in SAME_CORE
    ]
    shipped = [d for d in shipped if d.card.runtime == RUNTIME and d.card.threads == 1]
    packs = {device.id: load_pack(device.path) for device in shipped}
    files = {path.parent.name: path for path in sorted((ROOT / "data").glob("*/models.parquet"))}
    files = {name: path for name, path in files.items() if name not in SAME_CORE}
    found = []
    for machine, path in {**files, **{path.stem: path for path in extra}}.items():
        measurements, fingerprint = read_measurements(path)
        if (fingerprint.get("runtime"), fingerprint.get("threads")) != (RUNTIME, 1):
            continue
        own = [
            n
            for n, p in packs.items()
            if match_measurements(p.card, fingerprint).verdict is not Verdict.ANOTHER_MACHINE
        ]
        machine = own[0] if own else machine  # a machine and its pack have one place, whatever the folder is called
        widths[machine] = VECTOR_BITS.get(str(fingerprint.get("isa")), 0)
        for name, pack in packs.items():
            if match_measurements(pack.card, fingerprint).verdict is not Verdict.ANOTHER_MACHINE:
                continue
            logs = []
            for m in measurements:
                if m.granularity == "model":
                    predicted = (
                        sum(p.latency_ms for p in pack.predictor.price_network(m.kernels)) + pack.predictor.overhead_ms
                    )
                    logs.append(float(np.log(m.latency_ms / predicted)))
            middle = float(np.median(logs))
            found.append(Ratio("server", name, machine, middle, tuple(np.array(logs) - middle)))
    return found


def learning_curves() -> None:
    """Print what few measured models give on each server (rule 7)."""
    packs = {name: load_pack(name) for name in CURVES}
    for path in sorted((ROOT / "data").glob("*/models.parquet")):
        measurements, fingerprint = read_measurements(path)
        if (fingerprint.get("runtime"), fingerprint.get("threads")) != (RUNTIME, 1):
            continue
        models = [m for m in measurements if m.granularity == "model"]
        others = [
            pack for pack in packs.values()
            if match_measurements(pack.card, fingerprint).verdict is Verdict.ANOTHER_MACHINE
        ]  # fmt: skip
        reference_ms = float(np.median([m.reference_ms for m in models]))
        for start in [[pack] for pack in others] + ([others] if others[1:] else []):
            problem = pose_problem(mix_packs(start), models)
            print(f"{path.parent.name} from {mixture_id(pack.id for pack in start)}")
            if not start[1:]:
                told = reference_ms / float(start[0].card.reference_ms or 1.0)
                predicted = problem.totals(np.zeros(problem.columns.count), np.arange(len(models)))[0]
                metrics = compute_metrics((predicted * told).tolist(), problem.measured_ms.tolist())
                left = float(np.median(problem.measured_ms / predicted)) / told
                print(f"    0 and the product ({told:.2f}, off by {left:.2f}): {_told(metrics)}")
            for point in learning_curve(problem, (0, 5, 10, 20), repeats=8):
                print(f"    {point.measurements:2}: {point.within_5[0]:.1f}, {point.within_10[0]:.1f}, "
                      f"MAPE {point.mape[0]:.1f}", flush=True)  # fmt: skip


def _told(metrics: Metrics) -> str:
    return f"{metrics.within_5:.1f}, {metrics.within_10:.1f}, MAPE {metrics.mape:.1f}"


def phone_ratios(widths: dict[str, int]) -> list[Ratio]:
    """Ratios of phones to each other, by their packs (rule 3)."""
    predictors = [LatencyPredictor(load_pack(name)) for name in PHONE_PACKS]
    table, trained = [], []
    for path in sorted((ROOT / "data" / "zoo").glob("*.onnx")):
        own = list(predict_on(predictors, str(path)))
        table.append([np.log(p.latency_ms) for p in own])
        trained.append([p.coverage["trained"] >= TRAINED for p in own])
    logs, known = np.array(table), np.array(trained)
    widths.update(dict.fromkeys(PHONE_PACKS, 128))
    found = []
    for i, pack in enumerate(PHONE_PACKS):
        for j, machine in enumerate(PHONE_PACKS):
            if i != j:
                ratio = (logs[:, j] - logs[:, i])[known[:, i] & known[:, j]]
                found.append(Ratio("phone", pack, machine, float(np.median(ratio)), tuple(ratio - np.median(ratio))))
    return found


def learn(ratios: Sequence[Ratio], widths: dict[str, int], with_shift: bool = False) -> Learnt:
    """Rules 2 and 5."""
    shift = fit_shift(ratios, widths) if with_shift else 0.0
    squares, freedom = 0.0, 0
    for kind in sorted({r.kind for r in ratios}):
        places = place(ratios, kind, widths, shift)
        squares += float(((places - places.mean()) ** 2).sum())
        freedom += len(places) - 1
    measured = [r.models for r in ratios if r.kind == "server"]
    models = np.concatenate(measured or [r.models for r in ratios])
    return Learnt(float(np.sqrt(squares / freedom)), freedom, float(np.sqrt(np.mean(models**2))), shift)


def place(ratios: Sequence[Ratio], kind: str, widths: dict[str, int], shift: float = 0.0) -> np.ndarray[Any, Any]:
    """Places of the machines of one kind on the scale of log time, without what a shift explains (rule 2)."""
    own = [r for r in ratios if r.kind == kind]
    names = sorted({name for r in own for name in (r.pack, r.machine)})
    rows = np.zeros((len(own), len(names)))
    for number, r in enumerate(own):
        rows[number, names.index(r.machine)] += 1.0
        rows[number, names.index(r.pack)] -= 1.0
    values = np.array([r.log - shift * halvings(r, widths) for r in own])
    return np.linalg.lstsq(rows, values, rcond=None)[0]


def halvings(ratio: Ratio, widths: dict[str, int]) -> float:
    """How often the machine's vectors are half of those of the pack's machine."""
    return float(np.log2(widths[ratio.pack] / widths[ratio.machine]))


def fit_shift(ratios: Sequence[Ratio], widths: dict[str, int]) -> float:
    """Shift for each halving of the width, through the origin; 0 where nothing differs in it."""
    x = np.array([halvings(r, widths) for r in ratios])
    return float(x @ np.array([r.log for r in ratios]) / (x @ x)) if np.any(x) else 0.0


def shift_helps(ratios: Sequence[Ratio], widths: dict[str, int]) -> bool:
    """Rule 5."""
    servers = {name for r in ratios if r.kind == "server" for name in (r.pack, r.machine)}
    counts = [sum(widths[name] == width for name in servers) for width in {widths[name] for name in servers}]
    if len([count for count in counts if count >= 2]) < 2:
        return False
    errors = np.zeros(2)
    for name in servers:
        rest = [r for r in ratios if name not in (r.pack, r.machine)]
        shift = fit_shift(rest, widths)
        own = [r for r in ratios if r.machine == name and r.kind == "server"]
        errors += [sum(r.log**2 for r in own), sum((r.log - shift * halvings(r, widths)) ** 2 for r in own)]
    return bool(errors[1] < errors[0])


def leave_out(ratios: Sequence[Ratio], widths: dict[str, int], with_shift: bool) -> list[dict[str, Any]]:
    """What 90 % intervals hold of each machine that was left out (rule 6)."""
    found = []
    for kind, name in sorted({(r.kind, r.machine) for r in ratios}):
        learnt = learn([r for r in ratios if name not in (r.pack, r.machine)], widths, with_shift)
        for r in ratios:
            if r.machine == name:
                middle = r.log - learnt.shift * halvings(r, widths)
                models = np.array(r.models) + middle
                held = np.abs(models) <= learnt.half_of_model(0.9)
                found.append(
                    {
                        "kind": kind, "machine": name, "pack": r.pack, "ratio": round(float(np.exp(r.log)), 3),
                        "factor": round(float(np.exp(learnt.half_of_model(0.9))), 2),
                        "models": len(r.models), "held": round(100.0 * float(held.mean()), 1),
                    }
                )  # fmt: skip
    return found


def student_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's distribution, by bisection of its integral."""
    from math import exp, lgamma, log, pi

    def density(t: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        constant = lgamma((freedom + 1) / 2) - lgamma(freedom / 2) - 0.5 * log(freedom * pi)
        return exp(constant) * (1 + t**2 / freedom) ** (-(freedom + 1) / 2)

    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        grid = np.linspace(0.0, middle, 20001)
        area = 0.5 + float(np.trapezoid(density(grid), grid))
        low, high = (middle, high) if area < probability else (low, middle)
    return low


def main() -> None:
    """Learn, print, and with `--save` write what was learnt into the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machine", type=Path, action="append", default=[], metavar="FILE",
                        help="the zoo as measured on one more machine")  # fmt: skip
    parser.add_argument("--save", action="store_true", help=f"write {TRANSFER_FILE}")
    parser.add_argument("--curves", action="store_true", help="show what few measured models give, and end")
    arguments = parser.parse_args()
    if arguments.curves:
        learning_curves()
        return
    widths: dict[str, int] = {}
    ratios = [*server_ratios(arguments.machine, widths), *phone_ratios(widths)]
    with_shift = shift_helps(ratios, widths)
    learnt = learn(ratios, widths, with_shift)
    for r in ratios:
        print(
            f"{r.kind}: pack of {r.pack} on {r.machine}: times are {np.exp(r.log):.3f} of the predicted, "
            f"models scatter by {np.std(r.models):.3f}"
        )
    print(f"sigma {learnt.sigma:.3f} of {learnt.freedom} degrees of freedom, spread {learnt.spread:.3f}")
    print(f"shift by vector width: {learnt.shift:.3f} for each halving" if with_shift else "no shift by vector width")
    rows = leave_out(ratios, widths, with_shift)
    for row in rows:
        print(f"left out {row['machine']}, by {row['pack']}: {row['held']} % held, within a factor of {row['factor']}")
    servers = [row for row in rows if row["kind"] == "server"]
    summary = {
        "pairs": len(rows),
        "held": round(float(np.mean([row["held"] for row in rows])), 1),
        "server_pairs": len(servers),
        "server_held": round(float(np.mean([row["held"] for row in servers])), 1),
    }
    print(summary)
    if arguments.save:
        document = {
            "schema_version": 1,
            "made_with": "python benchmarks/machine_transfer.py --save",
            "sigma": round(learnt.sigma, 4),
            "freedom": learnt.freedom,
            "half": {str(c): round(learnt.half(c), 4) for c in CONFIDENCES},
            "spread": round(learnt.spread, 4),
            "shift": round(learnt.shift, 4),
            "ratios": [
                {"kind": r.kind, "pack": r.pack, "machine": r.machine, "log": round(r.log, 4), "models": len(r.models)}
                for r in ratios
            ],
            "left_out": {**summary, "machines": rows},
        }
        TRANSFER_FILE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {TRANSFER_FILE}")


if __name__ == "__main__":
    main()
