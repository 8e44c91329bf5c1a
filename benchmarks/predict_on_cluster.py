"""How many models a second `predict_many` predicts in the workers of a Dask cluster, beside one process.

    python benchmarks/predict_on_cluster.py [--device ID_OR_PATH] [--models 20000] [--seen 2000] [--workers 1 2]
        [--space NAME]

Models are random candidates of a space of `benchmarks/search_spaces.py`, as bytes, none twice. First one process
predicts them by `predict_many` without a cluster, then clusters of so many worker processes of one thread each do, on
this machine, beside the scheduler and the process that asks. `--seen` models are predicted before anything is timed:
packs are then read, and blocks of the space are known. Only latencies come back (`keep`). Results must be those of the
one process, in its order; exit code 1 if they are not.
"""

from __future__ import annotations

import argparse
import operator
import sys
import time
from collections.abc import Sequence
from typing import Any

import distributed
import numpy as np
from search_spaces import SPACES

import nnmeter
from nnmeter.devices import nearest_device
from nnmeter.search import Space


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", help="device pack; default: the nearest")
    parser.add_argument("--models", type=int, default=20_000, help="models that are timed")
    parser.add_argument("--seen", type=int, default=2000, help="models that are predicted before")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="worker processes of each cluster")
    parser.add_argument("--space", choices=list(SPACES), default=next(iter(SPACES)))
    options = parser.parse_args()
    device = options.device or str(nearest_device()[0].path)
    models = draw(options.space, options.seen + options.models)
    seen, fresh = models[: options.seen], models[options.seen :]
    nnmeter.predict_many(seen, [device], keep=operator.attrgetter("latency_ms"))
    expected, rate = timed(fresh, device, None)
    print(f"{len(fresh)} models of {options.space}, {sum(map(len, fresh)) / 1e6:.0f} MB", flush=True)
    print(f"one process: {rate:.0f} models a second", flush=True)
    alone = 0.0
    for count in options.workers:
        with (
            distributed.LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
            distributed.Client(cluster) as client,
        ):
            for _ in range(count):  # for every worker to have seen about all of them
                timed(seen, device, client)
            found, rate = timed(fresh, device, client)
        alone = alone or rate / count
        print(f"{count} workers: {rate:.0f} models a second, {rate / count / alone:.2f} n", flush=True)
        if found != expected:
            print("their predictions are not those of the one process")
            return 1
    return 0


def draw(name: str, count: int) -> list[bytes]:
    """Different random candidates of a space."""
    options, build = SPACES[name]
    space = Space(options)
    rows = np.unique(space.sample(2 * count, np.random.default_rng(0)), axis=0)
    order = np.random.default_rng(1).permutation(len(rows))[:count]
    return [build(space.candidate(rows[at])).SerializeToString() for at in order]


def timed(models: Sequence[bytes], device: str, client: Any) -> tuple[list[float], float]:
    """Latencies, and models a second."""
    begun = time.perf_counter()
    found = nnmeter.predict_many(models, [device], client=client, keep=operator.attrgetter("latency_ms"))
    return found, len(models) / (time.perf_counter() - begun)


if __name__ == "__main__":
    sys.exit(main())
