"""How often a network that goes on for one kernel more is predicted cheaper, and by how much.

    python benchmarks/prefixes.py epyc-turin-onnxruntime1.32-1t

The kernels of each measured model of the pack's `data/ID/models.parquet` are priced as a network of the first, of the
first two, and so on, up to `MOST` kernels. By packs with reuse factors (`nnmeter.predictor.reuse`) one kernel more of a
kind makes all others of it cheaper, for they are nearer to each other.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

from nnmeter.devices import load_pack
from nnmeter.lab.measuring.store import read_measurements

DATA = Path(__file__).parent.parent / "data"
MOST = 250  # kernels of a model: longer ones are left out, for time


def main() -> None:
    """Print how many steps are cheaper, and the most that one is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack")
    pack = parser.parse_args().pack
    predictor = load_pack(pack).predictor
    falls: list[tuple[float, str]] = []
    steps = 0
    for row in read_measurements(DATA / pack / "models.parquet")[0]:
        if len(row.kernels) > MOST:
            continue
        prices = [predictor.price_network(row.kernels[:count]) for count in range(1, len(row.kernels) + 1)]
        totals = [sum(price.latency_ms for price in network) + predictor.overhead_ms for network in prices]
        steps += len(totals) - 1
        falls += [(1 - after / before, row.network) for before, after in pairwise(totals) if after < before]
    print(f"{pack}: {len(falls)} of {steps} steps are cheaper")
    if falls:
        most, name = max(falls)
        print(f"by {100 * most:.2f} % at most, in {name}; {sum(fall > 0.005 for fall, _ in falls)} by more than 0.5 %")


if __name__ == "__main__":
    main()
