"""How much longer the first runs of a network take behind the reference kernel, and behind the profiler.

    python benchmarks/settling.py [--networks 50] [--least-ms 0.3] [--most-ms 1.0] [--runs 8] [--seed 700000]

Random networks of a campaign that take so long, one thread of ONNX Runtime. Each is run until it is hot and profiled;
then the reference is run, and the network `--runs` times behind it; the same again a dozen times. Printed is the median
over networks of each run's time, behind the profiler and behind the reference alone, relative to the last run there.
`nnmeter/lab/measuring/protocol.py`, rule 2, and `nnmeter/lab/campaign/campaign.py`, rule 2, follow from it.
"""

from __future__ import annotations

import argparse

import numpy as np

from nnmeter.errors import NnmeterError
from nnmeter.lab.campaign.bench import default_recipes
from nnmeter.lab.campaign.joined import joined_networks
from nnmeter.lab.measuring.protocol import UNIT_MS, Stopwatch, no_garbage_collection
from nnmeter.lab.runtimes import load_runtime

ROUNDS, PROFILED = 12, 8
LONGEST_SEARCH = 50  # networks tried for each that is of the asked length


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=50, help="how many")
    parser.add_argument("--least-ms", type=float, default=0.3, help="shortest network")
    parser.add_argument("--most-ms", type=float, default=1.0, help="longest network")
    parser.add_argument("--runs", type=int, default=8, help="runs behind the reference")
    parser.add_argument("--seed", type=int, default=700_000, help="of the first network")
    options = parser.parse_args()
    runtime = load_runtime("onnxruntime")
    stopwatch, recipes = Stopwatch(runtime), default_recipes()
    names = sorted(recipes.prior)
    weights = np.array([recipes.prior[name] for name in names])
    generator = np.random.default_rng(options.seed)
    behind_profiler: list[np.ndarray] = []
    found: list[np.ndarray] = []
    refused = 0
    for seed in range(options.seed, options.seed + LONGEST_SEARCH * options.networks):
        if len(found) == options.networks:
            break
        recipe = names[generator.choice(len(names), p=weights / weights.sum())]
        try:
            model = runtime.compile(joined_networks(recipes.build, seed, recipe, False, 1), 1, profiled=True, seed=seed)
        except (NnmeterError, ValueError, ArithmeticError, LookupError):
            refused += 1
            continue
        stopwatch.settle(model.run, UNIT_MS)
        if options.least_ms <= stopwatch.settle(model.run, UNIT_MS) <= options.most_ms:
            with no_garbage_collection():
                rounds = []
                model.profile(PROFILED)
                model.run()
                for _ in range(ROUNDS):
                    stopwatch.time_reference()
                    rounds.append([stopwatch.settle(model.run, 0.0) for _ in range(options.runs)])
            each = np.median(rounds[1:], axis=0)
            behind_profiler.append(np.array(rounds[0]) / each[-1])
            found.append(each / each[-1])
        model.close()
    print(
        f"{len(found)} networks of {options.least_ms:g} to {options.most_ms:g} ms; {refused} could not be built or run"
    )
    if not found:
        return
    both = zip(np.median(behind_profiler, axis=0), np.median(found, axis=0), strict=True)
    for number, (profiler, reference) in enumerate(both, start=1):
        print(f"run {number}: {profiler:.3f} behind the profiler, {reference:.3f} behind the reference alone")


if __name__ == "__main__":
    main()
