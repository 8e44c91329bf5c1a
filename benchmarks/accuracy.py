"""How good training is, with an error bar: train on a campaign, score on models of families that the zoo does not have.

    python benchmarks/accuracy.py CAMPAIGN MODELS [--budget 20m] [--share 1.0] [--seeds 3] [--regressor lightgbm]
                                  [--families 0|1] [--save FILE] [--against FILE] [--worst N]

A change of training or of what is sampled is judged by this and not by a look at the zoo, which is kept for scorecards.

1. CAMPAIGN is what `nnmeter profile` wrote. With --budget it is measured first, on this machine. --share takes the
   first networks of it alone, as a shorter campaign would have had them.
2. MODELS are measurements of the same device (`nnmeter measure --families CSV`), brought to the campaign's state, as
   its clock showed it (`nnmeter.lab.measuring.clock`). A model of the zoo, or of one of its families, is refused.
3. One predictor is trained with each seed. Figures are means over the seeds. An error bar is one standard error: of
   models drawn anew, whole families at a time, with a seed drawn for each draw. So it has both what other models would
   have shown and what another seed would.
4. --families takes every other family, by the order of their names: choose by one half and confirm by the other.
5. --against compares with what --save wrote of another version, model by model: the same models are drawn for both,
   and what they have in common cancels. A difference of less than two standard errors is none.
6. Models and campaign are measured in other states of the machine, which move all predictions alike: figures are told
   with the median of predicted / measured taken off, too. No price can do better than what the models' own kernels sum
   to, as a profiler saw them.
7. Bias is the median of predicted / measured - 1, by the bytes of the models' weights and by family. By kernel family:
   what `nnmeter evaluate` says of kernels (docs/scorecards.md), of the first seed.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np

from nnmeter.errors import MeasurementError, NnmeterError
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.campaign.supervisor import run_supervised_campaign
from nnmeter.lab.cli.times import parse_budget
from nnmeter.lab.evaluation.kernel_scores import score_kernels
from nnmeter.lab.measuring.clock import state_of_clock
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.build import read_all
from nnmeter.lab.training.train import fit_predictor
from nnmeter.predictor import KernelPredictor

ZOO = Path(__file__).resolve().parent.parent / "data" / "zoo" / "families.csv"
DRAWS = 2000
WEIGHT_CLASSES_MB = (0, 8, 16, 32, 64, float("inf"))

# What is said of relative errors [models].
FIGURES: dict[str, Callable[[np.ndarray], float]] = {
    "±5 %": lambda error: 100 * float(np.mean(np.abs(error) <= 0.05)),
    "±10 %": lambda error: 100 * float(np.mean(np.abs(error) <= 0.10)),
    "MAPE": lambda error: 100 * float(np.mean(np.abs(error))),
    "bias": lambda error: 100 * float(np.median(error)),
}


def main() -> int:
    options = arguments()
    try:
        return run(options)
    except (NnmeterError, click.ClickException, OSError, ValueError) as fault:
        print(f"accuracy.py: {fault}", file=sys.stderr)
        return 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("campaign", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--budget", help="measure the campaign first, for as long as this: 20m")
    parser.add_argument("--share", type=float, default=1.0, help="first part of the campaign's networks to train on")
    parser.add_argument("--seeds", type=int, default=3, help="predictors to train")
    parser.add_argument("--regressor", choices=("lightgbm", "random-forest"), default="lightgbm")
    parser.add_argument("--families", type=int, choices=(0, 1), help="every other family, the first or the second")
    parser.add_argument("--save", type=Path, help="JSON file for the errors of every model and seed")
    parser.add_argument("--against", type=Path, help="what --save wrote of another version")
    parser.add_argument("--worst", type=int, default=10, help="models to name")
    options = parser.parse_args()
    if options.seeds < 1 or not 0 < options.share <= 1:
        parser.error("--seeds is 1 or more, and --share above 0 and at most 1")
    return options


def run(options: argparse.Namespace) -> int:
    if options.budget:
        budget_s = parse_budget(click.Context(click.Command("accuracy.py")), click.Option(["--budget"]), options.budget)
        run_supervised_campaign(options.campaign, "onnxruntime", budget_s=budget_s, resume=False)
    campaign, _ = read_all([options.campaign])
    campaign = campaign[: round(len(campaign) * options.share)]
    models = development_models(options.campaign, options.models, options.families)
    state = state_of_clock(campaign)
    if state is not None:
        campaign, models = state.bring(campaign), state.bring(models)
    family = np.array([m.family for m in models])
    measured = np.array([m.latency_ms for m in models])
    print(f"{len(campaign)} networks, {sum(len(m.kernels) for m in campaign)} kernels", end="; ")
    print(f"{len(models)} models of {len(set(family))} families")
    errors, inside, halves = [], [], []
    for seed in range(options.seeds):
        began = time.perf_counter()
        predictor, _ = fit_predictor(campaign, options.regressor, seed)
        took_s = time.perf_counter() - began
        total, low, high = predictions(predictor, models)
        errors.append(total / measured - 1)
        inside.append((low <= measured) & (measured <= high))
        halves.append((high - low) / (2 * total))
        said = ", ".join(f"{name} {figure(errors[-1]):.1f}" for name, figure in FIGURES.items())
        print(f"seed {seed}: {said}; trained in {took_s:.0f} s", flush=True)
        if seed == 0:
            first = predictor
    table = np.array(errors)
    drawn = draws(family, len(table))
    print("\nall models, mean of the seeds and standard error")
    for name, figure in FIGURES.items():
        print(f"  {name:6s} {np.mean([figure(row) for row in table]):6.2f} ± {bar(figure, table, drawn):.2f}")
    print(
        f"  90 % intervals hold {100 * np.mean(inside):.1f} %, half width {100 * np.median(halves):.1f} % in the median"
    )
    centred = (1 + table) / (1 + np.median(table, axis=1, keepdims=True)) - 1
    told = ", ".join(
        f"{name} {np.mean([FIGURES[name](row) for row in centred]):.2f}" for name in ("±5 %", "±10 %", "MAPE")
    )
    print(f"  with the median bias taken off: {told}")
    own_kernels(first, models)
    by_weights(table, models)
    by_family(table, family)
    by_kernel(first, models)
    worst = np.argsort(-np.abs(table.mean(axis=0)))[: options.worst]
    print("\nworst models")
    for i in worst:
        print(f"  {models[i].network:36s} {measured[i]:8.2f} ms {100 * table.mean(axis=0)[i]:+6.1f} %")
    if options.against:
        compare(table, models, drawn, options.against)
    if options.save:
        names = [m.network for m in models]
        options.save.write_text(json.dumps({"models": names, "errors": table.round(6).tolist()}) + "\n")
    return 0


def development_models(campaign: Path, path: Path, half: int | None) -> list[Measurement]:
    """The models to score on (rules 2 and 4)."""
    rows, _ = read_all([campaign, path])  # the first one's state of the machine
    models = [m for m in rows if m.granularity == "model"]
    if not models:
        raise MeasurementError(f"{path}: no whole model was measured; measure some with nnmeter measure")
    with open(ZOO, encoding="utf-8") as stream:
        zoo = list(csv.DictReader(stream))
    kept_apart = {row["family"] for row in zoo}
    names = {row["model"].removesuffix(".onnx") for row in zoo}
    known = sorted({m.network for m in models if m.network in names or m.family in kept_apart})
    if known:
        raise MeasurementError(
            f"{path}: {', '.join(known[:5])} is of the zoo, which is kept for scorecards; leave it out"
        )
    if half is None:
        return models
    families = sorted({m.family for m in models})
    chosen = set(families[half::2])
    return [m for m in models if m.family in chosen]


def predictions(predictor: KernelPredictor, models: Sequence[Measurement]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted milliseconds of each model, and both ends of its 90 % interval."""
    found = []
    for model in models:
        prices = predictor.price_network(model.kernels)
        total = sum(price.latency_ms for price in prices) + predictor.overhead_ms
        found.append((total, *predictor.intervals.interval_ms(total, prices, 0.9)))
    total, low, high = np.array(found).T
    return total, low, high


