"""How unlike the training networks a network is, and how much wider that makes its interval.

Rules:

1. A network is described by the kernels that make its time: of each kind that was sampled its share of the time, and
   the logarithms of its kernels' FLOPs and bytes, as means over that time and over the kernels. The latter fade out for
   a kind below `PRESENT` of the time. No name counts.
2. The training networks are clusters, one a family. The distance to a cluster is that of Mahalanobis, a dimension,
   with `FLOOR` added to the deviation along every axis; the distance of a network is that to the nearest cluster.
3. A network is alike within `near`, which nearly all networks keep that were left out at random of families that
   stayed: nothing is added to its interval. From there on what is added grows; at `RAMP` times the distance it is what
   leaving families out showed, and beyond that it grows with the distance to the power of `GROWTH`.
4. What leaving families out showed is, for each confidence, half the width of a log interval (`spreads`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.predictor.checks import damaged, mapping, member, number, positive, sequence, text
from nnmeter.predictor.price_columns import PROCESS, Prices, columns_of, numbered

FLOOR = 0.01  # of the deviation of a cluster along any axis
PRESENT = 0.005  # share of the time from which the sizes of a kind's kernels count in full
KNOWN = 0.5  # of the time must kernels make that were sampled, for a network to be judged
RAMP = 1.25
GROWTH = 0.15
FEATURES = 5  # of each kind (rule 1)
_USUAL = (25.0, 18.0)  # logarithms of FLOPs and bytes that are described as 0
_UNIT = 4.0  # doublings that are described as 1
_MOST_CLUSTERS, _MOST_KINDS, _MOST_AXES = 256, 256, 64
_LARGEST = 1e4  # of what is stored of a cluster


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """Networks that are alike (rule 2).

    Attributes:
        mean: their mean description [dimensions].
        axes: orthonormal directions in which they differ, as rows [axes, dimensions].
        deviations: standard deviation along each, without the floor [axes].
    """

    mean: np.ndarray
    axes: np.ndarray
    deviations: np.ndarray

    def distances(self, described: np.ndarray, floor: float = FLOOR) -> np.ndarray:
        """The distance of each network [networks] from its description [networks, dimensions]."""
        apart = described - self.mean
        along = apart @ self.axes.T
        rest = np.maximum((apart**2).sum(axis=1) - (along**2).sum(axis=1), 0.0) / floor**2
        squared = (along**2 / (self.deviations**2 + floor**2)).sum(axis=1) + rest
        return np.asarray(np.sqrt(squared / described.shape[1]))


class Nearest:
    """The distance of one network to the nearest cluster, of all clusters at once."""

    def __init__(self, clusters: Sequence[Cluster], floor: float = FLOOR) -> None:
        """Stack the axes of the clusters; `floor` as in `Cluster.distances`."""
        self._means = np.stack([cluster.mean for cluster in clusters])
        self._axes = np.concatenate([cluster.axes for cluster in clusters])
        self._owner = np.repeat(np.arange(len(clusters)), [len(cluster.axes) for cluster in clusters])
        self._centre = np.einsum("ad,ad->a", self._axes, self._means[self._owner])
        # What is along an axis counts by its deviation, and not as the rest, which counts by the floor.
        deviations = np.concatenate([cluster.deviations for cluster in clusters])
        self._gain = 1.0 / (deviations**2 + floor**2)
        self._floor = floor

    def distance(self, described: np.ndarray) -> float:
        """The distance of a network from its description [dimensions]."""
        count = len(self._means)
        apart = described - self._means
        along = (self._axes @ described - self._centre) ** 2
        inside = np.bincount(self._owner, along, count)
        rest = np.maximum(np.einsum("cd,cd->c", apart, apart) - inside, 0.0) / self._floor**2
        squared = np.bincount(self._owner, along * self._gain, count) + rest
        return float(np.sqrt(squared.min() / len(described)))


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """What leaving families out of training showed of networks that are unlike the others.

    Attributes:
        kinds: kinds of kernels that networks are described by, in order.
        clusters: of the training networks.
        near: distance within which a network is alike (rule 3).
        spreads: half width of the log interval by confidence (rule 4).
        families: how many families were left out in turn.
    """

    kinds: tuple[Kind, ...]
    clusters: tuple[Cluster, ...]
    near: float
    spreads: Mapping[float, float]
    families: int
    _by_number: list[tuple[object, np.ndarray]] = field(default_factory=list, init=False, repr=False)
    _nearest: list[Nearest] = field(default_factory=list, init=False, repr=False)
    _last: list[tuple[Prices, float]] = field(default_factory=list, init=False, repr=False)

    def describe(self, prices: Prices) -> np.ndarray | None:
        """The description of a network [dimensions]; None where kernels that were sampled make less than `KNOWN`."""
        columns = columns_of(prices)
        place = self._places(columns.kind)
        shares = columns.latency_ms / columns.total_ms
        known = place >= 0
        if not known.any() or float(shares[known].sum()) < KNOWN:
            return None
        return describe_networks(
            place[known],
            shares[known],
            columns.flops[known],
            columns.bytes[known],
            np.zeros(int(known.sum()), dtype=np.intp),
            (1, len(self.kinds)),
        )[0]

    def _places(self, numbers: np.ndarray) -> np.ndarray:
        """Where `kinds` has each kind, given their numbers [kernels]; -1 for one that it does not have."""
        for process, places in self._by_number:
            if process is PROCESS and (not len(numbers) or int(numbers.max()) < len(places)):
                return np.asarray(places[numbers])
        own = {kind: place for place, kind in enumerate(self.kinds)}
        places = np.array([-1 if kind is None else own.get(kind, -1) for kind in numbered()], dtype=np.intp)
        self._by_number[:] = [(PROCESS, places)]
        return np.asarray(places[numbers])

    def distance(self, prices: Prices) -> float:
        """How unlike a network is, as a multiple of `near`: up to 1 it is alike.

        One whose time kernels make that were not sampled is not judged: what was not sampled widens its interval
        anyway.
        """
        for last, found in self._last:
            if last is prices:  # intervals and notes ask for the same network, one after the other
                return found
        if not self._nearest:
            self._nearest.append(Nearest(self.clusters))
        described = self.describe(prices)
        found = 0.0 if described is None else self._nearest[0].distance(described) / self.near
        self._last[:] = [(prices, found)]
        return found

    def half_width(self, prices: Prices, confidence: float) -> float:
        """What is added, in squares, to half the log interval of a network; KeyError for an unknown confidence."""
        return self.spreads[confidence] * float(growth(np.array([self.distance(prices)]))[0])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "kinds": [str(kind) for kind in self.kinds],
            "near": self.near,
            "spreads": {str(c): s for c, s in self.spreads.items()},
            "families": self.families,
            "clusters": [
                {
                    "mean": _rounded(cluster.mean),
                    "deviations": _rounded(cluster.deviations),
                    "axes": [_rounded(axis) for axis in cluster.axes],
                }
                for cluster in self.clusters
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], confidences: Sequence[float]) -> Shift:
        """What `to_dict` described; DeviceError if it is not what it should be, or lacks one of the confidences."""
        kinds = [_kind(item) for item in sequence(member(data, "kinds"), "kinds of the shift")]
        stored = sequence(member(data, "clusters"), "clusters of the shift")
        if not 0 < len(kinds) <= _MOST_KINDS or not 0 < len(stored) <= _MOST_CLUSTERS or len(set(kinds)) < len(kinds):
            raise damaged("the shift has no clusters of kinds, or too many")
        spreads = mapping(member(data, "spreads"), "spreads of the shift")
        return cls(
            tuple(kinds),
            tuple(_cluster(mapping(item, "a cluster"), FEATURES * len(kinds)) for item in stored),
            positive(member(data, "near"), "near of the shift", 0.0, inf),
            {c: number(member(spreads, str(c)), "a spread of the shift", 0.0, _LARGEST) for c in confidences},
            int(number(member(data, "families"), "families of the shift", 0, _LARGEST)),
        )


def growth(distances: np.ndarray) -> np.ndarray:
    """The part of `spreads` that is added at each distance, in multiples of `near` (rule 3)."""
    ramp = np.clip((distances - 1.0) / (RAMP - 1.0), 0.0, 1.0)
    return np.asarray(ramp * np.maximum(distances, 1.0) ** GROWTH)


def describe_networks(
    kind: np.ndarray,
    share: np.ndarray,
    flops: np.ndarray,
    moved: np.ndarray,
    network: np.ndarray,
    sizes: tuple[int, int],
) -> np.ndarray:
    """The description of networks (rule 1) [networks, `FEATURES` x kinds].

    Args:
        kind: number of the kind of each kernel [rows].
        share: of each kernel in its network's time [rows].
        flops: of each kernel; `moved`: bytes that it reads and writes [rows].
        moved: see `flops`.
        network: number of the network of each kernel [rows].
        sizes: how many networks there are, and how many kinds.
    """
    place = network * sizes[1] + kind
    cells = sizes[0] * sizes[1]
    work = (np.log2(flops + 1.0) - _USUAL[0]) / _UNIT
    memory = (np.log2(moved + 1.0) - _USUAL[1]) / _UNIT
    shares = np.bincount(place, share, cells)
    count = np.maximum(np.bincount(place, minlength=cells), 1) / np.minimum(shares / PRESENT, 1.0).clip(1e-9)
    columns = (
        shares,
        np.bincount(place, share * work, cells),
        np.bincount(place, share * memory, cells),
        np.bincount(place, work, cells) / count,
        np.bincount(place, memory, cells) / count,
    )
    return np.stack(columns, axis=1).reshape(sizes[0], sizes[1] * FEATURES)


def _rounded(values: np.ndarray) -> list[float]:
    return [round(value, 4) for value in values.tolist()]


def _kind(item: Any) -> Kind:
    try:
        return Kind.parse(text(item, "a kind of the shift"))
    except ValueError as fault:
        raise damaged(f"shift: {fault}") from None


def _cluster(data: Mapping[str, Any], dimensions: int) -> Cluster:
    axes = sequence(member(data, "axes"), "axes of a cluster")
    if len(axes) > _MOST_AXES:
        raise damaged("a cluster has too many axes")
    deviations = _array(member(data, "deviations"), (len(axes),), "deviations of a cluster")
    if (deviations < 0).any():
        raise damaged("a cluster has a negative deviation")
    return Cluster(
        _array(member(data, "mean"), (dimensions,), "mean of a cluster"),
        _array(axes, (len(axes), dimensions), "axes of a cluster") if axes else np.zeros((0, dimensions)),
        deviations,
    )


def _array(values: Any, shape: tuple[int, ...], place: str) -> np.ndarray:
    """Finite numbers in lists: thousands of them, so that they are checked together."""
    try:
        found = np.array(sequence(values, place))
    except ValueError as fault:
        raise damaged(f"{place} are lists of several lengths") from fault
    if not found.size and not shape[0]:
        return np.zeros(shape)
    if found.dtype.kind not in "fi" or found.shape != shape or not (np.abs(found) <= _LARGEST).all():
        raise damaged(f"{place} are not the numbers that they should be")
    return found.astype(float)
