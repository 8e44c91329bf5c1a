"""Intervals that keep their promise: split conformal prediction on networks that training did not see.

Rules:

1. The spread of a network's log error is `s = sqrt(base^2 + (jitter_ms / (total + jitter_ms))^2 + sum over kinds
   (share x sigma)^2)`: errors of kernels of one kind go together, those of different kinds are independent, `base` is
   what no kernel explains, and `jitter_ms` what an inference varies by whatever its length, which matters to the
   shortest; not without bounds, for errors of the shortest stay below a factor of two. (Of 4,228 networks of a
   campaign, 90 % of those under 0.1 ms err by less than 0.41 in the logarithm; `jitter_ms / total` gave them intervals
   of 4.8 that held 100 %, this one of 0.7.)
2. What was not sampled is no part of `s`, for the networks that intervals are fitted to say nothing of it. It errs all
   in one direction in the worst case: `u = sum over kernels (share x unsampled sigma)`, where that of a kernel priced
   by the fallback, or of a code path that was not sampled, is all of its sigma, and that of one beyond the sampled
   sizes grows with the distance. So an interval is the wider, the larger the share of what was not sampled.
3. The interval of confidence `c` is `predicted x exp(-+ sqrt((multiplier x s)^2 + (z u)^2 + shift^2 + (z m)^2))`, `z`
   being the quantile of the normal distribution, `shift` what a network that is unlike the training networks adds
   (`nnmeter.predictor.shift`), `m` the state of the machine (rule 6); its upper end is at least the prediction with all
   kernels at their worst, where data decide how much is computed.
4. The score of a network that intervals are fitted to is `sqrt(log(measured / predicted)^2 - (z u)^2) / s`. The
   `ceil((n + 1) c) / n` quantile is the multiplier of confidence `c` (Vovk et al. 2005; Lei et al. 2018).
5. `base` and `jitter_ms` are those, of a fixed grid, that give those networks the narrowest median interval.
6. A pack of one session knows one state of its machine. What kernels of a family take longer or shorter in another
   session, beyond what the reference kernel tells, has the standard deviation `states[family]`, and that of other
   families `states[""]`. Families move together in the worst case: `m = sum over kernels (share x states)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import ceil, exp, fsum, hypot, inf, sqrt
from typing import Any

import numpy as np

from nnmeter.predictor.checks import count, damaged, mapping, member, number, positive
from nnmeter.predictor.price import KernelPrice
from nnmeter.predictor.price_columns import Prices, columns_of, numbered
from nnmeter.predictor.shift import Shift

CONFIDENCES = (0.5, 0.8, 0.9, 0.95)
_NORMAL = {0.5: 0.67449, 0.8: 1.28155, 0.9: 1.64485, 0.95: 1.95996}
_LEAST_MULTIPLIER = 0.01
_WIDEST = 5.0  # half a log interval: a factor of 148 either way, which says that nothing is known
_LARGEST_STATE = 10.0
_BASES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08)
_JITTERS_MS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True, slots=True)
class IntervalModel:
    """Multipliers of the spread by confidence (rule 4), base and jitter of the spread (rule 1).

    `shift` is what unlike networks add (rule 3); None in a pack whose training does not tell. `states` is how far
    families of kernels move between sessions (rule 6); empty in a pack whose training had several, or does not tell.
    """

    base: float
    multipliers: Mapping[float, float]
    networks: int
    jitter_ms: float = 0.0
    shift: Shift | None = None
    states: Mapping[str, float] = field(default_factory=dict)

    def interval_ms(self, latency_ms: float, prices: Prices, confidence: float) -> tuple[float, float]:
        """Low and high end around a total; KeyError if there is no multiplier of the confidence."""
        columns = columns_of(prices)
        sampled = self.multipliers[confidence] * log_spread(columns, self.base, self.jitter_ms)
        shift = 0.0 if self.shift is None else self.shift.half_width(columns, confidence)
        z = normal_quantile(confidence)
        half = min(
            hypot(sampled, z * unsampled_spread(columns), shift, z * state_spread(columns, self.states)), _WIDEST
        )
        worst_ms = latency_ms + float(np.maximum(columns.worst_ms - columns.latency_ms, 0.0).sum())
        return latency_ms * exp(-half), max(latency_ms * exp(half), worst_ms)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        found: dict[str, Any] = {
            "base": self.base,
            "multipliers": {str(c): m for c, m in self.multipliers.items()},
            "networks": self.networks,
            "jitter_ms": self.jitter_ms,
        }
        if self.shift is not None:
            found["shift"] = self.shift.to_dict()
        if self.states:
            found["states"] = dict(self.states)
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> IntervalModel:
        """The model that `to_dict` described; DeviceError if a number is not what it should be."""
        multipliers = {
            _confidence(name): positive(value, f"multiplier of {name}", 0.0, inf)
            for name, value in mapping(member(data, "multipliers"), "multipliers").items()
        }
        return cls(
            positive(member(data, "base"), "base of the intervals", 0.0, inf),
            multipliers,
            count(member(data, "networks"), "networks of the intervals"),
            number(member(data, "jitter_ms"), "jitter of the intervals", 0.0, inf),
            Shift.from_dict(mapping(data["shift"], "shift"), tuple(multipliers)) if "shift" in data else None,
            {
                family: number(value, f"state of '{family}'", 0.0, _LARGEST_STATE)
                for family, value in mapping(data.get("states", {}), "states").items()
            },
        )


def _confidence(name: str) -> float:
    """A confidence as JSON has it: the key of an object."""
    try:
        found = float(name)
    except ValueError:
        found = inf
    if not 0 < found < 1:
        raise damaged(f"the intervals are of the confidence '{name}', not of one between 0 and 1")
    return found


def normal_quantile(confidence: float) -> float:
    """Half the width of the interval of a normal distribution that holds a value with this probability."""
    known = _NORMAL.get(confidence)
    if known is not None:
        return known
    from statistics import NormalDist

    return NormalDist().inv_cdf(0.5 + confidence / 2)


def log_spread(prices: Prices, base: float, jitter_ms: float = 0.0) -> float:
    """The spread of a network's log error (rule 1)."""
    columns = columns_of(prices)
    total = columns.total_ms
    by_kind = np.bincount(columns.kind, columns.latency_ms * columns.sampled) / total
    # Exactly rounded, so that it does not matter in which order kinds were numbered.
    return sqrt(base * base + _short(jitter_ms, total) ** 2 + fsum((by_kind * by_kind).tolist()))


