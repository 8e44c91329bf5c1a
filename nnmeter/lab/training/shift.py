"""What leaving families out shows of networks that are unlike the training networks.

Rules:

1. Families of `LEAST_NETWORKS` networks or more are clusters, if there are `LEAST_FAMILIES` of them; else nothing is
   learned, nor where intervals were fitted to families that were left out, for then they hold such networks as they
   are. Networks that were made at random have no family (`folds`, rule 3): none is like the other.
2. Networks of families that the others have too, a fold at a time, say within which distance a network is alike: the
   least, of the quantiles `_NEAR` of theirs, with which their 90 % intervals grow by no more than a budget in the mean.
3. Each family in turn is at its distance from the clusters of the others, and its networks were predicted by what had
   not seen the family. The score of such a network is the error that its interval lacks, by the growth at its distance.
4. The spread of confidence `c` is `MARGIN` times the quantile `c`, over the families, of the quantiles `c` of their
   scores. At 90 % and ten families it is the largest: a new family errs more than most of the few that were left out.
   (benchmarks/shift_of_packs.py learns without a family and holds 80 to 100 % of it, every family of four devices.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.predictor.intervals import CONFIDENCES
from nnmeter.predictor.price import KernelPrice
from nnmeter.predictor.shift import FLOOR, Cluster, Shift, growth

LEAST_FAMILIES = 5
LEAST_NETWORKS = 100
MARGIN = 1.5
BUDGET = 0.1
_NEAR = tuple(q / 1000 for q in range(950, 1001))
_LEAST_FAR = 20  # networks of a family beyond the ramp, for the family to say something
_MOST_AXES = 16
_FLAT = 0.3  # of the floor: a cluster varies no more along axes that are left out


def fit_shift(
    described: np.ndarray,
    kinds: Sequence[Kind],
    families: Sequence[str],
    fold: np.ndarray,
    log_errors: np.ndarray,
    half_widths: dict[float, np.ndarray],
    usual: float,
    budget: float = BUDGET,
) -> Shift | None:
    """Learn how much wider intervals of unlike networks must be.

    Args:
        described: networks as `describe_networks` describes them [networks, dimensions].
        kinds: of its columns.
        families: of each network, "" where it has none [networks].
        fold: of each network; folds mix the families [networks].
        log_errors: log(measured / predicted) of each where its family was left out, NaN where not known [networks].
        half_widths: by confidence, half of each log interval without shift [networks].
        usual: mean half width of the 90 % log interval of networks of families that were seen.
        budget: by how much of it theirs may grow in the mean (rule 2).

    Returns:
        None where the families do not tell (rule 1).
    """
    names = np.array(families)
    known, counts = np.unique(names, return_counts=True)
    known = known[(counts >= LEAST_NETWORKS) & (known != "")]
    if len(known) < LEAST_FAMILIES:
        return None
    clusters = [_cluster(described[names == name]) for name in known]
    seen = np.concatenate([_left_out(described, names, known, fold == f) for f in np.unique(fold)])
    all_of = np.stack([cluster.distances(described) for cluster in clusters], axis=1)
    apart = [
        _Apart(np.delete(all_of[mine], number, axis=1).min(axis=1), log_errors[mine] ** 2, half_widths, mine)
        for number, name in enumerate(known)
        if (mine := (names == name) & ~np.isnan(log_errors)).any()
    ]
    found: Shift | None = None
    for quantile in _NEAR:
        near = round(float(np.quantile(seen, quantile)), 5)
        spreads = _spreads([scores for a in apart if (scores := a.scores(near)) is not None])
        if spreads is None:
            continue
        found = Shift(tuple(kinds), tuple(clusters), near, spreads, len(apart))
        if np.hypot(usual, spreads[0.9] * growth(seen / near)).mean() <= (1.0 + budget) * usual:
            break
    return found


@dataclass(frozen=True, slots=True)
class _Apart:
    """A family that was left out: distances of its networks from the clusters of the others, and their errors."""

    distances: np.ndarray
    squared_errors: np.ndarray
    half_widths: dict[float, np.ndarray]
    mine: np.ndarray

    def scores(self, near: float) -> dict[float, float] | None:
        """The quantiles of its scores by confidence (rule 3); None where too few of its networks are far."""
        grown = growth(self.distances / near)
        far = grown >= 1.0
        if far.sum() < _LEAST_FAR:
            return None
        found = {}
        for c in CONFIDENCES:
            lacking = np.sqrt(np.maximum(self.squared_errors - self.half_widths[c][self.mine] ** 2, 0.0))
            found[c] = float(np.quantile(lacking[far] / grown[far], c))
        return found


def _spreads(scores: Sequence[dict[float, float]]) -> dict[float, float] | None:
    """Rule 4."""
    if len(scores) < LEAST_FAMILIES:
        return None
    spreads: dict[float, float] = {}
    for c in CONFIDENCES:
        rank = min(ceil((len(scores) + 1) * c), len(scores))
        spreads[c] = round(max(MARGIN * sorted(s[c] for s in scores)[rank - 1], *spreads.values(), 0.0), 5)
    return spreads


def _left_out(described: np.ndarray, names: np.ndarray, known: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Distances of the held networks of known families from clusters that were made without them (rule 2)."""
    clusters = [_cluster(described[(names == name) & ~held]) for name in known]
    mine = np.isin(names, known) & held
    return np.asarray(np.min([cluster.distances(described[mine]) for cluster in clusters], axis=0))


def known_too(shift: Shift, networks: Sequence[Sequence[KernelPrice]]) -> Shift:
    """The shift of a predictor that was calibrated with these networks, too: networks like them are alike."""
    found = [described for prices in networks if (described := shift.describe(prices)) is not None]
    if not found:
        return shift
    return replace(shift, clusters=(*shift.clusters, _cluster(np.stack(found))))


def _cluster(described: np.ndarray) -> Cluster:
    """The cluster of some networks: their mean, and the axes along which they differ most."""
    mean = described.mean(axis=0)
    _, sizes, axes = np.linalg.svd(described - mean, full_matrices=False)
    deviations = sizes / np.sqrt(max(len(described) - 1, 1))
    kept = np.flatnonzero(deviations[:_MOST_AXES] > _FLAT * FLOOR)
    return Cluster(mean, axes[kept], deviations[kept])
