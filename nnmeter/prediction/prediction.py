"""What a prediction says: the total and its interval, the price of each kernel, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nnmeter.predictor.price import Source
from nnmeter.predictor.trained_range import Gap

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch

SCHEMA_VERSION = 1


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
        gaps: what training lacked for it; nothing for a kernel inside of the trained range.
    """

    name: str
    type: str
    latency_ms: float
    source: Source
    nodes: tuple[str, ...]
    flops: int
    bytes: int
    outside: float
    gaps: tuple[Gap, ...] = ()

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
            "outside": [gap.to_dict() for gap in self.gaps],
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
        dims: sizes that were given to dimensions which the model leaves free.
        advice: the commands that train what lies outside of the trained range; nothing if all is inside.
        machine: what the device is to the machine that predicts; None where nobody asked.
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
    dims: Mapping[str, int] = field(default_factory=dict)
    advice: tuple[str, ...] = ()
    machine: MachineMatch | None = None

    @property
    def outside(self) -> tuple[PricedKernel, ...]:
        """The kernels outside of the trained range."""
        return tuple(kernel for kernel in self.kernels if kernel.gaps)

    @property
    def outside_share(self) -> float:
        """Share of the kernels' time that those outside of the trained range take."""
        total = sum(kernel.latency_ms for kernel in self.kernels)
        return sum(kernel.latency_ms for kernel in self.outside) / total if total else 0.0

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
        from nnmeter._version import __version__

        return {
            "schema_version": SCHEMA_VERSION,
            "nnmeter_version": __version__,
            "device": self.device,
            "machine": None if self.machine is None else self.machine.to_dict(),
            "model": self.model,
            "dims": dict(self.dims),
            "latency_ms": self.latency_ms,
            "interval_ms": list(self.interval_ms),
            "confidence": self.confidence,
            "coverage": dict(self.coverage),
            "outside": {
                "kernels": len(self.outside),
                "share": self.outside_share,
                "advice": list(self.advice),
            },
            "overhead_ms": self.overhead_ms,
            "kernels": [kernel.to_dict() for kernel in self.kernels],
            "warnings": list(self.warnings),
        }
