"""What a short campaign over the pack of another machine gives, against one from nothing: error by number of networks.

    python benchmarks/short_campaigns.py [--networks 50 100 200 1000] [--from-nothing]

1. Two servers have a campaign and measured models in `data`: an Ice Lake and a Zen 4 core. Each is the new machine
   once, the other's pack the prior (`nnmeter.lab.training.continued`).
2. The first networks of the new machine's campaign are trained on; its models of `data/zoo` are scored, none of which
   was trained on, at the kernels that were measured.
3. `--from-nothing` trains the same networks without a prior beside it, which takes ten times as long.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnmeter.devices import load_pack
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.training.train import fit_predictor
from nnmeter.predictor import KernelPredictor

DATA = Path(__file__).resolve().parent.parent / "data"
MACHINES = ("epyc-genoa-onnxruntime1.32-1t", "xeon-icelake-onnxruntime1.32-1t")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, nargs="+", default=[50, 100, 200, 1000])
    parser.add_argument("--from-nothing", action="store_true")
    options = parser.parse_args()
    for new, other in (MACHINES, MACHINES[::-1]):
        campaign = read_measurements(DATA / new / "campaign.parquet")[0]
        models = read_measurements(DATA / new / "models.parquet")[0]
        prior = load_pack(other).predictor
        print(f"{new} from {other}")
        for count in options.networks:
            for start in (prior, None) if options.from_nothing else (prior,):
                began = time.perf_counter()
                predictor, _ = fit_predictor(campaign[:count], prior=start)
                took_s = time.perf_counter() - began
                origin = "over the prior" if start is not None else "from nothing"
                print(
                    f"  {count:5} networks {origin}: {score(predictor, models)}; trained in {took_s:.0f} s", flush=True
                )
    return 0


def score(predictor: KernelPredictor, models: Sequence[Measurement]) -> str:
    """Errors and coverage on models, in words."""
    errors, held = [], 0
    for model in models:
        prices = predictor.price(model.kernels)
        total = sum(price.latency_ms for price in prices) + predictor.overhead_ms
        low, high = predictor.intervals.interval_ms(total, prices, 0.9)
        held += low <= model.latency_ms <= high
        errors.append(abs(total / model.latency_ms - 1))
    error = np.array(errors)
    return (
        f"±5 % {100 * np.mean(error <= 0.05):.1f}, ±10 % {100 * np.mean(error <= 0.10):.1f}, "
        f"MAPE {100 * error.mean():.2f}, 90 % intervals hold {100 * held / len(models):.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
