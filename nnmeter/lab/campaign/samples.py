"""A campaign's measurements as arrays, for the cross-validation that steers it.

1. Equal kernels of one network are one row, with their number and the mean of their times.
2. Times are rounded as the store rounds them, so that it makes no difference whether a measurement comes from this
   process or from a part file.
3. A row's size is priced analytically first (`roofline_ms`, a nominal machine); what is learned is the ratio to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.kernels.features import FEATURE_NAMES, kernel_features
from nnmeter.lab.campaign.coverage import Cell, Coverage, cells_of
from nnmeter.lab.measuring.measurement import Measurement

_WIDTH = max(map(len, FEATURE_NAMES.values()))
_FLOPS_PER_MS, _BYTES_PER_MS, _OVERHEAD_MS = 5e7, 1e7, 2e-3
_LEAST_MS = 5e-4  # half of what a profiler in whole microseconds resolves

Array = np.ndarray[Any, Any]


class Samples:
    """Rows of kernels and of networks, added in the order in which they were measured."""

    def __init__(self) -> None:
        self.coverage = Coverage()
        self.groups: dict[Kind, int] = {}  # family, operator and element type -> number
        self.families: dict[str, int] = {}  # kernel family -> number
        self._family_of_group: list[int] = []
        self.recipes: list[str] = []
        self.kernel_count = 0
        self._networks: list[tuple[float, float, int]] = []
        self._rows: list[tuple[int, int, int, float, float, float]] = []
        self._features: list[Array] = []

    def __len__(self) -> int:
        """Number of networks."""
        return len(self._networks)

    def add(self, measurements: Iterable[Measurement]) -> None:
        """Adds networks; the family of a measurement is its recipe."""
        for measurement in measurements:
            self._add(measurement)

    def _add(self, measurement: Measurement) -> None:
        number = len(self._networks)
        latency_ms, half_a, half_b = _as_stored([measurement.latency_ms, *measurement.half_ms]).tolist()
        noise = abs(np.log(half_a / half_b)) / 2 if half_a > 0 and half_b > 0 else 0.0  # halves of 0 are unknown
        self._networks.append((latency_ms, float(noise), len(measurement.kernels)))
        self.recipes.append(measurement.family)
        self.kernel_count += len(measurement.kernels)
        places: dict[Any, list[int]] = {}
        for position, signature in enumerate(measurement.kernels):
            places.setdefault(signature, []).append(position)
        kernel_ms = np.maximum(_as_stored(measurement.kernel_ms), _LEAST_MS)
        spread = np.nan_to_num(_as_stored(measurement.kernel_spread))
        runs = max(measurement.kernel_runs, 1)
        rows = np.full((len(places), _WIDTH), -1.0, np.float32)
        cells: list[Cell] = []
        for row, (signature, positions) in enumerate(places.items()):
            # The function's own cache would hold tens of thousands of kernels that do not come back.
            features = kernel_features.__wrapped__(signature)
            rows[row, : len(features.values)] = features.values
            cells += cells_of(signature, features)
            cost = features.cost
            moved = cost.bytes_read + cost.bytes_written
            roofline_ms = cost.flops / _FLOPS_PER_MS + moved / _BYTES_PER_MS + _OVERHEAD_MS
            group = self.groups.setdefault(features.kind, len(self.groups))
            if group == len(self._family_of_group):
                self._family_of_group.append(self.families.setdefault(features.family, len(self.families)))
            measured = float(np.log(kernel_ms[positions].mean())) if len(kernel_ms) else np.nan
            uncertain = float(spread[positions].mean() / np.sqrt(runs * len(positions))) if len(spread) else 0.0
            self._rows.append((number, len(positions), group, float(np.log(roofline_ms)), measured, uncertain))
        self._features.append(rows)
        self.coverage.add(measurement.family, cells)

    def arrays(self) -> SampleArrays:
        """All that was added."""
        return SampleArrays(self)


def _as_stored(times: Sequence[float]) -> Array:
    """Times as they come back from a file (rule 2)."""
    return np.array(times, np.float32).astype(float)


class SampleArrays:
    """The rows as arrays.

    Attributes:
        latency_ms, noise, kernels: of each network its corrected latency, half the relative difference of the halves of
            its runs, and its number of kernels.
        network, count, group, log_roofline, log_ms, kernel_noise: of each row its network, the number of its kernels,
            its group, logarithm of the analytic price of one, of the measured time of one (NaN where the runtime has no
            profiler), and the uncertainty of that.
        family: of each row the number of its kernel family; `family_of_group` of each group.
        features: of shape (rows, features), those of the row's family first.
    """

    def __init__(self, samples: Samples) -> None:
        networks = np.array(samples._networks, float).reshape(-1, 3)
        self.latency_ms, self.noise, self.kernels = networks.T
        rows = np.array(samples._rows, float).reshape(-1, 6)
        self.network, self.count, self.group = rows[:, :3].astype(np.int64).T
        self.log_roofline, self.log_ms, self.kernel_noise = rows[:, 3:].T
        self.features = np.concatenate(samples._features) if samples._features else np.empty((0, _WIDTH), np.float32)
        self.group_count = len(samples.groups)
        self.family_count = len(samples.families)
        self.family_of_group = np.array(samples._family_of_group, np.int64)
        self.family = self.family_of_group[self.group]
