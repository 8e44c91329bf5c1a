"""Would a second probe tell the state of a shared machine better than the product alone? What campaigns say of it.

    python benchmarks/machine_state.py [MEASUREMENTS ...]     # campaigns; those of `data` if none is given

1. A campaign is a walk through hours of a shared machine: network after network, each with the reference product around
   every run. Its kernels fall into three classes by a nominal roofline: *compute* and *memory* bound ones, and *short*
   ones (below 20 us), whose time is mostly that of a launch.
2. Kernels are predicted by trees that have not seen their network (`nnmeter.lab.campaign.cross_validation`). What is
   left, the mean log error of a class in a network, is the error of the predictions, which networks that follow each
   other do not share, and the state of the machine that the product did not take off, which they do share.
3. So the covariance of the residuals of one network with those of the network 1, 2, ... places later is the variance of
   the state that is left; its root is what a perfect probe of that class could take off. Of memory less compute it is
   what a probe of memory traffic would add to the product.
4. How much slower than nominal the product was around a network, `x`, is the median of its raw times over its corrected
   time. A class whose residual has a slope over `x` is corrected with a wrong exponent: 0.8 plus that slope would be
   its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.kernels.features import COMMON_NAMES
from nnmeter.lab.campaign.cross_validation import cross_validate
from nnmeter.lab.campaign.samples import Samples
from nnmeter.lab.measuring.correction import SENSITIVITY
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import read_measurements

DATA = Path(__file__).resolve().parent.parent / "data"
CLASSES = ("compute", "memory", "short")
_SHORT_MS = 0.02
_FLOPS_A_BYTE = 10.0  # of a kernel that is bound by neither on the servers of `data`
_LAGS = range(1, 6)
_LEAST_SHARE = 0.05  # of a network's time, that a class must have to tell anything
_CLIP = 0.3

Array = np.ndarray[Any, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("campaigns", nargs="*", type=Path, metavar="MEASUREMENTS")
    options = parser.parse_args()
    for path in options.campaigns or sorted(DATA.glob("*/campaign.parquet")):
        rows = [row for row in read_measurements(path)[0] if row.kernel_ms]
        if len(rows) < 100:
            print(f"{path}: {len(rows)} profiled networks, too few")
            continue
        print(f"{path.parent.name}/{path.name}: {len(rows)} networks")
        for line in describe(rows):
            print(f"  {line}", flush=True)
    return 0


def describe(rows: Sequence[Measurement]) -> list[str]:
    """What is left of the state by class (rules 3 and 4), in words."""
    residual = class_residuals(rows)
    x = np.array([np.log(row.median_ms / row.latency_ms) for row in rows]) / SENSITIVITY
    sitting = np.unique([row.sitting for row in rows], return_inverse=True)[1]
    lines = [f"the product was within {100 * np.std(x):.1f} % of nominal (standard deviation)"]
    for name in CLASSES:
        own = residual[name]
        lines.append(
            f"{name}: residual of a network {100 * np.nanstd(own):.1f} %, of it the state that is left "
            f"{shared(own, own, sitting)}; exponent {SENSITIVITY + slope(x, own):.2f}"
        )
    apart = residual["memory"] - residual["compute"]
    lines.append(f"memory less compute: {100 * np.nanstd(apart):.1f} %, of it state {shared(apart, apart, sitting)}")
    return lines


def class_residuals(rows: Sequence[Measurement]) -> dict[str, Array]:
    """Mean log(measured / predicted) of each class in each network, by time; NaN where it has little [networks]."""
    samples = Samples()
    samples.add(rows)
    arrays = samples.arrays()
    error = np.clip(-cross_validate(arrays).kernel_log_error, -_CLIP, _CLIP)
    values = dict(zip(COMMON_NAMES, arrays.features.T, strict=False))
    ms = np.exp(arrays.log_ms)
    number = np.where(ms < _SHORT_MS, 2, np.where(values["log_intensity"] < np.log2(_FLOPS_A_BYTE), 1, 0))
    time_ms = ms * arrays.count
    total = np.bincount(arrays.network, time_ms)
    found = {}
    for place, name in enumerate(CLASSES):
        weight = np.where(number == place, time_ms, 0.0)
        sums = np.bincount(arrays.network, weight)
        mean = np.bincount(arrays.network, weight * error) / np.maximum(sums, 1e-12)
        found[name] = np.where(sums >= _LEAST_SHARE * total, mean, np.nan)
    return found


def shared(one: Array, other: Array, sitting: Array) -> str:
    """The root of the covariance of networks that follow each other (rule 3), mean of some lags, with its error."""
    products = []
    for lag in _LAGS:
        a, b = one[:-lag] - np.nanmean(one), other[lag:] - np.nanmean(other)
        products.append((a * b)[sitting[:-lag] == sitting[lag:]])
    each = np.concatenate(products)
    each = each[~np.isnan(each)]
    mean, error = float(each.mean()), float(each.std() / np.sqrt(len(each) / len(_LAGS)))
    roots = [100 * np.sign(v) * np.sqrt(abs(v)) for v in (mean, mean - 2 * error, mean + 2 * error)]
    return f"{roots[0]:.1f} % (between {roots[1]:.1f} and {roots[2]:.1f})"


def slope(x: Array, y: Array) -> float:
    """Of residuals over the state, without the outer twentieths of it."""
    known = ~np.isnan(y)
    low, high = np.quantile(x[known], [0.05, 0.95])
    known &= (x >= low) & (x <= high)
    centred = x[known] - x[known].mean()
    return float(centred @ (y[known] - y[known].mean()) / (centred @ centred))


if __name__ == "__main__":
    sys.exit(main())
