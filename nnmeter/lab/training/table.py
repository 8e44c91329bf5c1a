"""Measurements as arrays: what training and cross-validation work on.

Rules:

1. Every kernel of every measurement is a row. Equal signatures are one *distinct kernel*, whose features are computed
   and kept once; 25,000 models of 80 kernels are two million rows, and some ten thousand distinct kernels.
2. A row has a time of its own where the runtime's profiler saw it, or where the kernel was measured alone; else its
   time is NaN, and only the sum over its network is known.
3. A kernel that was measured alone is a network of one kernel.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nnmeter.errors import MeasurementError
from nnmeter.kernels.anchor import Kind
from nnmeter.kernels.features import COMMON_NAMES, FEATURE_NAMES, KernelFeatures, kernel_features
from nnmeter.kernels.kernel import KernelSignature

if TYPE_CHECKING:
    from nnmeter.lab.measuring.measurement import Measurement

Describe = Callable[[KernelSignature], KernelFeatures]

MOST_OF_A_GROUP = 3  # kernels that were timed together are no inference of a network, but a step within one
_ITEM_BITS = COMMON_NAMES.index("item_bits")
_SHORTEST_MS = 2e-4  # profilers count whole microseconds; a kernel that shows as 0 took less than one


@dataclass(frozen=True, slots=True)
class Network:
    """One measured network.

    Attributes:
        name, family: of the network.
        rows: its kernels' rows in the table, in order.
        latency_ms: time of the whole.
        alone: it is one kernel, measured alone (rule 3).
        random: it was made at random, so that it is an architecture of its own whatever its family.
        noise: difference of the two halves of its measurement, relative to its time; 0 if it was not halved.
    """

    name: str
    family: str
    rows: np.ndarray
    latency_ms: float
    alone: bool
    random: bool
    noise: float


@dataclass(frozen=True, slots=True)
class KernelTable:
    """All kernels of all measurements.

    Attributes:
        flops, moved, item_bits: FLOPs, bytes read and written, and width of the first input's items [kernels].
        family, kind: kernel family, and number in `kinds`, of each distinct kernel [kernels].
        kinds: family, operator and element type of the kernels.
        common: the common features, float32 [kernels, common features].
        features: all features by family, float32 [kernels of the family, features].
        place: row of a distinct kernel in its family's `features` [kernels].
        kernel: distinct kernel of each row [rows].
        latency_ms: time of each row, NaN where it is not known (rule 2) [rows].
        network: index into `networks` of each row [rows].
        networks: where the rows came from.
        located: the distinct kernels themselves.
    """

    flops: np.ndarray
    moved: np.ndarray
    item_bits: np.ndarray
    family: np.ndarray
    kind: np.ndarray
    kinds: tuple[Kind, ...]
    common: np.ndarray
    features: dict[str, np.ndarray]
    place: np.ndarray
    kernel: np.ndarray
    latency_ms: np.ndarray
    network: np.ndarray
    networks: list[Network]
    located: tuple[KernelSignature, ...] = ()

    @property
    def timed(self) -> np.ndarray:
        """Whether each row has a time of its own [rows]."""
        return ~np.isnan(self.latency_ms)

    @property
    def whole_ms(self) -> np.ndarray:
        """Time of each row's network; NaN for kernels that were timed alone, or a few together [rows]."""
        times = [n.latency_ms if not n.alone and len(n.rows) > MOST_OF_A_GROUP else np.nan for n in self.networks]
        return np.asarray(np.array(times)[self.network])

    @property
    def kind_names(self) -> np.ndarray:
        """Names of the kinds, by which they are sorted [kinds]."""
        return np.array([str(kind) for kind in self.kinds])

    def among_kinds(self, some: Container[Kind]) -> np.ndarray:
        """Whether each kind is one of `some` [kinds]."""
        return np.array([kind in some for kind in self.kinds], bool)

    def sums(self, of_kernels: np.ndarray) -> np.ndarray:
        """Sum over each network of a quantity of its kernels [networks]."""
        return np.bincount(self.network, of_kernels[self.kernel], len(self.networks))


def build_table(measurements: Sequence[Measurement], describe: Describe = kernel_features) -> KernelTable:
    """Arrange measurements of any granularity.

    Args:
        measurements: with one kernel or more among them.
        describe: makes the features of a kernel; a predictor that training starts from has its own families.

    Raises:
        MeasurementError: there is no kernel among them.
    """
    signatures: dict[KernelSignature, int] = {}
    known: dict[int, int] = {}  # by identity: readers share equal signatures, and hashing two million takes seconds
    kernel: list[int] = []
    latency: list[float] = []
    networks: list[Network] = []
    for measurement in measurements:
        first = len(kernel)
        for signature in measurement.kernels:
            number = known.get(id(signature))
            if number is None:
                number = known[id(signature)] = signatures.setdefault(signature, len(signatures))
            kernel.append(number)
        count = len(kernel) - first
        alone = measurement.granularity == "kernel"
        latency += (measurement.latency_ms,) if alone else measurement.kernel_ms or (np.nan,) * count
        networks.append(
            Network(
                measurement.network,
                measurement.family,
                np.arange(first, len(kernel)),
                measurement.latency_ms,
                alone,
                measurement.granularity == "block",
                abs(measurement.half_ms[0] - measurement.half_ms[1]) / measurement.latency_ms,
            )
        )
    if not kernel:
        raise MeasurementError(
            "no kernel was measured in these files; measure the device first: nnmeter profile --runtime R --out DIR"
        )
    times = np.array(latency, dtype=float)
    lengths = [len(n.rows) for n in networks]
    return _describe(
        list(signatures),
        np.array(kernel, dtype=np.intp),
        np.where(np.isnan(times), np.nan, np.maximum(times, _SHORTEST_MS)),
        np.repeat(np.arange(len(networks)), lengths),
        networks,
        describe,
    )


def _describe(
    signatures: Sequence[KernelSignature],
    kernel: np.ndarray,
    latency_ms: np.ndarray,
    network: np.ndarray,
    networks: list[Network],
    describe: Describe,
) -> KernelTable:
    families: dict[str, array[float]] = {}
    kinds: dict[Kind, int] = {}
    family: list[str] = []
    kind, place, flops, moved = [], [], [], []
    for signature in signatures:
        features = describe(signature)
        rows = families.setdefault(features.family, array("f"))
        place.append(len(rows) // len(features.values))
        rows.extend(features.values)
        family.append(features.family)
        kind.append(kinds.setdefault(features.kind, len(kinds)))
        flops.append(features.cost.flops)
        moved.append(features.cost.bytes_read + features.cost.bytes_written)
    matrices = {n: np.array(families[n], np.float32).reshape(-1, len(FEATURE_NAMES[n])) for n in sorted(families)}
    names, places = np.array(family), np.array(place, dtype=np.intp)
    common = np.empty((len(signatures), len(COMMON_NAMES)), np.float32)
    for name, matrix in matrices.items():
        mine = names == name
        common[mine] = matrix[places[mine], : len(COMMON_NAMES)]
    return KernelTable(
        np.array(flops, dtype=float),
        np.array(moved, dtype=float),
        common[:, _ITEM_BITS].astype(int),
        names,
        np.array(kind, dtype=np.intp),
        tuple(kinds),
        common,
        matrices,
        places,
        kernel,
        latency_ms,
        network,
        networks,
        tuple(signatures),
    )
