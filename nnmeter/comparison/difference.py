"""How sure the difference of two predictions is.

Two predictions of one device err alike in what both have: a kernel of both costs what it costs, whatever that is. So
the difference is known far better than either time. This module says how much better.

Rules:

1. What is uncertain is the log ratio of the two times, `log(after / before)`. A kernel's error counts with the
   difference of its shares of the two times: that of a kernel with the same share of both cancels.
2. Kernels of one signature have one error. Errors of kernels of one kind go together by `rho`, for one ensemble prices
   them; those of different kinds are independent. So the variance is, summed over kinds, `rho x (sum of differences of
   shares x sigma)^2 + (1 - rho) x sum of (difference of share x sigma)^2`, the latter over signatures.
3. What no kernel explains is independent to the extent that the two have no time in common: it adds `own^2 x (1 - the
   time in common)`, and `floor^2` whatever they have in common, which is what measuring itself scatters by. What an
   inference varies by whatever its length adds to both, as in `nnmeter.predictor.intervals`.
4. What was not sampled errs all in one direction in the worst case, and cancels like the rest: `u` is, summed over
   kinds, `rho x |sum of differences of shares x unsampled sigma| + (1 - rho) x sum of |difference of share x unsampled
   sigma|`.
5. Half of the interval of confidence `c` is `sqrt((scale_c x multiplier_c x s)^2 + (z u)^2)`, the multiplier being that
   of the pack's own intervals, which says how good its sigmas are. `rho`, `own`, `floor` and `scale` were fitted to
   pairs of measured models: `difference.json`, by `benchmarks/compare_pairs.py`, which also states how well this holds
   on families left out.
6. Predictions of two devices have no errors in common, and the variances of their log errors add up. Their intervals
   have scales of their own, fitted to models that were measured on both.
7. Predictions for a machine that no pack is of err by what machines differ by. What of it is common to all models
   cancels; what models scatter by around it adds `machines^2 x (1 - the time in common)` to the variance, at whatever
   confidence. It was fitted to a machine that no pack is of.
8. A difference in milliseconds is off by what both times are off by alike, too: that multiplies it. Where the ratio's
   interval says which is the longer, the two errors add up in squares of their logarithms, so that the sign stays.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import exp, hypot, log, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnmeter.errors import NnmeterError
from nnmeter.predictor.intervals import normal_quantile
from nnmeter.predictor.tails import probability_below

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.prediction.priced_kernel import PricedKernel
    from nnmeter.predictor.intervals import IntervalModel

DIFFERENCE_FILE = Path(__file__).with_name("difference.json")
_WIDEST = 5.0  # as the intervals of times


@dataclass(frozen=True, slots=True)
class DifferenceModel:
    """What is known of how errors go together (rules 2, 3 and 5).

    Attributes:
        rho: how far errors of kernels of one kind go together, 0 to 1.
        own: standard deviation of what no kernel explains, of two models with nothing in common.
        floor: standard deviation of what is left whatever they have in common.
        scales: by confidence, for two predictions of one device (rule 5).
        device_scales: for predictions of two devices (rule 6).
        machines: standard deviation of what models scatter by on a machine that no pack is of (rule 7).
    """

    rho: float
    own: float
    floor: float
    scales: Mapping[float, float]
    device_scales: Mapping[float, float]
    machines: float


@dataclass(frozen=True, slots=True)
class Errors:
    """What two predictions have in common, and what not, as the rules count it.

    Attributes:
        together: variance if errors of a kind went together wholly (rule 2).
        apart: variance if those of each signature were independent.
        short: variance that both have for being short.
        common: share of the time that both have in common (rule 3); 0 to 1.
        unsampled_together, unsampled_apart: the two sums of rule 4.
        devices: whether they are of two devices (rule 6).
        transferred: whether they are for a machine that no pack is of (rule 7).
    """

    together: float
    apart: float
    short: float
    common: float
    unsampled_together: float
    unsampled_apart: float
    devices: bool = False
    transferred: bool = False

    def spread(self, model: DifferenceModel) -> float:
        """The spread of the log ratio, without what was not sampled (rules 2 and 3)."""
        explained = model.rho * self.together + (1 - model.rho) * self.apart
        return sqrt(explained + self.short + model.own**2 * (1 - self.common) + model.floor**2)

    def unsampled(self, model: DifferenceModel) -> float:
        """What was not sampled adds, and what models scatter by on another machine (rules 4 and 7)."""
        u = model.rho * self.unsampled_together + (1 - model.rho) * self.unsampled_apart
        return hypot(u, model.machines * sqrt(1 - self.common)) if self.transferred else u

    def half_width(self, model: DifferenceModel, confidence: float, multiplier: float) -> float:
        """Half of the interval of the log ratio (rule 5), given the multiplier of the packs."""
        scale = (model.device_scales if self.devices else model.scales)[confidence]
        sampled = scale * multiplier * self.spread(model)
        return min(hypot(sampled, normal_quantile(confidence) * self.unsampled(model)), _WIDEST)


@dataclass(frozen=True, slots=True)
class LogRatio:
    """The log ratio of two times, with half of its interval at each confidence."""

    value: float
    halves: Mapping[float, float]

    @property
    def probability_positive(self) -> float:
        """The probability that the second time is the longer one."""
        return probability_below(self.value, self.halves)


def log_ratio(before: Prediction, after: Prediction, model: DifferenceModel | None = None) -> LogRatio:
    """How much longer the second takes, and how sure that is (rule 5)."""
    model = model or read_model()
    errors = errors_between(before, after)
    multipliers = multipliers_of(before, after)
    halves = {
        confidence: errors.half_width(model, confidence, multipliers[confidence])
        for confidence in model.scales
        if confidence in multipliers
    }
    return LogRatio(log(after.latency_ms / before.latency_ms), halves)


def difference_interval_ms(first_ms: float, ratio: float, half: float, own: float) -> tuple[float, float]:
    """The interval of a difference in milliseconds; its sign is known if that of the log ratio is (rule 8).

    Args:
        first_ms: the first of the two times.
        ratio: the second by the first.
        half: of the interval of the log ratio.
        own: half of the log interval of the first time.
    """
    difference = first_ms * (ratio - 1)
    low, high = first_ms * (ratio * exp(-half) - 1), first_ms * (ratio * exp(half) - 1)
    if low <= 0 <= high:
        alike = abs(difference) * own
        return difference - hypot(difference - low, alike), difference + hypot(high - difference, alike)
    ends = [difference * exp(_sign(end / difference - 1) * hypot(log(end / difference), own)) for end in (low, high)]
    return ends[0], ends[1]


def _sign(value: float) -> int:
    return 1 if value > 0 else -1


def errors_between(before: Prediction, after: Prediction) -> Errors:
    """What the errors of two predictions have in common (rules 1 to 4, 6 and 7)."""
    shares: dict[str, dict[Any, list[float]]] = defaultdict(dict)
    common = 0.0
    for side, prediction in enumerate((before, after)):
        device = "" if before.device == after.device else f"{side}"
        for kernel in prediction.kernels:
            kind, identity = _identity(kernel, device)
            entry = shares[kind].setdefault(identity, [0.0, 0.0, *_sigmas(kernel)])
            entry[side] += kernel.latency_ms / prediction.latency_ms
    together = apart = unsampled_together = unsampled_apart = 0.0
    for entries in shares.values():
        net = net_unsampled = 0.0
        for first, second, sigma, unsampled in entries.values():
            common += min(first, second)
            difference = second - first
            net += difference * sigma
            apart += (difference * sigma) ** 2
            net_unsampled += difference * unsampled
            unsampled_apart += abs(difference * unsampled)
        together += net**2
        unsampled_together += abs(net_unsampled)
    short = sum(_short(p.errors, p.latency_ms) ** 2 for p in (before, after)) if common < 1 - 1e-9 else 0.0
    transferred = any(p.machine is not None and p.machine.needs_transfer for p in (before, after))
    devices = before.device != after.device
    return Errors(together, apart, short, min(common, 1.0), unsampled_together, unsampled_apart, devices, transferred)


def _identity(kernel: PricedKernel, device: str) -> tuple[str, Any]:
    """What a kernel's error is shared by: its kind, and its signature."""
    kind = kernel.type if kernel.price is None else str(kernel.price.kind)
    return f"{device}{kind}", kernel.signature or kernel.name


