"""The trained function of a device: kernel signatures in, milliseconds out.

Rules:

1. `latency = roofline(kernel) x exp(learned log-ratio)`, the roofline with the rates of the kernel's operator where it
   has some of its own; then the device's correction from a profiled kernel to one
   that runs unobserved: `scale x latency + per_kernel_ms`, never below a tenth of the roofline's launch overhead.
2. A kernel whose anchor (operator and element type) was sampled in training is priced by its family's ensemble and is
   called "trained". Any other is priced by the generic ensemble, which knows bytes, elements and FLOPs of all kernels,
   and is called "fallback". None is priced at zero.
3. Every price has a standard deviation in log space: of its anchor in cross-validation; a kernel larger or smaller than
   all that was sampled gets more, in proportion to the distance.
4. A calibrated predictor corrects its prices last (`nnmeter.predictor.price_correction`), once for each calibration.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.errors import DeviceError
from nnmeter.files import parse_json, read_limited
from nnmeter.kernels.features import COMMON_NAMES, FEATURE_NAMES, KernelFeatures, kernel_features
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.limits import MAX_JSON_BYTES, MAX_TREES_BYTES
from nnmeter.predictor.baselines import Baselines
from nnmeter.predictor.intervals import IntervalModel
from nnmeter.predictor.price import SIGMA_PER_DOUBLING, KernelPrice, Source
from nnmeter.predictor.price_correction import Correction, alias_of
from nnmeter.predictor.roofline import EVEN, Rates, Roofline
from nnmeter.predictor.tree_arrays import read_arrays
from nnmeter.predictor.trees import TreeEnsemble, concatenate_ensembles, split_ensembles

SCHEMA_VERSION = 2  # 1 had no rates of operators
FALLBACK = "fallback"  # name of the generic ensemble that prices what was not sampled
RANGE_FEATURES = ("log_flops", "log_in_bytes", "log_constant_bytes", "log_out_elements", "log_batch")
_ITEM_BITS = COMMON_NAMES.index("item_bits")
_RANGE_COLUMNS = tuple(COMMON_NAMES.index(name) for name in RANGE_FEATURES)
_CACHE_LIMIT = 200_000
_RESTORE = "install the pack again or train it anew"
# What a number of a pack can be. Sizes in powers of two are below 64, errors in log space are a few tenths, times are
# milliseconds: far within these, so that no price of a damaged pack is infinite or no number.
_LARGEST_SIGMA, _LARGEST_LOG_SIZE, _LARGEST_MS, _MOST_CORRECTIONS = 100.0, 1e4, 1e9, 16
_LARGEST_RATE = 1e9  # how much cheaper or dearer an operator is than the device's even rates


@dataclass(frozen=True, slots=True)
class Anchor:
    """What training knows of one operator and element type.

    Attributes:
        family: kernel family whose ensemble prices it.
        code: its value of the feature "anchor".
        count: sampled kernels.
        sigma: standard deviation of the log error of one kernel in cross-validation.
        low, high: sampled range of `RANGE_FEATURES`.
        rates: its own rates, which the device's roofline is multiplied by (`Roofline.latency_ms`).
    """

    family: str
    code: float
    count: int
    sigma: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    rates: Rates = EVEN


@dataclass(slots=True)
class KernelPredictor:
    """Prices kernels of one device.

    Attributes:
        roofline: analytic model that the ensembles correct.
        anchors: vocabulary: what was sampled.
        ensembles: trained log-ratio by kernel family, and `FALLBACK`.
        fallback_sigma: standard deviation of the log error where the operator was left out of training.
        scale, per_kernel_ms: correction from profiled to unobserved kernels (rule 1).
        inference_ms: time of one inference that no kernel accounts for.
        intervals: calibrated uncertainty of a total.
        baselines: simple estimates fitted to the same training networks, for scorecards.
        corrections: of calibrations to nearer devices, in the order in which they were made (rule 4).
    """

    roofline: Roofline
    anchors: Mapping[str, Anchor]
    ensembles: Mapping[str, TreeEnsemble]
    fallback_sigma: float
    intervals: IntervalModel
    baselines: Baselines
    scale: float = 1.0
    per_kernel_ms: float = 0.0
    inference_ms: float = 0.0
    corrections: tuple[Correction, ...] = ()
    _cache: dict[KernelSignature, KernelPrice] = field(default_factory=dict, repr=False)

    def price(self, signatures: Sequence[KernelSignature]) -> list[KernelPrice]:
        """The price of each kernel, in order; equal signatures are priced once."""
        if len(self._cache) > _CACHE_LIMIT:
            self._cache.clear()
        cache = self._cache
        # The first of equal signatures stands for all: looking it up again then compares no signatures in depth.
        first: dict[KernelSignature, KernelSignature] = {}
        same = [first.setdefault(s, s) for s in signatures]
        missing = [s for s in first if s not in cache]
        if missing:
            self._price_missing(missing)
        return [cache[s] for s in same]

    def _price_missing(self, signatures: list[KernelSignature]) -> None:
        groups: dict[str, list[tuple[KernelSignature, KernelFeatures, Anchor | None]]] = {}
        for signature in signatures:
            features = kernel_features(signature)
            anchor = self.anchors.get(alias_of(features.anchor, self.corrections))
            name = FALLBACK if anchor is None else anchor.family
            groups.setdefault(name, []).append((signature, features, anchor))
        for name, members in groups.items():
            width = len(FEATURE_NAMES[name]) if name != FALLBACK else len(COMMON_NAMES)
            rows = np.array([features.values[:width] for _, features, _ in members], dtype=np.float32)
            rows[:, 0] = [-1.0 if anchor is None else anchor.code for _, _, anchor in members]
            ratios = np.exp(np.clip(self.ensembles[name].predict(rows), -10.0, 10.0))
            prices = [
                self.price_from_ratio(features, anchor, ratio)
                for (_, features, anchor), ratio in zip(members, ratios.tolist(), strict=True)
            ]
            for correction in self.corrections:
                prices = correction.apply(prices, [features for _, features, _ in members], self.roofline)
            self._cache.update(zip((signature for signature, _, _ in members), prices, strict=True))

    def price_from_ratio(self, features: KernelFeatures, anchor: Anchor | None, ratio: float) -> KernelPrice:
        """The price of a kernel whose learned ratio to the roofline is known; `anchor` is None for the fallback."""
        cost = features.cost
        values = features.values
        rates = EVEN if anchor is None else anchor.rates
        profiled = self.roofline.latency_ms(cost, int(values[_ITEM_BITS]), rates) * ratio
        latency = max(self.scale * profiled + self.per_kernel_ms, 0.1 * self.roofline.overhead_ms * rates[2])
        source: Source = "trained"
        outside = 0.0
        if anchor is None:
            source, sigma = "fallback", self.fallback_sigma
        else:
            for column, low, high in zip(_RANGE_COLUMNS, anchor.low, anchor.high, strict=True):
                outside = max(outside, low - values[column], values[column] - high)
            sigma = anchor.sigma + SIGMA_PER_DOUBLING * outside
        return KernelPrice(
            latency, source, sigma, outside, features.anchor, int(cost.flops), int(cost.bytes_read + cost.bytes_written)
        )

    def save(self, directory: Path) -> None:
        """Write predictor.json and trees.npz into an existing directory."""
        arrays, sizes = concatenate_ensembles(self.ensembles)
        document = {
            "schema_version": SCHEMA_VERSION,
            "features": {family: list(FEATURE_NAMES[family]) for family in self.ensembles if family != FALLBACK},
            "common_features": list(COMMON_NAMES),
            "roofline": self.roofline.to_dict(),
            "anchors": {
                name: [
                    a.family,
                    a.code,
                    a.count,
                    a.sigma,
                    _known(a.low),
                    _known(a.high),
                    *([] if a.rates == EVEN else [list(a.rates)]),
                ]
                for name, a in sorted(self.anchors.items())
            },
            "ensembles": {name: {"sizes": sizes[name], "bias": self.ensembles[name].bias} for name in sizes},
            "fallback_sigma": self.fallback_sigma,
            "scale": self.scale,
            "per_kernel_ms": self.per_kernel_ms,
            "inference_ms": self.inference_ms,
            "intervals": self.intervals.to_dict(),
            "baselines": self.baselines.to_dict(),
        }
        if self.corrections:
            document["corrections"] = [correction.to_dict() for correction in self.corrections]
        (directory / "predictor.json").write_text(json.dumps(document, indent=1) + "\n")
        np.savez_compressed(directory / "trees.npz", **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, directory: Path) -> KernelPredictor:
        """Read what `save` wrote; see `read`."""
        try:
            document = read_limited(directory / "predictor.json", MAX_JSON_BYTES)
            trees = read_limited(directory / "trees.npz", MAX_TREES_BYTES)
        except OSError as error:
            raise DeviceError(f"{directory}: the predictor cannot be read ({error}); {_RESTORE}") from error
        return cls.read(document, trees, str(directory))

    @classmethod
    def read(cls, document: bytes, trees: bytes, where: str) -> KernelPredictor:
        """The predictor in the contents of predictor.json and trees.npz; runs no code from them.

        Args:
            document: of predictor.json.
            trees: of trees.npz.
            where: what errors call the pack.

        Raises:
            DeviceError: they are damaged, or of another schema.
        """
        try:
            content = parse_json(document)
            _check_schema(content)
            return cls._from_document(content, read_arrays(trees))
        except DeviceError as error:
            raise DeviceError(f"{where}: {error}") from None
        except (ArithmeticError, AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise DeviceError(f"{where}: the predictor is damaged ({error!s:.200}); {_RESTORE}") from error

    @classmethod
    def _from_document(cls, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> KernelPredictor:
        entries = document["ensembles"]
        ensembles = split_ensembles(
            arrays,
            {name: (int(e["sizes"][0]), int(e["sizes"][1])) for name, e in entries.items()},
            {name: e["bias"] for name, e in entries.items()},
        )
        for name, ensemble in ensembles.items():
            ensemble.validate(len(COMMON_NAMES if name == FALLBACK else FEATURE_NAMES[name]))
        anchors = {
            name: Anchor(
                str(family),
                _between(code, -1e6, 1e6),
                int(count),
                _between(sigma, 0.0, _LARGEST_SIGMA),
                tuple(_between(v, -_LARGEST_LOG_SIZE, _LARGEST_LOG_SIZE) for v in low),
                tuple(_between(v, -_LARGEST_LOG_SIZE, _LARGEST_LOG_SIZE) for v in high),
                _rates(*rates),
            )
            for name, (family, code, count, sigma, low, high, *rates) in document["anchors"].items()
        }
        anchors = {name: _with_all_ranges(anchor) for name, anchor in anchors.items()}
        if FALLBACK not in ensembles or any(a.family not in ensembles for a in anchors.values()):
            raise ValueError("an ensemble is missing")
        if any(len(a.low) != len(_RANGE_COLUMNS) or len(a.high) != len(_RANGE_COLUMNS) for a in anchors.values()):
            raise ValueError("a sampled range has the wrong length")
        corrections = document.get("corrections", ())
        if len(corrections) > _MOST_CORRECTIONS:
            raise ValueError(f"it was calibrated more than {_MOST_CORRECTIONS} times")
        return cls(
            Roofline.from_dict(document["roofline"]),
            anchors,
            ensembles,
            _between(document["fallback_sigma"], 0.0, _LARGEST_SIGMA),
            IntervalModel.from_dict(document["intervals"]),
            Baselines.from_dict(document["baselines"]),
            _between(document["scale"], 0.0, 1e6),
            _between(document["per_kernel_ms"], -_LARGEST_MS, _LARGEST_MS),
            _between(document["inference_ms"], 0.0, _LARGEST_MS),
            tuple(map(Correction.from_dict, corrections)),
        )


def _rates(stored: Sequence[float] = EVEN) -> Rates:
    flops, moved, launch = (_between(rate, 0.0, _LARGEST_RATE) for rate in stored)
    return flops, moved, launch


def _known(limits: Sequence[float]) -> list[float]:
    """The limits of a range that were sampled, as a pack stores them."""
    return [limit for limit in limits if isfinite(limit)]


def _with_all_ranges(anchor: Anchor) -> Anchor:
    """An entry of the vocabulary of a pack that was made before the last of `RANGE_FEATURES`: anything is inside."""
    if len(anchor.low) != len(anchor.high) or len(anchor.low) != len(_RANGE_COLUMNS) - 1:
        return anchor
    return replace(anchor, low=(*anchor.low, -inf), high=(*anchor.high, inf))


def _between(value: Any, low: float, high: float) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError("a number is not finite")
    if not low <= number <= high:
        raise ValueError(f"a number is {number:g}, not from {low:g} to {high:g}")
    return number


def _check_schema(document: Mapping[str, Any]) -> None:
    version = document["schema_version"]
    if version not in range(1, SCHEMA_VERSION + 1):
        raise DeviceError(
            f"the predictor has schema {version!r:.40}, this nnmeter reads up to {SCHEMA_VERSION}; "
            + ("upgrade nnmeter" if isinstance(version, int) and version > SCHEMA_VERSION else "train the pack anew")
        )
    stored = {family: tuple(names) for family, names in document["features"].items()}
    changed = sorted(f for f, names in stored.items() if FEATURE_NAMES.get(f) != names)
    if changed or tuple(document["common_features"]) != COMMON_NAMES:
        raise DeviceError(
            f"the predictor was trained on other features ({', '.join(changed)[:200] or 'common'}); train it anew"
        )
