"""What estimates from FLOPs, bytes and neighbours say of networks that they were not fitted to.

Rules:

1. The networks of a device are taken out a part at a time, the parts that its predictions were left out by
   (`population_folds`). For each part everything is fitted anew to the rest: the roofline and all baselines
   (`nnmeter.predictor.baselines`).
2. `nearest_network` is the time of that network of the rest whose FLOPs and bytes are nearest in logarithms, scaled by
   FLOPs.
3. Where the rest has fewer than `LEAST_REST` networks nothing can be fitted, and the part has no baselines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nnmeter.lab.evaluation.metrics import Metrics, compute_metrics
from nnmeter.lab.training.network_work import NetworkWork
from nnmeter.lab.training.population import Matrix
from nnmeter.predictor.baselines import fit_baselines
from nnmeter.predictor.roofline import Roofline, fit_roofline_to_totals

NEAREST = "nearest_network"
LEAST_REST = 3


def left_out_baselines(networks: Sequence[NetworkWork], latency_ms: Matrix, parts: Matrix) -> dict[str, Matrix]:
    """Milliseconds of each network by each baseline that was fitted without the network's part.

    Args:
        networks: of one device.
        latency_ms: their measured times [networks].
        parts: the part that each is in [networks].

    Returns:
        By baseline [networks]; not a number where the rest was too small (rule 3).
    """
    cost = np.array([network.cost for network in networks])
    by_type = [network.flops_by_type() for network in networks]
    flops = {name: np.array([own.get(name, 0.0) for own in by_type]) for name in set().union(*by_type)}
    sizes = np.log(np.maximum(cost[:, :2], 1.0))
    found: dict[str, Matrix] = {}
    for part in np.unique(parts):
        own, rest = np.flatnonzero(parts == part), np.flatnonzero(parts != part)
        if len(rest) < LEAST_REST:
            continue
        roofline, _ = fit_roofline_to_totals(
            {name: amount[rest] for name, amount in flops.items()}, cost[rest, 1], cost[rest, 2], latency_ms[rest]
        )
        totals = np.column_stack([cost, _roofline_ms(roofline, flops, cost)])
        baselines = fit_baselines(totals[rest], latency_ms[rest])
        for name, ms in baselines.of_totals(totals[own]).items():
            found.setdefault(name, np.full(len(networks), np.nan))[own] = ms
        apart = ((sizes[own][:, None] - sizes[rest]) ** 2).sum(axis=2)
        nearest = rest[apart.argmin(axis=1)]
        scaled = latency_ms[nearest] * cost[own, 0] / np.maximum(cost[nearest, 0], 1.0)
        found.setdefault(NEAREST, np.full(len(networks), np.nan))[own] = scaled
    return found


def baseline_metrics(baselines: Mapping[str, Matrix], latency_ms: Matrix) -> dict[str, Metrics]:
    """Metrics of each baseline, over the networks that it has a time of; none where it has none."""
    found = {}
    for name, ms in sorted(baselines.items()):
        known = ~np.isnan(ms)
        if known.any():
            found[name] = compute_metrics(ms[known].tolist(), latency_ms[known].tolist())
    return found


def _roofline_ms(roofline: Roofline, flops: Mapping[str, Matrix], cost: Matrix) -> Matrix:
    """The sum of the roofline over the kernels of each network: it is linear in what they do."""
    found: Matrix = cost[:, 1] / (roofline.bandwidth_gbs * 1e6) + roofline.launch_ms * cost[:, 2]
    for name, amount in flops.items():
        found = found + amount / (roofline.peak_gflops[name] * 1e6)
    return found
