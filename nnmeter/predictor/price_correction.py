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

from nnmeter.kernels.features import COMMON_NAMES, KernelFeatures
from nnmeter.predictor.price import KernelPrice, Source
from nnmeter.predictor.roofline import DTYPE_CLASSES, Roofline

TERMS = ("log_size", "tiny", "small", "memory_share", "cached")
_TINY_MS, _SMALL_MS = 0.005, 0.05  # a launch; the work from which threads pay
_CACHED_BYTES = 1e6  # order of a second-level cache
_LARGEST_LOG_RATIO = 5.0
_LARGEST = 1e3  # all numbers of a correction are logarithms of ratios
_ITEM_BITS = COMMON_NAMES.index("item_bits")


@dataclass(frozen=True, slots=True)
class OperatorCorrection:
    """What calibration knows of one operator and element type.

    Attributes:
        offset: of the log price, beyond that of its family.
        sigma: standard deviation of the correction of its log price.
        learned: whether its correction is mostly known from measurements (rule 4).
        alias: the operator that it stands under, which may have its name; "" where it is priced as itself.
    """

    offset: float
    sigma: float
    learned: bool
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction of log prices.

    Attributes:
        common: offset and slopes over `TERMS` of all kernels.
        families: offset and slopes by kernel family, added to the common ones.
        operators: by vocabulary key (`family:operator|element type`).
        family_sigma: by family, standard deviation of the correction of an operator that is not in `operators`.
        sigma: the same where the family is not in `family_sigma` either.
        foreign: whether the near device has another runtime than the first.
    """

    common: tuple[float, ...]
    families: Mapping[str, tuple[float, ...]]
    operators: Mapping[str, OperatorCorrection]
    family_sigma: Mapping[str, float]
    sigma: float
    foreign: bool = False

    def alias(self, anchor: str) -> str:
        """The operator of the first device that `anchor` is priced as."""
        known = self.operators.get(anchor)
        return (known.alias if known is not None else "") or anchor

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
        operators = [self.operators.get(f.anchor) for f in features]
        offsets = np.array([0.0 if o is None else o.offset for o in operators])
        log_ratio = np.einsum("ij,ij->i", design, own + np.array(self.common)) + offsets
        ratios = np.exp(np.clip(log_ratio, -_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO)).tolist()
        found = []
        for price, feature, operator, ratio in zip(prices, features, operators, ratios, strict=True):
            sigma = self.family_sigma.get(feature.family, self.sigma) if operator is None else operator.sigma
            source: Source = price.source
            if operator is None:
                source = "fallback" if self.foreign else source
            elif operator.alias or source == "fallback":
                source = "trained" if operator.learned else "fallback"
            found.append(
                KernelPrice(
                    price.latency_ms * ratio,
                    source,
                    hypot(price.sigma, sigma),
                    price.outside,
                    price.anchor,
                    price.flops,
                    price.bytes,
                )
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "terms": list(TERMS),
            "common": list(self.common),
            "families": {name: list(values) for name, values in sorted(self.families.items())},
            "operators": {
                name: [o.offset, o.sigma, int(o.learned), o.alias] for name, o in sorted(self.operators.items())
            },
            "family_sigma": dict(sorted(self.family_sigma.items())),
            "sigma": self.sigma,
            "foreign": self.foreign,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Correction:
        """The correction that `to_dict` described; ValueError if a number is not finite or the terms are others."""
        if tuple(data["terms"]) != TERMS:
            raise ValueError("the correction is of other terms than this nnmeter's")
        operators = {
            str(name): OperatorCorrection(_finite(offset), _scale(sigma), bool(learned), str(alias))
            for name, (offset, sigma, learned, alias) in data["operators"].items()
        }
        return cls(
            _coefficients(data["common"]),
            {str(name): _coefficients(values) for name, values in data["families"].items()},
            operators,
            {str(name): _scale(value) for name, value in data["family_sigma"].items()},
            _scale(data["sigma"]),
            bool(data["foreign"]),
        )


def alias_of(anchor: str, corrections: Sequence[Correction]) -> str:
    """The vocabulary key that the ensembles know `anchor` by; the last correction was fitted last."""
    for correction in reversed(corrections):
        anchor = correction.alias(anchor)
    return anchor


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


def _coefficients(values: Sequence[Any]) -> tuple[float, ...]:
    if len(values) != 1 + len(TERMS):
        raise ValueError("a correction has the wrong number of coefficients")
    return tuple(map(_finite, values))


def _finite(value: Any) -> float:
    number = float(value)
    if not abs(number) <= _LARGEST:  # nor is a NaN
        raise ValueError("a number of the correction is not finite, or absurd")
    return number


def _scale(value: Any) -> float:
    number = _finite(value)
    if number < 0:
        raise ValueError("a standard deviation of the correction is negative")
    return number
