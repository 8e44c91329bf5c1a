"""From kernels to a prediction: price each, sum, add the interval, and say what lies outside of the trained range."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nnmeter.collector import paused_collector
from nnmeter.errors import CoverageError, NnmeterError
from nnmeter.graph.notes import Note
from nnmeter.kernels.kernel import Kernel, KernelSignature
from nnmeter.prediction.interval import Coverage, Interval
from nnmeter.prediction.prediction import Prediction, later
from nnmeter.prediction.priced_kernel import PricedKernel
from nnmeter.predictor.element_types import PRECISIONS, precisions_of
from nnmeter.predictor.network_factors import scaled
from nnmeter.predictor.price_columns import PriceColumns, columns_of
from nnmeter.predictor.trained_range import Gap, find_gaps
from nnmeter.wording import format_share

if TYPE_CHECKING:
    from nnmeter.devices.pack import DevicePack
    from nnmeter.predictor.kernel_predictor import KernelPredictor
    from nnmeter.predictor.price import KernelPrice

DEFAULT_CONFIDENCE = 0.9

KnownGaps = MutableMapping[KernelSignature, tuple[Gap, ...]]


def price_kernels(
    pack: DevicePack,
    known_gaps: KnownGaps,
    kernels: Sequence[Kernel],
    places: Sequence[str] | None = None,
    parameters: Sequence[int] | None = None,
) -> tuple[PricedKernel, ...]:
    """The kernels of a model with their prices.

    Args:
        pack: of the device.
        known_gaps: what earlier calls found for kernels outside of the trained range; more is added.
        kernels: what the device executes for the model.
        places: of the kernels in the framework's modules (`nnmeter.prediction.modules`), where that is known.
        parameters: how many of them each kernel has, where that is known.
    """
    with paused_collector():
        prices = [
            price if kernel.count == 1 else pack.predictor.rerun(price, kernel.count)
            for kernel, price in zip(kernels, pack.predictor.price([k.signature for k in kernels]), strict=True)
        ]
        return tuple(
            [
                PricedKernel(
                    k.name, k.type, p.latency_ms, "fallback" if p.path else p.source, k.nodes, p.flops, p.bytes,
                    p.distance,
                    _gaps(pack, known_gaps, k.signature, p) if p.distance or p.path or p.source != "trained" else (),
                    k.signature.op_type, place, k.signature, p, k.count, count,
                )
                for k, p, place, count in zip(
                    kernels, prices, places or [""] * len(kernels), parameters or [0] * len(kernels), strict=True
                )
            ]
        )  # fmt: skip


def sum_up(
    pack: DevicePack,
    model: str,
    priced: tuple[PricedKernel, ...],
    warnings: Sequence[Note] = (),
    strict: bool = False,
    confidence: float = DEFAULT_CONFIDENCE,
    dims: Mapping[str, int] | None = None,
    path: str | None = None,
    prices: PriceColumns | None = None,
    named: Callable[[], tuple[PricedKernel, ...]] | None = None,
) -> Prediction:
    """The prediction for a model whose kernels have prices.

    Args:
        pack: of the device.
        model: what the prediction calls it.
        priced: its kernels.
        warnings: what is to be said of its graph.
        strict: raise where a kernel is outside of the trained range.
        confidence: of the interval.
        dims: the sizes that were given, for the advice.
        path: its file, for the advice; None for a model in memory.
        prices: of the kernels, where they are at hand.
        named: makes the kernels as the prediction has them, where `priced` are those of other names.

    Raises:
        CoverageError: `strict`, and a kernel is outside of the trained range.
        NnmeterError: intervals of this confidence are not calibrated.
    """
    predictor = pack.predictor
    if confidence not in predictor.intervals.multipliers:
        known = ", ".join(str(c) for c in predictor.intervals.multipliers)
        raise NnmeterError(f"confidence {confidence} is not calibrated on '{pack.id}'; choose one of {known}")
    if prices is None:
        prices = columns_of([k.price for k in priced if k.price is not None])
    factors = predictor.factors.factors(prices) if predictor.factors is not None and priced else None
    if factors is not None:
        prices = prices._replace(latency_ms=prices.latency_ms * factors)
        priced, named = in_their_network(priced, factors), _all_in_their_network(named, factors)
    kernel_ms = sum([k.latency_ms for k in priced])
    fallback_ms = sum([k.latency_ms for k in priced if k.source == "fallback"])
    fallback = fallback_ms / kernel_ms if kernel_ms else 0.0
    total = kernel_ms + predictor.overhead_ms
    outside = any(k.gaps for k in priced)
    advice: tuple[str, ...] = ()
    if outside:
        from nnmeter.devices.advice import how_to_train

        advice = how_to_train(pack, path, dims or {})
    low, high = predictor.intervals.interval_ms(total, prices, confidence)
    prediction = Prediction(
        model,
        pack.id,
        total,
        Interval(low, high, confidence),
        confidence,
        Coverage(1.0 - fallback, fallback),
        later(named) if named is not None else priced,
        predictor.overhead_ms,
        (
            *warnings,
            *pack.warnings,
            *_empty_notes(priced),
            *(_precision_notes(predictor, priced) if fallback_ms or outside else ()),
            *_unlike_notes(predictor, prices),
            *(_coverage_notes(priced) if fallback_ms or outside else ()),
        ),
        dict(dims or {}),
        advice,
        errors=predictor.intervals,
    )
    if strict and outside:
        raise outside_error(prediction)
    return prediction


def in_their_network(kernels: tuple[PricedKernel, ...], factors: np.ndarray) -> tuple[PricedKernel, ...]:
    """Kernels at what they take in their network (rule 10 of `nnmeter.predictor.kernel_predictor`)."""
    found = list(kernels)
    with paused_collector():
        for number in np.flatnonzero(factors != 1.0).tolist():
            kernel, factor = kernels[number], float(factors[number])
            price = None if kernel.price is None else scaled(kernel.price, factor)
            found[number] = replace(kernel, latency_ms=kernel.latency_ms * factor, price=price)
    return tuple(found)


def _all_in_their_network(
    named: Callable[[], tuple[PricedKernel, ...]] | None, factors: np.ndarray
) -> Callable[[], tuple[PricedKernel, ...]] | None:
    return None if named is None else lambda: in_their_network(named(), factors)


def outside_error(prediction: Prediction) -> CoverageError:
    """What `strict` raises: which kernels of a prediction are outside of the trained range, and what trains them."""
    names = sorted({_why(kernel) for kernel in prediction.outside})
    return CoverageError(
        f"{prediction.model}: outside the trained range on '{prediction.device}': {', '.join(names)}; predict without "
        f"--strict (--explain says what is missing), or train it: {'; '.join(prediction.advice)}"
    )


def _gaps(pack: DevicePack, known: KnownGaps, signature: KernelSignature, price: KernelPrice) -> tuple[Gap, ...]:
    gaps = known.get(signature)
    if gaps is None:
        gaps = known[signature] = find_gaps(pack.predictor, signature, price)
    return gaps


def _why(kernel: PricedKernel) -> str:
    """A kernel's type and in a word why it is outside."""
    gap = kernel.gaps[0]
    words = {"operator": "no such operator", "element_type": f"not in {gap.element_type}", "path": f"not {gap.path}"}
    return f"{kernel.type} ({words.get(gap.what, 'size' if kernel.source == 'trained' else 'not measured')})"