def own_kernels(predictor: KernelPredictor, models: Sequence[Measurement]) -> None:
    """Print how far the models' own profiled kernels sum to their times (rule 6)."""
    profiled = [m for m in models if m.kernel_ms]
    if not profiled:
        return
    sums = np.array(
        [
            predictor.scale * sum(m.kernel_ms) + predictor.per_kernel_ms * len(m.kernels) + predictor.overhead_ms
            for m in profiled
        ]
    )
    error = sums / np.array([m.latency_ms for m in profiled]) - 1
    told = ", ".join(f"{name} {FIGURES[name](error):.2f}" for name in ("±5 %", "±10 %", "MAPE"))
    print(f"  the sum of their own profiled kernels: {told}")


def draws(family: np.ndarray, seeds: int) -> list[tuple[int, np.ndarray]]:
    """Seeds and models drawn anew, families whole (rule 3)."""
    generator = np.random.default_rng(0)
    names, number = np.unique(family, return_inverse=True)
    members = [np.flatnonzero(number == i) for i in range(len(names))]
    return [
        (
            int(generator.integers(seeds)),
            np.concatenate([members[i] for i in generator.integers(0, len(names), len(names))]),
        )
        for _ in range(DRAWS)
    ]


def bar(figure: Callable[[np.ndarray], float], errors: np.ndarray, drawn: Sequence[tuple[int, np.ndarray]]) -> float:
    """The standard error of a figure (rule 3); `errors` are of each seed and model."""
    return float(np.std([figure(errors[seed][models]) for seed, models in drawn]))


