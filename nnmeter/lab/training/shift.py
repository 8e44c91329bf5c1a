"""What leaving families out shows of networks that are unlike the training networks.

Rules:

1. Families of `LEAST_NETWORKS` networks or more are clusters, if there are `LEAST_FAMILIES` of them; else nothing is
   learned, nor where intervals were fitted to families that were left out, for then they hold such networks as they
   are. Networks that were made at random have no family (`folds`, rule 3): none is like the other.
2. The networks of one fold, of families that the others have too, say within which distance a network is alike.
3. Each family in turn is at its distance from the clusters of the others, and its networks were predicted by what had
   not seen the family. The score of such a network is the error that its interval lacks, by the growth at its distance.
4. The spread of confidence `c` is `MARGIN` times the quantile `c`, over the families, of the quantiles `c` of their
   scores. At 90 % and ten families it is the largest: a new family errs more than most of the few that were left out.
   (Leaving out a further family each time, on three devices with ten or eleven families: without the margin the 90 %
   intervals held 14 to 100 % of the worst family, with it 86 % or more.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.predictor.intervals import CONFIDENCES
from nnmeter.predictor.price import KernelPrice
from nnmeter.predictor.shift import FLOOR, Cluster, Shift, growth

LEAST_FAMILIES = 5
LEAST_NETWORKS = 100
MARGIN = 1.5
_NEAR = 0.99  # of the networks of rule 2 are alike
_LEAST_FAR = 20  # networks of a family beyond the ramp, for the family to say something
_MOST_AXES = 16
_FLAT = 0.3  # of the floor: a cluster varies no more along axes that are left out


def fit_shift(
    described: np.ndarray,
    kinds: Sequence[Kind],
    families: Sequence[str],
    held: np.ndarray,
    log_errors: np.ndarray,
    half_widths: dict[float, np.ndarray],
) -> Shift | None:
    """Learn how much wider intervals of unlike networks must be.

    Args:
        described: networks as `describe_networks` describes them [networks, dimensions].
        kinds: of its columns.
        families: of each network, "" where it has none [networks].
        held: whether each is of the fold of rule 2 [networks].
        log_errors: log(measured / predicted) of each where its family was left out, NaN where not known [networks].
        half_widths: by confidence, half of each log interval without shift [networks].

    Returns:
        None where the families do not tell (rule 1).
    """
    names = np.array(families)
    known, counts = np.unique(names, return_counts=True)
    known = known[(counts >= LEAST_NETWORKS) & (known != "")]
    if len(known) < LEAST_FAMILIES:
        return None
    clusters = [_cluster(described[names == name]) for name in known]
    rest = [_cluster(described[(names == name) & ~held]) for name in known]
    seen = np.isin(names, known) & held
    near = float(np.quantile(_nearest(rest, described[seen]), _NEAR))
    apart = np.stack([cluster.distances(described) for cluster in clusters], axis=1) / near
    scores: dict[float, list[float]] = {c: [] for c in CONFIDENCES}
    for number, name in enumerate(known):
        mine = (names == name) & ~np.isnan(log_errors)
        grown = growth(np.delete(apart[mine], number, axis=1).min(axis=1))
        far = grown >= 1.0
        if far.sum() < _LEAST_FAR:
            continue
        for c in CONFIDENCES:
            lacking = np.sqrt(np.maximum(log_errors[mine] ** 2 - half_widths[c][mine] ** 2, 0.0))
            scores[c].append(float(np.quantile(lacking[far] / grown[far], c)))
    count = len(scores[CONFIDENCES[0]])
    if count < LEAST_FAMILIES:
        return None
    spreads: dict[float, float] = {}
    for c in CONFIDENCES:
        rank = min(ceil((count + 1) * c), count)
        spreads[c] = round(max(MARGIN * sorted(scores[c])[rank - 1], *spreads.values(), 0.0), 5)
    return Shift(tuple(kinds), tuple(clusters), round(near, 5), spreads, count)


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


def _nearest(clusters: Sequence[Cluster], described: np.ndarray) -> np.ndarray:
    return np.asarray(np.min([cluster.distances(described) for cluster in clusters], axis=0))
