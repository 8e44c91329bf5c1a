"""The correction of a calibrated pack: what a few measurements of a near device change in the prices of another.

Rules:

1. `log price' = log price + common + family + operator`: each of the first two has an offset and a slope for every
   one of `TERMS`, the last an offset. What was not measured has zeros, and moves with the rest of its family.
2. `TERMS` are bounded functions of the price before the correction, of FLOPs and bytes, so that a kernel larger or
   smaller than all that was measured is not extrapolated to the absurd. They are what changes from device to near
   device: cost of a launch, size from which threads pay, compute against memory, size of the caches.
3. An operator that the first device did not have, or had in another runtime, is priced as its stand-in (`alias`).
4. The standard deviation of a price grows by that of its operator's correction. A kernel priced by a stand-in or by the
   fallback counts as trained once its correction is mostly known from measurements (`learned`); in a foreign runtime no
   other does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np

from nnmeter.kernels.anchor import Anchor, Kind
from nnmeter.kernels.features import COMMON_NAMES, KernelFeatures
from nnmeter.predictor.checks import damaged, mapping, member, number, numbers
from nnmeter.predictor.price import KernelPrice, Source
from nnmeter.predictor.roofline import DTYPE_CLASSES, Roofline

TERMS = ("log_size", "tiny", "small", "memory_share", "cached")
_TINY_MS, _SMALL_MS = 0.005, 0.05  # a launch; the work from which threads pay
_CACHED_BYTES = 1e6  # order of a second-level cache
_LARGEST_LOG_RATIO = 5.0
LARGEST_COEFFICIENT = 1e3  # all numbers of a correction are logarithms of ratios
_ITEM_BITS = COMMON_NAMES.index("item_bits")


@dataclass(frozen=True, slots=True)
class OperatorCorrection:
    """What calibration knows of one operator and element type.

    Attributes:
        offset: of the log price, beyond that of its family.
        sigma: standard deviation of the correction of its log price.
        learned: whether its correction is mostly known from measurements (rule 4).
        alias: the operator that it stands under, of the same family, which may be itself; None where it is priced as
            itself without being a stand-in.
    """

    offset: float
    sigma: float
    learned: bool
    alias: Anchor | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction of log prices.

    Attributes:
        common: offset and slopes over `TERMS` of all kernels.
        families: offset and slopes by kernel family, added to the common ones.
        operators: by kind.
        family_sigma: by family, standard deviation of the correction of an operator that is not in `operators`.
        sigma: the same where the family is not in `family_sigma` either.
        foreign: whether the near device has another runtime than the first.
    """

    common: tuple[float, ...]
    families: Mapping[str, tuple[float, ...]]
    operators: Mapping[Kind, OperatorCorrection]
    family_sigma: Mapping[str, float]
    sigma: float
    foreign: bool = False

    def alias(self, kind: Kind) -> Kind:
        """The kind of the first device that `kind` is priced as."""
        known = self.operators.get(kind)
        return kind if known is None or known.alias is None else Kind(kind.family, known.alias)

    def apply(
        self, prices: Sequence[KernelPrice], features: Sequence[KernelFeatures], roofline: Roofline
    ) -> list[KernelPrice]:
        """Corrected prices.

        Args:
            prices: before the correction.
            features: of the same kernels.
            roofline: of the device that `prices` are of.
        """
        if not prices:
            return []
        terms = kernel_terms(prices, features, roofline)
        design = np.column_stack([np.ones(len(prices)), terms])
        nothing = (0.0,) * design.shape[1]
        own = np.array([self.families.get(f.family, nothing) for f in features])
        operators = [self.operators.get(f.kind) for f in features]
        offsets = np.array([0.0 if o is None else o.offset for o in operators])
        log_ratio = np.einsum("ij,ij->i", design, own + np.array(self.common)) + offsets
        ratios = np.exp(np.clip(log_ratio, -_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO)).tolist()
        found = []
        for price, feature, operator, ratio in zip(prices, features, operators, ratios, strict=True):
            sigma = self.family_sigma.get(feature.family, self.sigma) if operator is None else operator.sigma
            source: Source = price.source
            if operator is None:
                source = "fallback" if self.foreign else source
            elif operator.alias is not None or source == "fallback":
                source = "trained" if operator.learned else "fallback"
            found.append(
                KernelPrice(
                    price.latency_ms * ratio,
                    source,
                    hypot(price.sigma, sigma),
                    price.distance,
                    price.kind,
                    price.flops,
                    price.bytes,
                )
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, without the operators (`nnmeter.predictor.stored`)."""
        return {
            "terms": list(TERMS),
            "common": list(self.common),
            "families": {name: list(values) for name, values in sorted(self.families.items())},
            "family_sigma": dict(sorted(self.family_sigma.items())),
            "sigma": self.sigma,
            "foreign": self.foreign,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], operators: Mapping[Kind, OperatorCorrection]) -> Correction:
        """The correction that `to_dict` described, with its operators.

        Raises:
            DeviceError: a value is not what it should be, or the terms are others.
        """
        if member(data, "terms") != list(TERMS):
            raise damaged("the correction is of other terms than this nnmeter's")
        families = mapping(member(data, "families"), "families")
        family_sigma = mapping(member(data, "family_sigma"), "family_sigma")
        foreign = member(data, "foreign")
        if not isinstance(foreign, bool):
            raise damaged("'foreign' is neither true nor false")
        return cls(
            _coefficients(member(data, "common"), "common"),
            {name: _coefficients(values, name) for name, values in families.items()},
            operators,
            {name: number(value, name, 0.0, LARGEST_COEFFICIENT) for name, value in family_sigma.items()},
            number(member(data, "sigma"), "sigma", 0.0, LARGEST_COEFFICIENT),
            foreign,
        )


def alias_of(kind: Kind, corrections: Sequence[Correction]) -> Kind:
    """The kind that the ensembles know `kind` as; the last correction was fitted last."""
    for correction in reversed(corrections):
        kind = correction.alias(kind)
    return kind


def kernel_terms(
    prices: Sequence[KernelPrice], features: Sequence[KernelFeatures], roofline: Roofline
) -> np.ndarray[Any, Any]:
    """`TERMS` of kernels, of shape (kernels, terms) (rule 2)."""
    milliseconds = np.array([p.latency_ms for p in prices])
    moved = np.array([p.bytes for p in prices], dtype=float)
    peaks = np.array([roofline.peak_gflops[DTYPE_CLASSES.get(int(f.values[_ITEM_BITS]), "float")] for f in features])
    compute_ms = np.array([p.flops for p in prices]) / (peaks * 1e6)
    memory_ms = moved / (roofline.bandwidth_gbs * 1e6)
    return np.column_stack(
        [
            np.clip(np.log(milliseconds / 0.1) / 3.0, -1.5, 2.0),
            1.0 / (1.0 + milliseconds / _TINY_MS),
            1.0 / (1.0 + milliseconds / _SMALL_MS),
            (memory_ms + 1e-9) / (memory_ms + compute_ms + 2e-9) - 0.5,
            1.0 / (1.0 + moved / _CACHED_BYTES) - 0.5,
        ]
    )


def _coefficients(values: Any, place: str) -> tuple[float, ...]:
    return numbers(values, place, 1 + len(TERMS), -LARGEST_COEFFICIENT, LARGEST_COEFFICIENT)
