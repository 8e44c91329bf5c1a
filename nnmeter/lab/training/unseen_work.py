"""Rates of work that no network of a device does: attention and products on a phone that convolutions were timed on.

Rules:

1. A group of work (`nnmeter.predictor.work`, rule 2) is *unseen* on a device where none of its networks has it. Other
   groups are left as they were fitted.
2. What other devices say of an unseen rate has the variance of a device among those of its engine, and what the engine
   and its sort of device leave open themselves (`DeviceRates.doubt`): little where the engine was seen with such work
   on other devices, much where it never was.
3. The roofline of the device, fitted to its own networks, says something of FLOPs and bytes of any kind. Its rates have
   the variance `ROOFLINE_VARIANCE` of their logarithm, and both are weighed by their precision.
4. The variances of single rates say little of how far a network of unseen work is off: where transformers were kept
   aside on devices (`benchmarks/public_kept_aside.py`), the rank correlation of both is 0.23 and 0.22 on CPUs, 0.12
   and less on all others. So all unseen rates have one deviation of their logarithm, `OPEN` on CPUs and `WIDE_OPEN` on
   all others, and go together (`nnmeter.predictor.work`, rule 4): on CPUs whose runtime was never seen with any, 90 %
   intervals hold 90 % of the networks that do more than half of their work unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnmeter.lab.training.network_work import NetworkWork
from nnmeter.lab.training.population import COLUMNS, DeviceRates, Matrix
from nnmeter.predictor.roofline import Roofline
from nnmeter.predictor.work import GROUPS, SORTS

ROOFLINE_VARIANCE = 0.5
OPEN, WIDE_OPEN = 1.0, 1.5

_OF_GROUP = np.array([name.partition(".")[0] for name in SORTS])
_SORT = np.array([name.partition(".")[2].rstrip("0123456789") for name in SORTS])


def seen_groups(networks: Sequence[NetworkWork]) -> tuple[str, ...]:
    """The groups of work that networks have (rule 1)."""
    done = np.any([network.work > 0 for network in networks], axis=0)
    return tuple(group for group in GROUPS if done[COLUMNS.index(f"{group}.launch")])


def complete_rates(
    rates: DeviceRates, networks: Sequence[NetworkWork], roofline: Roofline, kind: str = "cpu"
) -> tuple[DeviceRates, Matrix]:
    """Rates with what is known of unseen work, and the deviation of the logarithm of each [sorts] (rules 2 to 4).

    Args:
        rates: of the device.
        networks: that it was measured with.
        roofline: of the device.
        kind: of the device: cpu, gpu, npu, ...
    """
    unseen = np.isin(_OF_GROUP, [group for group in GROUPS if group not in seen_groups(networks)])
    variance = np.maximum(np.diag(rates.covariance)[:-1], 0.0)
    if rates.doubt is not None:
        variance = np.where(unseen, variance + rates.doubt[:-1], variance)
    theta = rates.theta.copy()
    for names, log_rate in _of_roofline(roofline, networks):
        own = unseen & np.isin(_SORT, names)
        weight = ROOFLINE_VARIANCE / (variance[own] + ROOFLINE_VARIANCE)
        theta[:-1][own] = weight * theta[:-1][own] + (1.0 - weight) * log_rate
    return replace(rates, theta=theta), np.where(unseen, OPEN if kind == "cpu" else WIDE_OPEN, np.sqrt(variance))


def _of_roofline(roofline: Roofline, networks: Sequence[NetworkWork]) -> list[tuple[tuple[str, ...], float]]:
    """Log milliseconds that the roofline takes for a unit of FLOPs, and of bytes: a million of each (rule 3).

    FLOPs are of the class of element type that most of the networks' FLOPs are of.
    """
    flops: dict[str, float] = {}
    for network in networks:
        for name, amount in network.flops_by_type().items():
            flops[name] = flops.get(name, 0.0) + amount
    most = max(flops, key=lambda name: flops[name])
    return [
        (("flops", "elements"), -float(np.log(roofline.peak_gflops[most]))),
        (("bytes",), -float(np.log(roofline.bandwidth_gbs))),
    ]