def weight_mb(kernels: Sequence[KernelSignature]) -> float:
    """Mebibytes of the constants that the kernels read."""
    pairs = (pair for s in kernels for pair in zip(s.inputs, s.constants, strict=True))
    return sum(kind.bytes for kind, constant in pairs if constant and kind is not None) / 2**20


def by_weights(errors: np.ndarray, models: Sequence[Measurement]) -> None:
    """Print bias and accuracy by the size of the weights (rule 7)."""
    size = np.array([weight_mb(m.kernels) for m in models])
    print("\nby weights       models    bias   ±5 %  ±10 %   MAPE")
    for low, high in pairwise(WEIGHT_CLASSES_MB):
        mine = (size >= low) & (size < high)
        if mine.any():
            words = f"{low} to {high} MB" if high < float("inf") else f"{low} MB and more"
            print(f"  {words:15s} {mine.sum():5d} {figures(errors[:, mine])}")


def by_family(errors: np.ndarray, family: np.ndarray) -> None:
    """Print bias and accuracy by family, the worst first (rule 7)."""
    print("\nby family        models    bias   ±5 %  ±10 %   MAPE")
    mean = {name: np.abs(errors[:, family == name]).mean() for name in np.unique(family).tolist()}
    for name in sorted(mean, key=lambda name: -mean[name]):
        mine = family == name
        print(f"  {name:15.15s} {mine.sum():5d} {figures(errors[:, mine])}")


def figures(errors: np.ndarray) -> str:
    """Bias, shares and mean of some errors, all seeds together."""
    return " ".join(
        f"{np.mean([FIGURES[name](row) for row in errors]):6.1f}" for name in ("bias", "±5 %", "±10 %", "MAPE")
    )


def by_kernel(predictor: KernelPredictor, models: Sequence[Measurement]) -> None:
    """Print where the error comes from, by kernel family (rule 7)."""
    scores = score_kernels(predictor, models)
    if scores is None:
        return
    print("\nby kernel family         share  error   bias  points")
    for name, score in scores.families.items():
        print(f"  {name:22s} {score.share:6.1f} {score.error:6.1f} {score.bias:+6.1f} {score.points:7.2f}")


def compare(
    errors: np.ndarray, models: Sequence[Measurement], drawn: Sequence[tuple[int, np.ndarray]], path: Path
) -> None:
    """Print by how much the figures differ from those of another version (rule 5)."""
    other: dict[str, Any] = json.loads(path.read_text())
    if other["models"] != [m.network for m in models]:
        raise MeasurementError(f"{path}: is of other models; score both versions on the same")
    before = np.array(other["errors"])
    print(f"\nagainst {path.name}, difference and its standard error")
    for name, figure in FIGURES.items():
        change = np.mean([figure(row) for row in errors]) - np.mean([figure(row) for row in before])
        spread = np.std([figure(errors[s][rows]) - figure(before[s % len(before)][rows]) for s, rows in drawn])
        print(f"  {name:6s} {change:+6.2f} ± {spread:.2f}")


if __name__ == "__main__":
    sys.exit(main())
