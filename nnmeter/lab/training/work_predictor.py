"""A device's predictor from its rates: vocabulary, intervals, baselines, and what is not known.

Rules:

1. A kind of kernel is sampled where a network that the device was measured with has it. The standard deviation of its
   price is that of its work in these networks, by the covariance of the rates; that of any other kernel is told by the
   deviations of its rates alone (`nnmeter.predictor.work`). Rates of work that none of its networks does are told by
   its relatives and its roofline (`unseen_work`).
2. Intervals are conformal over networks that were left out on all devices. Families that were left out count with the
   weight `FAMILY_WEIGHT`: a user's network is mostly, not always, of a family that the table has.
3. A device of many networks may have trees over its rates (`work_trees`), by which prices are multiplied.
4. With `n` networks the quantile of confidence `c` is the `c (1 + 1 / n)` one: fewer networks, wider intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.lab.training.network_work import NetworkWork, sampled_kinds
from nnmeter.lab.training.population import DeviceRates, Matrix
from nnmeter.lab.training.unseen_work import complete_rates, seen_groups
from nnmeter.lab.training.work_trees import Trees
from nnmeter.predictor.baselines import Baselines, fit_baselines, network_totals
from nnmeter.predictor.intervals import CONFIDENCES, IntervalModel
from nnmeter.predictor.kernel_predictor import FALLBACK, KernelPredictor
from nnmeter.predictor.roofline import Roofline, fit_roofline_to_totals
from nnmeter.predictor.trees import ARRAYS, TreeEnsemble
from nnmeter.predictor.vocabulary import Sampled
from nnmeter.predictor.work import SORTS, WorkRates

FAMILY_WEIGHT = 0.05
_BASES = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
_LEAST_MULTIPLIER = 0.05
_WIDTH_OF = 0.9  # the confidence whose intervals are made narrow
_LEAST_SIGMA = 0.01
_LAUNCHES = np.array([place for place, name in enumerate(SORTS) if name.endswith(".launch")])


@dataclass(frozen=True, slots=True)
class Errors:
    """Log errors (measured over predicted) of networks that were left out; `families` with their whole family."""

    networks: Matrix
    families: Matrix


def make_predictor(
    rates: DeviceRates,
    networks: Sequence[NetworkWork],
    latency_ms: Matrix,
    errors: Errors,
    kind: str = "cpu",
    trees: Trees | None = None,
) -> KernelPredictor:
    """The predictor of a device.

    Args:
        rates: of the device.
        networks: that it was measured with.
        latency_ms: their times.
        errors: of the same networks, left out.
        kind: of the device: cpu, gpu, npu, ...
        trees: over its rates (rule 3).
    """
    sigmas = kind_sigmas(rates, networks)
    codes = {} if trees is None else trees.codes
    vocabulary = {
        kind: Sampled(codes.get(kind, 0.0), count, sigmas[kind], tuple(low.tolist()), tuple(high.tolist()), paths=paths)
        for kind, (count, low, high, paths) in sampled_kinds(networks).items()
    }
    roofline, baselines = fit_rooflines(networks, latency_ms)
    known, deviations = complete_rates(rates, networks, roofline, kind)
    launch_ms = float(np.exp(known.theta[_LAUNCHES]).min())
    nothing = _no_trees()
    work = WorkRates(np.exp(known.theta[:-1]), deviations, frozenset(seen_groups(networks)))
    return KernelPredictor(
        replace(roofline, launch_ms=max(min(roofline.launch_ms, launch_ms), 1e-8)),
        vocabulary,
        {
            FALLBACK: nothing,
            **{kind.family: nothing for kind in vocabulary},
            **({} if trees is None else trees.ensembles),
        },
        float(np.median(work.sigmas)),
        fit_work_intervals(errors, explained_spreads(rates, networks, sigmas)),
        baselines,
        overhead_ms=float(np.exp(rates.theta[-1])) if trees is None else trees.overhead_ms,
        work=work,
    )


def fit_rooflines(networks: Sequence[NetworkWork], latency_ms: Matrix) -> tuple[Roofline, Baselines]:
    """The roofline of a device, fitted to its networks, and the baselines of scorecards."""
    costs = np.array([network.cost for network in networks])
    by_type = [network.flops_by_type() for network in networks]
    classes = sorted(set().union(*by_type))
    flops = {name: np.array([own.get(name, 0.0) for own in by_type]) for name in classes}
    roofline, _ = fit_roofline_to_totals(flops, costs[:, 1], costs[:, 2], latency_ms)
    totals = np.array([network_totals(network.costs, network.item_bits, roofline) for network in networks])
    return roofline, fit_baselines(totals, latency_ms)


def kind_sigmas(rates: DeviceRates, networks: Sequence[NetworkWork]) -> dict[Kind, float]:
    """Standard deviation of the log of what the kernels of a kind take together in a network (rule 1)."""
    price = np.exp(rates.theta)
    found: dict[Kind, list[float]] = {}
    for network in networks:
        for kind, own in network.kinds.items():
            parts = own.work * price
            total = float(parts.sum())
            if total > 0:
                shares = parts / total
                found.setdefault(kind, []).append(float(np.sqrt(max(shares @ rates.covariance @ shares, 0.0))))
    kinds = {kind for network in networks for kind in network.kinds}
    return {kind: max(float(np.median(found.get(kind, [0.0]))), _LEAST_SIGMA) for kind in kinds}


def explained_spreads(rates: DeviceRates, networks: Sequence[NetworkWork], sigmas: dict[Kind, float]) -> Matrix:
    """What kinds of kernels explain of the spread of each network's log error (`predictor.intervals`, rule 1)."""
    price = np.exp(rates.theta)
    found = []
    for network in networks:
        parts = [(float(own.work @ price), sigmas[kind]) for kind, own in network.kinds.items()]
        total = sum(part for part, _ in parts) or 1.0
        found.append(float(np.sqrt(sum((part / total * sigma) ** 2 for part, sigma in parts))))
    return np.array(found)


def fit_work_intervals(errors: Errors, explained: Matrix) -> IntervalModel:
    """Conformal intervals over networks and families left out (rules 2 and 3), as narrow as any base allows."""
    if not len(explained):
        raise ValueError("there are no networks to fit intervals to")

    def width(base: float) -> float:
        spreads = np.hypot(explained, base)
        return float(np.median(spreads)) * conformal_multiplier(errors, spreads, _WIDTH_OF)

    base = min(_BASES, key=width)
    spreads = np.hypot(explained, base)
    return IntervalModel(base, {c: conformal_multiplier(errors, spreads, c) for c in CONFIDENCES}, len(explained))


def conformal_multiplier(errors: Errors, spreads: Matrix, confidence: float) -> float:
    """Of the spreads, what holds networks with that confidence: where the weight of the scores up to it is enough."""
    count = len(spreads)
    together = np.concatenate([errors.networks, errors.families])
    weights = np.concatenate([np.ones(count), np.full(count, FAMILY_WEIGHT)])
    known = ~np.isnan(together)
    scores = (np.abs(together) / np.concatenate([spreads, spreads]))[known]
    order = np.argsort(scores)
    reached = np.cumsum(weights[known][order]) / weights[known].sum()
    place = int(np.searchsorted(reached, min(confidence * (1.0 + 1.0 / max(count, 1)), 1.0) - 1e-9))
    return max(float(scores[order][min(place, len(scores) - 1)]), _LEAST_MULTIPLIER)


def _no_trees() -> TreeEnsemble:
    return TreeEnsemble(**{name: np.zeros(0, dtype) for name, dtype in ARRAYS.items()}, bias=0.0)