def _sigmas(kernel: PricedKernel) -> tuple[float, float]:
    """Sampled and unsampled part of the standard deviation of a kernel's price."""
    if kernel.price is None:
        return 0.0, 0.0
    return kernel.price.sigma - kernel.price.unsampled_sigma, kernel.price.unsampled_sigma


def _short(errors: IntervalModel | None, total_ms: float) -> float:
    jitter_ms = 0.0 if errors is None else errors.jitter_ms
    return jitter_ms / (total_ms + jitter_ms) if jitter_ms else 0.0


def multipliers_of(before: Prediction, after: Prediction) -> dict[float, float]:
    """Multipliers of the packs' intervals: their root mean square where there are two.

    Raises:
        NnmeterError: nobody said what the intervals of a prediction rest on.
    """
    known = []
    for prediction in (before, after):
        if prediction.errors is None:
            raise NnmeterError(f"{prediction.model}: nothing is known of the errors of its device; predict it again")
        known.append(prediction.errors.multipliers)
    return {c: sqrt(sum(m[c] ** 2 for m in known) / 2) for c in known[0] if c in known[1]}


@lru_cache(maxsize=1)
def read_model() -> DifferenceModel:
    """What ships with the package."""
    document = json.loads(DIFFERENCE_FILE.read_text(encoding="utf-8"))
    rho, own, floor, machines = (float(document[name]) for name in ("rho", "own", "floor", "machines"))
    scales, device_scales = (
        {float(confidence): float(scale) for confidence, scale in document[name].items()}
        for name in ("scales", "device_scales")
    )
    return DifferenceModel(rho, own, floor, scales, device_scales, machines)
