"""How good the prices of single kernels are, by kernel family and by type: what to improve first.

Rules:

1. Compared are the price of each kernel that the runtime executed, and what it took in an unobserved run
   (`nnmeter.lab.evaluation.kernel_times`). Models whose kernels were not timed are left out.
2. Every kernel weighs its share of its model's measured time, so that every model counts the same and what takes no
   time counts nothing. `error` is the weighted mean of |price - time| / time, `bias` that of (price - time) / time; in
   per cent.
3. `share` is the mean share of the models' time, in per cent. `share x error` is what a family adds to the mean error
   of a model as long as errors of kernels do not cancel: its `points`, by which the lists are sorted.
4. `far_off` are the kernels that were called trained, took more than `FAR_SHARE` of their model's time and were priced
   wrong by more than a factor of `FAR_FACTOR`: a good pack has none. Kernels of a model that are alike are one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.lab.evaluation.kernel_times import unobserved_kernel_ms
from nnmeter.predictor.trained_range import is_inside

if TYPE_CHECKING:
    from nnmeter.kernels.kernel import KernelSignature
    from nnmeter.lab.measuring.measurement import Measurement
    from nnmeter.predictor import KernelPredictor
    from nnmeter.predictor.price import KernelPrice

WORST_TYPES = 12
FAR_SHARE, FAR_FACTOR = 0.05, 1.5


@dataclass(frozen=True, slots=True)
class KernelScore:
    """Prices of a group of kernels against their times; all but the counts in per cent.

    Attributes:
        kernels: how many kernels.
        models: in how many models they occur.
        share: mean share of the models' measured time.
        error: weighted mean absolute error (rule 2).
        bias: weighted mean error; negative where prices are too low.
        points: share x error (rule 3).
    """

    kernels: int
    models: int
    share: float
    error: float
    bias: float
    points: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, rounded to what a reader can use."""
        return {k: v if isinstance(v, int) else round(v, 3) for k, v in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class FarOff:
    """A kernel that takes much of its model's time and is priced badly although it is called trained (rule 4).

    Attributes:
        model: the model's name.
        kernel: type of the kernel.
        count: kernels of this signature in the model that are far off.
        share: per cent of the model's time that one of them takes, the largest.
        price_ms, kernel_ms: price and measured milliseconds of that one.
    """

    model: str
    kernel: str
    count: int
    share: float
    price_ms: float
    kernel_ms: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, rounded to what a reader can use."""
        return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class KernelScores:
    """All kernels, each kernel family, the types that cost a model's prediction most (rule 3), and what is far off."""

    overall: KernelScore
    families: Mapping[str, KernelScore]
    types: Mapping[str, KernelScore]
    far_off: Sequence[FarOff] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "overall": self.overall.to_dict(),
            "families": {name: score.to_dict() for name, score in self.families.items()},
            "worst_types": {name: score.to_dict() for name, score in self.types.items()},
            "far_off": [kernel.to_dict() for kernel in self.far_off],
        }


@dataclass(slots=True)
class _Sum:
    kernels: int = 0
    share: float = 0.0
    absolute: float = 0.0
    signed: float = 0.0
    models: set[int] = field(default_factory=set)

    def add(self, model: int, share: float, error: float) -> None:
        self.kernels += 1
        self.models.add(model)
        self.share += share
        self.absolute += abs(error)
        self.signed += error

    def score(self, measured: int) -> KernelScore:
        """The score over `measured` models."""
        points = 100 * self.absolute / measured
        return KernelScore(
            self.kernels,
            len(self.models),
            100 * self.share / measured,
            100 * self.absolute / self.share if self.share else 0.0,
            100 * self.signed / self.share if self.share else 0.0,
            points,
        )


def score_kernels(predictor: KernelPredictor, measurements: Sequence[Measurement]) -> KernelScores | None:
    """Compare the prices of kernels with the times that they took inside of their models.

    Args:
        predictor: prices kernels.
        measurements: models, in the state of the machine that the pack was trained in.

    Returns:
        None if no measurement has times of single kernels (rule 1).
    """
    overall, families, types = _Sum(), dict[str, _Sum](), dict[str, _Sum]()
    far_off: list[FarOff] = []
    measured = 0
    for measurement in measurements:
        kernel_ms = unobserved_kernel_ms(measurement)
        if kernel_ms is None:
            continue
        prices = predictor.price_network(measurement.kernels)
        price_ms = np.array([p.latency_ms for p in prices])
        shares = (kernel_ms / kernel_ms.sum()).tolist()
        errors = ((price_ms - kernel_ms) / kernel_ms.sum()).tolist()
        for signature, price, share, error in zip(measurement.kernels, prices, shares, errors, strict=True):
            family = families.setdefault(price.kind.family, _Sum())
            for group in (overall, family, types.setdefault(signature.type, _Sum())):
                group.add(measured, share, error)
        far_off += _far_off(measurement, prices, kernel_ms)
        measured += 1
    if not measured:
        return None
    return KernelScores(
        overall.score(measured),
        _sorted(families, measured),
        dict(list(_sorted(types, measured).items())[:WORST_TYPES]),
        tuple(sorted(far_off, key=lambda kernel: (-kernel.share, kernel.model, kernel.kernel))),
    )


def _far_off(measurement: Measurement, prices: Sequence[KernelPrice], kernel_ms: np.ndarray) -> list[FarOff]:
    """Rule 4, for one model."""
    found: dict[KernelSignature, list[tuple[float, float]]] = {}
    for signature, price, took_ms in zip(measurement.kernels, prices, kernel_ms.tolist(), strict=True):
        low, high = sorted((price.latency_ms, took_ms))
        if took_ms > FAR_SHARE * kernel_ms.sum() and high > FAR_FACTOR * low and is_inside(price):
            found.setdefault(signature, []).append((took_ms, price.latency_ms))
    total_ms = float(kernel_ms.sum())
    return [
        FarOff(measurement.network, signature.type, len(times), 100 * max(times)[0] / total_ms, *reversed(max(times)))
        for signature, times in found.items()
    ]


def _sorted(sums: Mapping[str, _Sum], measured: int) -> dict[str, KernelScore]:
    scores = {name: group.score(measured) for name, group in sums.items()}
    return dict(sorted(scores.items(), key=lambda item: (-item[1].points, item[0])))
