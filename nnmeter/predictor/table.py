"""Measurements as arrays: what training and cross-validation work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nnmeter.errors import MeasurementError
from nnmeter.graph.cost import Cost
from nnmeter.kernels.features import COMMON_NAMES, KernelFeatures, kernel_features
from nnmeter.kernels.kernel import KernelSignature

if TYPE_CHECKING:
    from nnmeter.profiling.measurement import Measurement

_ITEM_BITS = COMMON_NAMES.index("item_bits")
_SHORTEST_MS = 2e-4  # profilers count whole microseconds; a kernel that shows as 0 took less than one


@dataclass(frozen=True, slots=True)
class Network:
    """One profiled network: its kernels' rows in the table, in order, and its unobserved time."""

    name: str
    family: str
    rows: np.ndarray
    wall_ms: float | None


@dataclass(frozen=True, slots=True)
class KernelTable:
    """Every kernel sample, a row each, and the networks they came from.

    Attributes:
        signatures, features: of each row.
        latency_ms: measured time of each row.
        network: index into `networks` of each row.
        networks: where the rows came from.
    """

    signatures: list[KernelSignature]
    features: list[KernelFeatures]
    latency_ms: np.ndarray
    network: np.ndarray
    networks: list[Network]

    @property
    def costs(self) -> list[Cost]:
        """FLOPs and bytes of each row."""
        return [f.cost for f in self.features]

    @property
    def item_bits(self) -> list[int]:
        """Width in bits of the first input of each row."""
        return [int(f.values[_ITEM_BITS]) for f in self.features]


def build_table(measurements: Sequence[Measurement]) -> KernelTable:
    """Arrange measurements: a profiled network gives a row for each of its kernels and, by its latency, a wall time.

    A kernel that was measured alone is a network of one kernel without a wall time.

    Raises:
        MeasurementError: there is no kernel's time among them.
    """
    signatures: list[KernelSignature] = []
    latency: list[float] = []
    index: list[int] = []
    networks: list[Network] = []
    for measurement in measurements:
        single = measurement.granularity == "kernel"
        times = (measurement.latency_ms,) if single else measurement.kernel_ms
        if not times:
            continue
        rows = np.arange(len(signatures), len(signatures) + len(times))
        signatures += measurement.kernels
        latency += times
        index += [len(networks)] * len(times)
        networks.append(
            Network(measurement.network, measurement.family, rows, None if single else measurement.latency_ms)
        )
    if not signatures:
        raise MeasurementError(
            "no kernel was measured in these files; profile the device first: nnmeter profile --runtime R --out DIR"
        )
    return KernelTable(
        signatures,
        [kernel_features(s) for s in signatures],
        np.maximum(np.array(latency), _SHORTEST_MS),
        np.array(index, dtype=np.intp),
        networks,
    )
