"""What a prediction says: the total and its interval, the price of each kernel, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nnmeter.graph.notes import Note
from nnmeter.prediction.groups import KernelGroup, group_kernels
from nnmeter.prediction.interval import Coverage, Interval
from nnmeter.prediction.modules import module_name
from nnmeter.predictor.price import Source
from nnmeter.predictor.trained_range import Gap

if TYPE_CHECKING:
    import pandas as pd

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
        operator: the operator that it computes, whatever is fused to it: `Conv` of `nchwc.Conv+Add+Relu`.
        place: what the file says of its place in the exporting framework's modules; `module` reads it.
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
    operator: str = ""
    place: str = ""

    @property
    def module(self) -> str:
        """The module of the exporting framework that it is of, `layer1.0.conv1`; "" where the file does not say."""
        return module_name(self.place)

    def to_dict(self) -> dict[str, Any]:
        """The kernel as the JSON schema has it."""
        return {
            "name": self.name,
            "type": self.type,
            "operator": self.operator,
            "module": self.module,
            "latency_ms": self.latency_ms,
            "source": self.source,
            "nodes": list(self.nodes),
            "flops": self.flops,
            "bytes": self.bytes,
            "outside": [gap.to_dict() for gap in self.gaps],
        }


@dataclass(frozen=True, slots=True, repr=False)
class Prediction:
    """How long a model takes on a device, and why.

    Attributes:
        model: name of the model, the path where it came from one.
        device: id of the device pack.
        latency_ms: predicted time of one inference: the kernels and the overhead.
        interval_ms: holds the measured time with probability `confidence`.
        confidence: 0.5, 0.8, 0.9 or 0.95.
        coverage: shares of the kernels' time that trained prices and those of the fallback make up.
        kernels: every kernel in the order of execution.
        overhead_ms: time of an inference that no kernel accounts for.
        warnings: what the reader should know, a sentence each.
        dims: sizes that were given to dimensions which the model leaves free.
        advice: the commands that train what lies outside of the trained range; nothing if all is inside.
    """

    model: str
    device: str
    latency_ms: float
    interval_ms: Interval
    confidence: float
    coverage: Coverage
    kernels: tuple[PricedKernel, ...]
    overhead_ms: float
    warnings: tuple[Note, ...]
    dims: Mapping[str, int] = field(default_factory=dict)
    advice: tuple[str, ...] = ()

    @property
    def outside(self) -> tuple[PricedKernel, ...]:
        """The kernels outside of the trained range."""
        return tuple(kernel for kernel in self.kernels if kernel.gaps)

    @property
    def outside_share(self) -> float:
        """Share of the kernels' time that those outside of the trained range take."""
        total = sum(kernel.latency_ms for kernel in self.kernels)
        return sum(kernel.latency_ms for kernel in self.outside) / total if total else 0.0

    def by_type(self) -> tuple[KernelGroup, ...]:
        """Time by fused type (`nchwc.Conv+Relu`), most expensive first."""
        return group_kernels(self.kernels, self.latency_ms, lambda kernel: kernel.type)

    def by_operator(self) -> tuple[KernelGroup, ...]:
        """Time by the operator that a kernel computes, whatever is fused to it (`Conv`), most expensive first."""
        return group_kernels(self.kernels, self.latency_ms, lambda kernel: kernel.operator)

    def by_module(self, depth: int | None = None) -> tuple[KernelGroup, ...]:
        """Time by module of the framework that exported the model, most expensive first.

        A fused kernel counts to the module of its main operator. The group "" has operators outside of any module, and
        what the runtime adds; a file that says nothing of modules gives that group alone.

        Args:
            depth: levels of modules to tell apart: 1 gives `layer1`, 2 gives `layer1.0`; all of them if not given.
        """
        return group_kernels(self.kernels, self.latency_ms, lambda kernel: module_name(kernel.place, depth))

    def to_pandas(self) -> pd.DataFrame:
        """The kernels as a pandas frame, a row each, in the order of execution.

        Columns: `name`, `type`, `operator`; `latency_ms` in milliseconds and `share` of the predicted time, 0 to 1;
        `source`, "trained" or "fallback"; `flops`, one multiply-add being two, and `bytes` read and written; `module`
        of the exporting framework; `nodes`, a tuple of the model's operators that the kernel absorbs.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        from nnmeter.prediction.frames import kernel_frame

        return kernel_frame(self)

    def __repr__(self) -> str:
        return f"<Prediction {self}>"

    def __str__(self) -> str:
        from nnmeter.prediction.showing import one_line

        return one_line(self)

    def _repr_html_(self) -> str:
        from nnmeter.prediction.showing import as_html

        return as_html(self)

    def rescaled(self, factor: float, note: str) -> Prediction:
        """The prediction with all times multiplied, and a warning that says why; shares stay."""
        return replace(
            self,
            latency_ms=self.latency_ms * factor,
            interval_ms=self.interval_ms.scaled(factor),
            kernels=tuple(replace(k, latency_ms=k.latency_ms * factor) for k in self.kernels),
            overhead_ms=self.overhead_ms * factor,
            warnings=(*self.warnings, Note(note, "rescaled")),
        )

    def to_dict(self) -> dict[str, Any]:
        """The prediction in the stable JSON schema, version 1."""
        from nnmeter._version import __version__

        return {
            "schema_version": SCHEMA_VERSION,
            "nnmeter_version": __version__,
            "device": self.device,
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
