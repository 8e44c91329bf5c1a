"""Would a second probe tell the state of a shared machine better than the product alone? What campaigns say of it.

    python benchmarks/machine_state.py [MEASUREMENTS ...]     # campaigns; those of `data` if none is given
    python benchmarks/machine_state.py --sessions [MEASUREMENTS ...] [--save]     # sessions of one machine, hours apart

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
5. `--sessions`: campaigns of one seed's recipes begin with the same networks (`nnmeter.lab.campaign.probes`). Of two
   sessions of a machine, times brought to one reference, the mean log ratio of a family's kernels in the networks that
   both measured, by time, is how far the family moved. Its root mean square over all pairs of sessions is what
   `nnmeter/lab/training/machine_states.json` has (`--save`): what a pack of one session does not know of another one. A
   family of fewer than `_LEAST_KERNELS` kernels in a pair counts as one of the others, which have the key "", and so
   does one that has more in less than half of the pairs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.kernels.features import COMMON_NAMES, kernel_family
from nnmeter.lab.campaign.cross_validation import cross_validate
from nnmeter.lab.campaign.samples import Samples
from nnmeter.lab.measuring.correction import SENSITIVITY
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.training.real_networks import STATE_FILE

DATA = Path(__file__).resolve().parent.parent / "data"
CLASSES = ("compute", "memory", "short")
# Sessions of the Zen 3 server: an afternoon and a night.
SESSIONS = [
    DATA / "epyc-f25m1-onnxruntime1.32-1t" / f"{name}.parquet"
    for name in ("setup-1m", "campaign", "setup-1m-again", "campaign-2", "campaign-3")
]
_LEAST_KERNELS = 80
_SHORT_MS = 0.02
_FLOPS_A_BYTE = 10.0  # of a kernel that is bound by neither on the servers of `data`
_LAGS = range(1, 6)
_LEAST_SHARE = 0.05  # of a network's time, that a class must have to tell anything
_CLIP = 0.3

Array = np.ndarray[Any, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("campaigns", nargs="*", type=Path, metavar="MEASUREMENTS")
    parser.add_argument("--sessions", action="store_true", help="of one machine: how far families of kernels move")
    parser.add_argument("--save", action="store_true", help=f"write {STATE_FILE}")
    options = parser.parse_args()
    if options.sessions:
        return sessions(options.campaigns or SESSIONS, options.save)
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


def sessions(paths: Sequence[Path], save: bool) -> int:
    """Print, and write if asked for, how far families of kernels move between sessions (rule 5)."""
    networks = {path: {(row.family, row.kernels): row for row in read_measurements(path)[0]} for path in paths}
    moved: dict[str, list[float]] = defaultdict(list)
    pairs = 0
    for one, other in combinations(paths, 2):
        both = [(networks[one][key], networks[other][key]) for key in networks[one].keys() & networks[other].keys()]
        if not both:
            continue
        pairs += 1
        whole = [np.log(b.at_reference(a.reference_ms).latency_ms / a.latency_ms) for a, b in both]
        found = family_moves(both)
        for family, shift in found.items():
            moved[family].append(shift)
        print(
            f"{one.stem} to {other.stem}: {len(both)} networks, in the median {100 * np.median(whole):+.1f} %, half of "
            f"them within {100 * np.subtract(*np.quantile(whole, [0.75, 0.25])) / 2:.1f} % of that; "
            + ", ".join(f"{family or 'others'} {100 * shift:+.1f}" for family, shift in sorted(found.items()))
        )
    states = {
        family: round(float(np.sqrt(np.mean(np.square(own)))), 4)
        for family, own in sorted(moved.items())
        if 2 * len(own) >= pairs
    }
    print(", ".join(f"{family or 'others'} {100 * spread:.1f} %" for family, spread in states.items()))
    if save:
        document = {
            "schema_version": 1,
            "made_with": "python benchmarks/machine_state.py --sessions --save",
            "sessions": len(paths),
            "pairs": pairs,
            "states": states,
        }
        STATE_FILE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {STATE_FILE}")
    return 0


def family_moves(both: Sequence[tuple[Measurement, Measurement]]) -> Mapping[str, float]:
    """Mean log ratio of the times of each family's kernels in two sessions, by time (rule 5)."""
    ratios: dict[str, list[float]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    for first, second in both:
        after = second.at_reference(first.reference_ms)
        for signature, before_ms, after_ms in zip(first.kernels, first.kernel_ms, after.kernel_ms, strict=True):
            family = kernel_family(signature)
            ratios[family].append(float(np.clip(np.log(after_ms / before_ms), -1.0, 1.0)))
            times[family].append(before_ms)
    few = {family for family, own in ratios.items() if len(own) < _LEAST_KERNELS}
    groups = [(family, [family]) for family in ratios if family not in few] + ([("", sorted(few))] if few else [])
    return {
        name: float(
            np.average(
                np.concatenate([ratios[family] for family in members]),
                weights=np.concatenate([times[family] for family in members]),
            )
        )
        for name, members in groups
    }


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