def _short(jitter_ms: float, totals_ms: Any) -> Any:
    """What the jitter adds to the spread of networks that take so long (rule 1)."""
    return jitter_ms / (totals_ms + jitter_ms)


def unsampled_spread(prices: Prices) -> float:
    """What was not sampled adds to the log error (rule 2)."""
    columns = columns_of(prices)
    return float((columns.latency_ms * columns.unsampled).sum()) / columns.total_ms


def state_spread(prices: Prices, states: Mapping[str, float]) -> float:
    """What another state of the machine may add to the log error (rule 6)."""
    if not states:
        return 0.0
    columns = columns_of(prices)
    other = states.get("", 0.0)
    of_kinds = np.array([other if kind is None else states.get(kind.family, other) for kind in numbered()])
    return float((columns.latency_ms * of_kinds[columns.kind]).sum()) / columns.total_ms


def fit_intervals(log_errors: np.ndarray, networks: Sequence[Sequence[KernelPrice]]) -> IntervalModel:
    """Fit intervals to out-of-sample networks.

    Args:
        log_errors: log(measured / predicted) of each network.
        networks: the kernel prices that each prediction summed.
    """
    explained = np.array([log_spread(prices, 0.0) for prices in networks])
    totals = np.array([sum(p.latency_ms for p in prices) or 1.0 for prices in networks])
    return fit_intervals_to_spreads(
        log_errors, explained, totals, np.array([unsampled_spread(prices) for prices in networks])
    )


def explained_spreads(
    latency_ms: np.ndarray, sigma: np.ndarray, kind: np.ndarray, network: np.ndarray, networks: int
) -> tuple[np.ndarray, np.ndarray]:
    """What kernels explain of the spread of each network's log error (rule 1), for many networks at once.

    Args:
        latency_ms: price of each kernel [rows].
        sigma: standard deviation of its logarithm, without the part of what was not sampled [rows].
        kind: number of its kind [rows].
        network: number of its network [rows].
        networks: how many networks there are.

    Returns:
        Spread without base and jitter, and sum of the prices [networks].
    """
    pair, inverse = np.unique(network * (int(kind.max(initial=0)) + 1) + kind, return_inverse=True)
    sums = np.bincount(inverse, latency_ms * sigma)
    owner = pair // (int(kind.max(initial=0)) + 1)
    totals = np.bincount(network, latency_ms, networks)
    totals[totals == 0] = 1.0
    return np.sqrt(np.bincount(owner, sums**2, networks)) / totals, totals


def half_widths(
    model: IntervalModel, confidence: float, explained: np.ndarray, totals_ms: np.ndarray, unsampled: np.ndarray
) -> np.ndarray:
    """Half the width of the log interval of each network (rule 3), given what `explained_spreads` returns."""
    spreads = np.sqrt(explained**2 + model.base**2 + _short(model.jitter_ms, totals_ms) ** 2)
    return np.hypot(model.multipliers[confidence] * spreads, normal_quantile(confidence) * unsampled)


def fit_intervals_to_spreads(
    log_errors: np.ndarray, explained: np.ndarray, totals_ms: np.ndarray, unsampled: np.ndarray
) -> IntervalModel:
    """Fit to out-of-sample networks, as `fit_intervals`, given what `explained_spreads` returns.

    Args:
        log_errors: log(measured / predicted) of each network.
        explained: spread of each without base and jitter.
        totals_ms: sum of the prices of each.
        unsampled: what was not sampled adds to the log error of each (rule 2).
    """
    count = len(log_errors)
    squares = {c: np.maximum(log_errors**2 - (normal_quantile(c) * unsampled) ** 2, 0.0) for c in CONFIDENCES}
    best: tuple[float, IntervalModel] | None = None
    for base, jitter_ms in product(_BASES, _JITTERS_MS):
        spreads = np.sqrt(explained**2 + base**2 + _short(jitter_ms, totals_ms) ** 2)
        multipliers = {}
        for c in CONFIDENCES:
            scores = np.sort(np.sqrt(squares[c]) / spreads)
            multipliers[c] = max(float(scores[min(ceil((count + 1) * c), count) - 1]), _LEAST_MULTIPLIER)
        width = float(np.median(spreads) * multipliers[0.9])
        if best is None or width < best[0]:
            best = (width, IntervalModel(base, multipliers, count, jitter_ms))
    assert best is not None
    return best[1]
