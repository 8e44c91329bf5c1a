"""The baseline that learns nothing: every kernel costs what the most similar profiled kernel took.

Rules:

1. The table holds the kernels of the training measurements by operator and element type, with the time that each took
   in an unobserved run (`nnmeter.lab.evaluation.kernel_times`). Equal kernels are one entry, their median.
2. The nearest entry is the one with the least Euclidean distance in the features of the kernel's family that are
   logarithms of sizes (`log_*`): FLOPs, bytes, elements, channels, ... in doublings. The first of equally near ones.
3. Its time is scaled by the ratio of the rooflines of the two kernels, so that a kernel twice as large as its neighbour
   is not priced like it. (Unscaled, the baseline is weaker; see `docs/scorecards.md`.)
4. A kernel whose operator is not in the table is priced by the baseline that is linear in FLOPs and bytes.
5. The table is made when a pack is evaluated, from the measurements that it was trained on. It is not in the pack: a
   campaign of 100,000 kernels is larger than all else that a pack holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from nnmeter.errors import MeasurementError
from nnmeter.kernels.anchor import Kind
from nnmeter.kernels.features import COMMON_NAMES, FEATURE_NAMES, KernelFeatures, kernel_features
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.evaluation.kernel_times import unobserved_kernel_ms
from nnmeter.predictor.baselines import Baselines
from nnmeter.predictor.roofline import Roofline

if TYPE_CHECKING:
    from nnmeter.lab.measuring.measurement import Measurement

NEAREST = "nearest_kernel"
LINEAR = "flops_and_bytes"
_ITEM_BITS = COMMON_NAMES.index("item_bits")


@dataclass(frozen=True, slots=True)
class _Entries:
    """Profiled kernels of one operator: log sizes of shape (entries, columns), and time over roofline of each."""

    sizes: np.ndarray
    ratio: np.ndarray


class NearestTable:
    """Profiled kernels by operator, to look prices up in."""

    def __init__(self, entries: Mapping[Kind, _Entries], roofline: Roofline, baselines: Baselines) -> None:
        self._entries = entries
        self._roofline = roofline
        self._baselines = baselines
        self._known: dict[KernelSignature, float] = {}

    def __len__(self) -> int:
        return sum(len(e.ratio) for e in self._entries.values())

    def knows(self, signature: KernelSignature) -> bool:
        """Whether the operator of a kernel was profiled (rule 4)."""
        return kernel_features(signature).kind in self._entries

    def kernel_ms(self, signatures: Sequence[KernelSignature]) -> list[float]:
        """The price of each kernel, in order, in milliseconds."""
        groups: dict[Kind, list[tuple[KernelSignature, KernelFeatures]]] = {}
        for signature in dict.fromkeys(s for s in signatures if s not in self._known):
            features = kernel_features(signature)
            groups.setdefault(features.kind, []).append((signature, features))
        for kind, members in groups.items():
            entries = self._entries.get(kind)
            for signature, features in members:
                self._known[signature] = (
                    self._linear_ms(features) if entries is None else self._nearest_ms(entries, features)
                )
        return [self._known[s] for s in signatures]

    def _nearest_ms(self, entries: _Entries, features: KernelFeatures) -> float:
        """Rules 2 and 3."""
        distance = ((entries.sizes - _sizes(features)) ** 2).sum(axis=1)
        return float(entries.ratio[int(np.argmin(distance))]) * _roofline_ms(features, self._roofline)

    def _linear_ms(self, features: KernelFeatures) -> float:
        """Rule 4."""
        bits = int(features.values[_ITEM_BITS])
        return self._baselines.predict_ms([features.cost], [bits], self._roofline)[LINEAR]


def build_nearest_table(measurements: Sequence[Measurement], roofline: Roofline, baselines: Baselines) -> NearestTable:
    """The table of the kernels of training measurements (rule 1).

    Args:
        measurements: what a pack was trained on.
        roofline: the pack's, for rule 3.
        baselines: the pack's, for rule 4.

    Raises:
        MeasurementError: no kernel was timed.
    """
    times: dict[KernelSignature, list[float]] = {}
    for measurement in measurements:
        kernel_ms = unobserved_kernel_ms(measurement)
        if kernel_ms is not None:
            for signature, time_ms in zip(measurement.kernels, kernel_ms.tolist(), strict=True):
                times.setdefault(signature, []).append(time_ms)
    if not times:
        raise MeasurementError(
            "the training measurements hold no times of single kernels, so there is nothing to look up; "
            "evaluate without --training"
        )
    groups: dict[Kind, list[tuple[KernelFeatures, float]]] = {}
    for signature, found in times.items():
        features = kernel_features(signature)
        groups.setdefault(features.kind, []).append((features, float(np.median(found))))
    entries = {
        kind: _Entries(
            np.array([_sizes(f) for f, _ in members]),
            np.array([time_ms / _roofline_ms(f, roofline) for f, time_ms in members]),
        )
        for kind, members in groups.items()
    }
    return NearestTable(entries, roofline, baselines)


def _sizes(features: KernelFeatures) -> np.ndarray:
    return np.array([features.values[i] for i in _size_columns(features.family)], dtype=np.float32)


@cache
def _size_columns(family: str) -> tuple[int, ...]:
    """Places of the features that are logarithms of sizes."""
    return tuple(i for i, name in enumerate(FEATURE_NAMES[family]) if name.startswith("log_"))


def _roofline_ms(features: KernelFeatures, roofline: Roofline) -> float:
    return roofline.latency_ms(features.cost, int(features.values[_ITEM_BITS]))
