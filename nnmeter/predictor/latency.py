"""The prediction of a model: read, bind, detect, price, sum."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nnmeter.collector import paused_collector
from nnmeter.errors import CoverageError, NnmeterError
from nnmeter.kernels.kernel import Kernel
from nnmeter.predictor.price import Source

if TYPE_CHECKING:
    from nnmeter.devices.pack import DevicePack
    from nnmeter.graph.ir import Graph

SCHEMA_VERSION = 1
DEFAULT_CONFIDENCE = 0.9
_OUTSIDE_DOUBLINGS = 0.5  # a kernel this far beyond the sampled range is named in a warning


@dataclass(frozen=True, slots=True)
class PricedKernel:
    """One kernel of a prediction.

    Attributes:
        name: name of the kernel in its model.
        type: fused name in the runtime's vocabulary.
        latency_ms: its price.
        source: "trained", or "fallback" where the device's training had no such operator.
        nodes: the model's operators that it absorbs.
        flops: floating-point operations, one multiply-add being two.
        bytes: bytes read and written.
        outside: how many doublings of size it lies beyond what training sampled; 0 inside.
    """

    name: str
    type: str
    latency_ms: float
    source: Source
    nodes: tuple[str, ...]
    flops: int
    bytes: int
    outside: float

    def to_dict(self) -> dict[str, Any]:
        """The kernel as the JSON schema has it."""
        return {
            "name": self.name,
            "type": self.type,
            "latency_ms": self.latency_ms,
            "source": self.source,
            "nodes": list(self.nodes),
            "flops": self.flops,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, slots=True)
class Prediction:
    """How long a model takes on a device, and why.

    Attributes:
        model: name of the model, the path where it came from one.
        device: id of the device pack.
        latency_ms: predicted time of one inference: the kernels and the overhead.
        interval_ms: low and high end that hold the measured time with probability `confidence`.
        confidence: 0.5, 0.8, 0.9 or 0.95.
        coverage: share of the kernels' time that "trained" and "fallback" prices make up.
        kernels: every kernel in the order of execution.
        overhead_ms: time of an inference that no kernel accounts for.
        warnings: what the reader should know, a sentence each.
    """

    model: str
    device: str
    latency_ms: float
    interval_ms: tuple[float, float]
    confidence: float
    coverage: Mapping[str, float]
    kernels: tuple[PricedKernel, ...]
    overhead_ms: float
    warnings: tuple[str, ...]

    def rescaled(self, factor: float, note: str) -> Prediction:
        """The prediction with all times multiplied, and a warning that says why; shares stay."""
        return replace(
            self,
            latency_ms=self.latency_ms * factor,
            interval_ms=(self.interval_ms[0] * factor, self.interval_ms[1] * factor),
            kernels=tuple(replace(k, latency_ms=k.latency_ms * factor) for k in self.kernels),
            overhead_ms=self.overhead_ms * factor,
            warnings=(*self.warnings, note),
        )

    def to_dict(self) -> dict[str, Any]:
        """The prediction in the stable JSON schema, version 1."""
        import nnmeter

        return {
            "schema_version": SCHEMA_VERSION,
            "nnmeter_version": nnmeter.__version__,
            "device": self.device,
            "model": self.model,
            "latency_ms": self.latency_ms,
            "interval_ms": list(self.interval_ms),
            "confidence": self.confidence,
            "coverage": dict(self.coverage),
            "overhead_ms": self.overhead_ms,
            "kernels": [kernel.to_dict() for kernel in self.kernels],
            "warnings": list(self.warnings),
        }


class LatencyPredictor:
    """Predicts models on the device of one pack; keeps prices of kernels it has seen, so many models cost little."""

    def __init__(self, pack: DevicePack) -> None:
        self.pack = pack

    @property
    def device(self) -> str:
        """Id of the device."""
        return self.pack.id

    def predict(
        self,
        model: Any,
        dims: Mapping[str, int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        strict: bool = False,
        confidence: float = DEFAULT_CONFIDENCE,
        detect: Callable[[Graph], list[Kernel]] | None = None,
    ) -> Prediction:
        """Predict one model.

        Args:
            model: path, bytes, `onnx.ModelProto`, or a `Graph` that was loaded before.
            dims: values of the dimensions that the model leaves free, by name.
            shapes: whole shapes of inputs, by input name.
            strict: raise where a kernel has no trained price, instead of using the fallback.
            confidence: of the interval: 0.5, 0.8, 0.9 or 0.95.
            detect: finds the kernels in place of the pack's fusion rules (for instance by asking the runtime).

        Raises:
            ModelError: the model cannot be read, or dimensions remain free.
            CoverageError: `strict`, and a kernel was priced by the fallback.
        """
        from nnmeter.graph.ir import Graph

        with paused_collector():
            if isinstance(model, Graph):
                graph, name = model, model.name
            else:
                from nnmeter.formats import read_model
                from nnmeter.graph.binding import bind_shapes

                unbound = read_model(model)
                graph = bind_shapes(unbound, dims or {}, shapes or {})
                name = os.fspath(model) if isinstance(model, str | os.PathLike) else graph.name
            if detect is None:
                from nnmeter.fusion.detect import detect_kernels

                kernels = detect_kernels(graph, self.pack.rules)
            else:
                kernels = detect(graph)
            return self.price(str(name), kernels, graph.warnings, strict, confidence)

    def price(
        self,
        model: str,
        kernels: Sequence[Kernel],
        warnings: Sequence[str] = (),
        strict: bool = False,
        confidence: float = DEFAULT_CONFIDENCE,
    ) -> Prediction:
        """The prediction for kernels that were detected already; see `predict`."""
        predictor = self.pack.predictor
        if confidence not in predictor.intervals.multipliers:
            known = ", ".join(str(c) for c in predictor.intervals.multipliers)
            raise NnmeterError(f"confidence {confidence} is not calibrated on '{self.device}'; choose one of {known}")
        prices = predictor.price([kernel.signature for kernel in kernels])
        priced = tuple(
            PricedKernel(k.name, k.type, p.latency_ms, p.source, k.nodes, p.flops, p.bytes, p.outside)
            for k, p in zip(kernels, prices, strict=True)
        )
        untrained = sorted({k.type for k in priced if k.source == "fallback"})
        if strict and untrained:
            raise CoverageError(
                f"{model}: no trained price on '{self.device}' for {', '.join(untrained)}; "
                "predict without --strict, or take a device pack that was trained on them"
            )
        kernel_ms = sum(k.latency_ms for k in priced)
        fallback_ms = sum(k.latency_ms for k in priced if k.source == "fallback")
        fallback = fallback_ms / kernel_ms if kernel_ms else 0.0
        total = kernel_ms + predictor.inference_ms
        return Prediction(
            model,
            self.device,
            total,
            predictor.intervals.interval_ms(total, prices, confidence),
            confidence,
            {"trained": 1.0 - fallback, "fallback": fallback},
            priced,
            predictor.inference_ms,
            (*warnings, *_coverage_warnings(priced, untrained)),
        )


def _coverage_warnings(kernels: Sequence[PricedKernel], untrained: Sequence[str]) -> list[str]:
    warnings = []
    if untrained:
        warnings.append(f"priced by the fallback, no such kernel was measured on this device: {', '.join(untrained)}")
    outside = sorted({k.type for k in kernels if k.source == "trained" and k.outside > _OUTSIDE_DOUBLINGS})
    if outside:
        warnings.append(f"larger or smaller than what was measured on this device: {', '.join(outside)}")
    return warnings


def load_predictor(device: str | os.PathLike[str] | None = None) -> LatencyPredictor:
    """The predictor of a device pack, by id or path; of the pack nearest to this machine if none is named.

    Raises:
        DeviceError: the device is unknown, or its pack is damaged.
    """
    from nnmeter.devices import load_pack, nearest_device

    return LatencyPredictor(load_pack(nearest_device()[0].path if device is None else device))
