"""The trained function of a device: kernel signatures in, milliseconds out.

Rules:

1. `latency = roofline(kernel) x exp(learned log-ratio)`, the roofline with the rates of the kernel's operator where it
   has some of its own; then from a kernel as a profiler shows it to one that runs unobserved:
   `scale x latency + per_kernel_ms`, never below a tenth of the roofline's launch.
2. A kernel whose operator and element type were sampled in training is priced by the ensemble of the family that the
   vocabulary names (`nnmeter.predictor.vocabulary`) and is called "trained". Any other is priced by the generic
   ensemble, which knows bytes, elements and FLOPs of all kernels, and is called "fallback". None is priced at zero.
3. Every price has a standard deviation in log space: what `deviations` have learned of such kernels where the pack has
   them, else that of its kind in cross-validation; a kernel larger or smaller than all that was sampled gets more, in
   proportion to the distance.
4. A kernel whose code path was not sampled (`nnmeter.kernels.paths`) is priced like the others of its kind, with
   `UNSAMPLED_PATH_SIGMA`.
5. Where data decide how much an operator computes and it is priced by the fallback, its price tells the worst
   (`nnmeter.operators.worst.worst_case_ns`), and the interval reaches as far. What ONNX Runtime runs element by
   element (`nnmeter.operators.loops`) takes that where the fallback prices it, and on a path that was not sampled.
   Other runtimes may have the same loops: on their processors the interval of such a kernel reaches as far as
   `_SLOWER` times that, on other devices that of sorting, words, and classical models, which no GPU has code for.
   What is told of such a loop is within a factor: its price has `LOOP_SIGMA`, at least `DATA_SIGMA` where data decide.
6. A calibrated predictor corrects its prices last (`nnmeter.predictor.price_correction`), once for each calibration.
7. One that rests on several machines takes the prices of the others in by their shares (`nnmeter.predictor.shares`).
8. One that was learned from few whole networks has rates by sorts of work (`nnmeter.predictor.work`). What they say
   takes the place of the roofline, and is their ensembles' to correct; a kernel that was not sampled, or does work of a
   group that was not, is a fallback all the same, with the standard deviation that they tell of it.
9. A kernel that runs again at once, in a loop of the model, finds its code and data in the caches. Of kernels of a few
   elements a run takes 0.2 to 0.4 us on Zen 4, where the smallest sum of a network is priced 0.3 to 1.3, by the
   campaign: ONNX Runtime's runs in a loop take `_COLD` of the latter less, and no less than the rest of it or rule 1's.
10. What a kernel takes depends on how long its network takes, and on how many of its kind are in it
   (`nnmeter.predictor.network_factors`). `price` tells what it takes in the mean of the networks of training,
   `price_network` what all kernels of one network take in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.anchor import Anchor, Kind
from nnmeter.kernels.features import COMMON_NAMES, FEATURE_NAMES, KernelFeatures
from nnmeter.kernels.kernel import Attribute, KernelSignature
from nnmeter.kernels.likeness import like
from nnmeter.operators.flops import Types
from nnmeter.operators.loops import is_told, loop_ns
from nnmeter.operators.table import GENERIC
from nnmeter.operators.worst import worst_case_ns
from nnmeter.predictor.baselines import Baselines
from nnmeter.predictor.intervals import IntervalModel
from nnmeter.predictor.network_factors import NetworkFactors
from nnmeter.predictor.price import (
    DATA_SIGMA,
    LOOP_SIGMA,
    RERUN_SIGMA,
    SIGMA_PER_DOUBLING,
    UNSAMPLED_PATH_SIGMA,
    KernelPrice,
    Source,
)  # fmt: skip
from nnmeter.predictor.price_correction import Correction, alias_of
from nnmeter.predictor.roofline import EVEN, Roofline
from nnmeter.predictor.trees import TreeEnsemble
from nnmeter.predictor.vocabulary import Sampled, described, families_by_anchor
from nnmeter.predictor.work import WorkRates

FALLBACK = "fallback"  # name of the generic ensemble that prices what was not sampled
_ITEM_BITS = COMMON_NAMES.index("item_bits")
_CACHE_LIMIT = 200_000
LEAST_LAUNCH = 0.1  # of a launch, below which no kernel is priced (rule 1)
_LEAST_SIGMA = 0.05  # of a kernel that was not sampled, however well the rates of its work are known
LEAST_DEVIATION, LARGEST_DEVIATION = 0.02, 1.5  # what a learned standard deviation is kept within
_COLD = 0.75  # of the smallest sum, that a kernel takes less where it runs again at once (rule 9)
_SLOWER = 2.0  # than a core of a server is one of a phone (rule 5)
_LEAST_MS = 1e-9  # what a damaged pack may say less than

_FEW = TensorType("float32", (16,))
_SMALLEST_SUM = KernelSignature("Add", "Add", "", (_FEW, _FEW), (False, False), (_FEW,))


@dataclass(frozen=True, slots=True)
class Share:
    """What another machine's predictor adds (rule 1).

    Attributes:
        predictor: of the other machine.
        weight: of the logarithm of its prices.
    """

    predictor: KernelPredictor
    weight: float

    def profiled_ms(self, kernels: Sequence[KernelSignature]) -> np.ndarray:
        """Its price of each kernel as a profiler shows it, in milliseconds [kernels]."""
        theirs = self.predictor
        prices = np.array([price.latency_ms for price in theirs.price(kernels)])
        least = max(LEAST_LAUNCH * theirs.roofline.launch_ms, _LEAST_MS)
        return np.maximum((prices - theirs.per_kernel_ms) / max(theirs.scale, _LEAST_MS), least)


@dataclass(frozen=True, slots=True)
class KernelPredictor:
    """Prices kernels of one device.

    Attributes:
        roofline: analytic model that the ensembles correct.
        vocabulary: what was sampled.
        ensembles: trained log-ratio by kernel family, and `FALLBACK`.
        fallback_sigma: standard deviation of the log error where the operator was left out of training.
        intervals: uncertainty of a total.
        baselines: simple estimates fitted to the same training networks, for scorecards.
        scale, per_kernel_ms: from kernels as a profiler shows them to unobserved ones (rule 1).
        overhead_ms: time of one inference that no kernel accounts for.
        corrections: of calibrations to nearer devices, in the order in which they were made (rule 6).
        shares: of other machines' predictors (rule 7).
        work: rates by sorts of work (rule 8); None in a predictor without.
        deviations: learned standard deviation of the log price of a sampled kernel, by kernel family (rule 3).
        loops: whether it is of ONNX Runtime on a processor, so that rule 5 holds; the card of a pack tells.
        processor: whether it is of a processor, and not of a GPU or the like (rule 5); the card of a pack tells.
        factors: what kernels take by their network (rule 10); None where that is not known.
    """

    roofline: Roofline
    vocabulary: Mapping[Kind, Sampled]
    ensembles: Mapping[str, TreeEnsemble]
    fallback_sigma: float
    intervals: IntervalModel
    baselines: Baselines
    scale: float = 1.0
    per_kernel_ms: float = 0.0
    overhead_ms: float = 0.0
    corrections: tuple[Correction, ...] = ()
    shares: tuple[Share, ...] = ()
    work: WorkRates | None = None
    deviations: Mapping[str, TreeEnsemble] = field(default_factory=dict)
    loops: bool = False
    processor: bool = False
    factors: NetworkFactors | None = None
    _families: dict[Anchor, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _cache: dict[KernelSignature, KernelPrice] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Note the families that each anchor is known by, from training or from a calibration."""
        known = chain(self.vocabulary, *(correction.operators for correction in self.corrections))
        self._families.update(families_by_anchor(known))

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

    def price_network(self, signatures: Sequence[KernelSignature]) -> list[KernelPrice]:
        """The prices of all kernels of one network, in order, as they are in it (rule 10)."""
        prices = self.price(signatures)
        return prices if self.factors is None else self.factors.of_network(prices)

    def rerun(self, price: KernelPrice, count: int) -> KernelPrice:
        """The price of several runs of a kernel, one after the other in a loop of the model (rule 9)."""
        if self.loops and count > 1:
            small_ms = self._smallest_ms()
            again_ms = max(price.latency_ms - _COLD * small_ms, min((1 - _COLD) * small_ms, price.latency_ms))
            again_ms = max(again_ms, min(LEAST_LAUNCH * self.roofline.launch_ms, price.latency_ms))  # rule 1
            mean_ms = (price.latency_ms + (count - 1) * again_ms) / count  # the first finds nothing in the caches
            added = RERUN_SIGMA * (1 - mean_ms / price.latency_ms)
            price = replace(price, latency_ms=mean_ms, sigma=price.sigma + added, rerun_sigma=added)
        return price.times(count)

    def describe(self, signature: KernelSignature) -> KernelFeatures:
        """The features of a kernel, of the family that this predictor knows it by."""
        return described(signature, self._families)

    def sampled(self, kind: Kind) -> Sampled | None:
        """What training knows of a kind of kernel, or of what it is priced as; None if the fallback prices it."""
        return self.vocabulary.get(alias_of(kind, self.corrections))

    def _price_missing(self, signatures: list[KernelSignature]) -> None:
        groups: dict[str, list[tuple[KernelSignature, KernelFeatures, Sampled | None]]] = {}
        for signature in signatures:
            features = self.describe(signature)
            sampled = self.sampled(features.kind)
            if self.work is not None and not self.work.has_sampled(signature):
                sampled = None
            name = FALLBACK if sampled is None else features.family
            groups.setdefault(name, []).append((signature, features, sampled))
        for name, members in groups.items():
            width = len(FEATURE_NAMES[name]) if name != FALLBACK else len(COMMON_NAMES)
            rows = np.array([features.values[:width] for _, features, _ in members], dtype=np.float32)
            rows[:, 0] = [-1.0 if sampled is None else sampled.code for _, _, sampled in members]
            learned = self.ensembles[name].predict(rows)
            if self.shares:
                learned = learned + self._of_shares(members)
            worked = None if self.work is None else [self.work.price(signature) for signature, _, _ in members]
            if worked is not None:
                learned = learned + self._of_work(members, worked)
            ratios = np.exp(np.clip(learned, -10.0 if worked is None else -50.0, 10.0 if worked is None else 50.0))
            prices = [
                self.price_from_ratio(features, sampled, ratio)
                for (_, features, sampled), ratio in zip(members, ratios.tolist(), strict=True)
            ]
            if name in self.deviations:
                learned_sigmas = kept_within(self.deviations[name].predict(rows)).tolist()
                prices = [
                    replace(price, sigma=sigma + SIGMA_PER_DOUBLING * price.distance)
                    for price, sigma in zip(prices, learned_sigmas, strict=True)
                ]
            prices = [
                self._of_its_loop(signature, sampled, price)
                for (signature, _, sampled), price in zip(members, prices, strict=True)
            ]
            if worked is not None:
                prices = [
                    replace(price, sigma=max(spread, _LEAST_SIGMA)) if price.source == "fallback" else price
                    for price, (_, spread) in zip(prices, worked, strict=True)
                ]
            for correction in self.corrections:
                prices = correction.apply(prices, [features for _, features, _ in members], self.roofline)
            for (signature, _, sampled), price in zip(members, prices, strict=True):
                self._cache[signature] = self._with_cold(signature, self._widened(signature, sampled, price))

    def _with_cold(self, signature: KernelSignature, price: KernelPrice) -> KernelPrice:
        """The price with what the kernel takes longer where the caches hold nothing of it (rule 10)."""
        if self.factors is None or self.factors.coldness is None:
            return price
        call_ms, weights_ms = self.factors.coldness.cost_ms(price.kind.family, signature)
        return replace(price, cold_call_ms=call_ms, cold_weights_ms=weights_ms)

    def _of_work(
        self,
        members: Sequence[tuple[KernelSignature, KernelFeatures, Sampled | None]],
        worked: Sequence[tuple[float, float]],
    ) -> np.ndarray:
        """Log ratio to the roofline of what the rates by sorts of work say (rule 8)."""
        return np.log([price_ms for price_ms, _ in worked]) - np.log(self._rooflines_ms(members))

    def _rooflines_ms(self, members: Sequence[tuple[KernelSignature, KernelFeatures, Sampled | None]]) -> np.ndarray:
        return np.array(
            [
                self.roofline.latency_ms(
                    features.cost, int(features.values[_ITEM_BITS]), EVEN if sampled is None else sampled.rates
                )
                for _, features, sampled in members
            ]
        )

    def _of_shares(self, members: Sequence[tuple[KernelSignature, KernelFeatures, Sampled | None]]) -> np.ndarray:
        """What the shares add to the log ratio to the roofline (rule 7)."""
        return log_ratio_of_shares(self.shares, [signature for signature, _, _ in members], self._rooflines_ms(members))

    def _of_its_loop(self, signature: KernelSignature, sampled: Sampled | None, price: KernelPrice) -> KernelPrice:
        """A price by what an operator takes that is run element by element (rule 5)."""
        if not self.loops or not is_told(signature.op_type):
            return price
        if sampled is not None and not sampled.unsampled_path(signature):
            return price
        ms = loop_ns(*_described(signature)) / 1e6
        if not ms:
            return price
        return replace(price, latency_ms=ms + self._smallest_ms(), sigma=LOOP_SIGMA)

    def _smallest_ms(self) -> float:
        """What the smallest sum takes in a network: next to nothing but the call."""
        return self.price([_SMALLEST_SUM])[0].latency_ms

    def _widened(self, signature: KernelSignature, sampled: Sampled | None, price: KernelPrice) -> KernelPrice:
        """A price with what is not known of the kernel: its code path (rule 4), and data (rule 5).

        One that runs the loop of another takes as long as that (`nnmeter.kernels.likeness`).
        """
        path = "" if sampled is None else sampled.unsampled_path(signature)
        known = self.loops and is_told(signature.op_type) and loop_ns(*_described(signature)) > 0
        other = None if sampled is None else like(signature)
        if other is not None and self.sampled(self.describe(other).kind) is not None:
            price, known = replace(price, latency_ms=self.price([other])[0].latency_ms), True
        worst_ms = 0.0
        if price.source == "fallback" or path:
            worst_ms = worst_case_ns(*_described(signature)) / 1e6
        sigma = max(price.sigma, LOOP_SIGMA if known else UNSAMPLED_PATH_SIGMA) if path else price.sigma
        if worst_ms > price.latency_ms:
            sigma = max(sigma, DATA_SIGMA)
        if price.source == "fallback" or path:
            worst_ms = max(worst_ms, self._loop_elsewhere_ms(signature, price))
        if not path and worst_ms <= price.latency_ms:
            return price
        return replace(price, sigma=sigma, path=path, worst_ms=worst_ms)

    def _loop_elsewhere_ms(self, signature: KernelSignature, price: KernelPrice) -> float:
        """How long a loop may take that another runtime than ONNX Runtime may have (rule 5)."""
        if self.loops or not (self.processor or price.kind.family == GENERIC):
            return 0.0
        return _SLOWER * loop_ns(*_described(signature)) / 1e6

    def price_from_ratio(self, features: KernelFeatures, sampled: Sampled | None, ratio: float) -> KernelPrice:
        """The price of a kernel whose learned ratio to the roofline is known; `sampled` is None for the fallback."""
        cost = features.cost
        values = features.values
        rates = EVEN if sampled is None else sampled.rates
        profiled = self.roofline.latency_ms(cost, int(values[_ITEM_BITS]), rates) * ratio
        latency = max(self.scale * profiled + self.per_kernel_ms, LEAST_LAUNCH * self.roofline.launch_ms * rates[2])
        source: Source = "trained"
        distance = 0.0
        if sampled is None:
            source, sigma = "fallback", self.fallback_sigma
        else:
            distance = sampled.distance(values)
            sigma = sampled.sigma + SIGMA_PER_DOUBLING * distance
        return KernelPrice(
            latency, source, sigma, distance, features.kind, int(cost.flops), int(cost.bytes_read + cost.bytes_written)
        )


def _described(
    signature: KernelSignature,
) -> tuple[str, str, dict[str, Attribute], Types, Sequence[TensorType]]:
    """What rules of operators look at: operator, domain, attributes, types of inputs and outputs."""
    return signature.op_type, signature.domain, dict(signature.attributes), signature.inputs, signature.outputs


def kept_within(deviations: np.ndarray) -> np.ndarray:
    """Learned standard deviations within what they can be (rule 3)."""
    return np.clip(deviations, LEAST_DEVIATION, LARGEST_DEVIATION)


def log_ratio_of_shares(
    shares: Sequence[Share], kernels: Sequence[KernelSignature], roofline_ms: np.ndarray
) -> np.ndarray:
    """What shares add to the log ratio of kernels to a roofline (rule 2) [kernels].

    Args:
        shares: of a predictor.
        kernels: with their residency, where the predictor tells it; it must where that of a share does.
        roofline_ms: of the predictor, with the rates of each kernel's operator [kernels].
    """
    found = np.zeros(len(kernels))
    for share in shares:
        found += share.weight * np.log(share.profiled_ms(kernels) / np.maximum(roofline_ms, _LEAST_MS))
    return found