def _empty_notes(kernels: Sequence[PricedKernel]) -> list[Note]:
    """A word where nothing runs: constants are computed once, when the model is loaded, and views cost nothing."""
    if any(kernel.latency_ms > 0 for kernel in kernels):
        return []
    return [Note("nothing is left to run: the device's runtime computes the whole model when it is loaded", "empty")]


def _precision_notes(predictor: KernelPredictor, kernels: Sequence[PricedKernel]) -> list[Note]:
    """A word for each precision that the device was never measured in: its pack cannot judge it, only guess."""
    found: dict[str, list[PricedKernel]] = {}
    for kernel in kernels:
        if kernel.source == "fallback" and kernel.gaps and not kernel.gaps[0].path:
            found.setdefault(kernel.gaps[0].element_type.partition("*")[0], []).append(kernel)
    if not found:
        return []
    trained = precisions_of(kind.anchor for kind in predictor.vocabulary)
    total_ms = sum(k.latency_ms for k in kernels) or 1.0
    return [
        Note(
            f"this pack cannot judge {dtype}: no kernel in {dtype} was measured on this device, only in "
            f"{', '.join(trained) or 'no precision'}. {len(some)} kernel{'s' if len(some) > 1 else ''}, "
            f"{format_share(sum(k.latency_ms for k in some) / total_ms)} of the time, "
            f"{'are guesses' if len(some) > 1 else 'is a guess'} by the fallback",
            "precision",
            dtype,
        )
        for dtype, some in sorted(found.items())
        if dtype in PRECISIONS and dtype not in trained
    ]


def _unlike_notes(predictor: KernelPredictor, prices: PriceColumns) -> list[Note]:
    """A word where the network is unlike those of training, which widens its interval."""
    shift = predictor.intervals.shift
    if shift is None or shift.distance(prices) <= 1.0:
        return []
    said = (
        "unlike the networks that this pack was trained on, by the kernels and sizes that make its time: the interval "
        "is as wide as families that were left out of training err"
    )
    return [Note(said, "unlike")]


def _form(kernel: PricedKernel) -> str:
    """The code path of a kernel where training had the operator, but not this path of it; else ""."""
    return kernel.gaps[0].path if kernel.gaps else ""


def _coverage_notes(kernels: Sequence[PricedKernel]) -> list[Note]:
    notes = []
    untrained = ", ".join(sorted({k.type for k in kernels if k.source == "fallback" and not _form(k)}))
    if untrained:
        said = f"priced by the fallback, no such kernel was measured on this device: {untrained}"
        notes.append(Note(said, "fallback"))
    paths = sorted({f"{k.type} ({_form(k)})" for k in kernels if _form(k)})
    if paths:
        notes.append(Note(f"of a form that was not measured on this device: {', '.join(paths)}", "outside"))
    outside = ", ".join(sorted({k.type for k in kernels if k.source == "trained" and k.gaps}))
    if outside:
        notes.append(Note(f"larger or smaller than what was measured on this device: {outside}", "outside"))
    return notes
