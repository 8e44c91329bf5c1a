"""What a prediction says: the total and its interval, the price of each kernel, and what they rest on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from nnmeter.errors import NnmeterError
from nnmeter.graph.input_sizes import Session
from nnmeter.graph.notes import Note
from nnmeter.prediction.groups import KernelGroup, group_kernels
from nnmeter.prediction.interval import Coverage, Interval
from nnmeter.prediction.modules import module_name
from nnmeter.prediction.priced_kernel import PricedKernel
from nnmeter.wording import format_ms, format_share, printable, shorten

if TYPE_CHECKING:
    import pandas as pd

    from nnmeter.devices.identity import MachineMatch
    from nnmeter.prediction.peak_memory import PeakMemory
    from nnmeter.predictor.intervals import IntervalModel

SCHEMA_VERSION = 1
_SHOWN_CHARACTERS = 80  # of a model's name, where a prediction shows itself in a line


class _Later:
    """A field of a prediction that is made when it is asked for first: its slot has it, or a function that makes it."""

    def __init__(self, slot: Any) -> None:
        self.slot = slot

    def __get__(self, prediction: Any, owner: Any = None) -> Any:
        if prediction is None:
            return self
        found = self.slot.__get__(prediction, owner)
        if callable(found):
            found = found()
            self.slot.__set__(prediction, found)
        return found

    def __set__(self, prediction: Any, value: Any) -> None:
        self.slot.__set__(prediction, value)


def later(kernels: Callable[[], tuple[PricedKernel, ...]]) -> tuple[PricedKernel, ...]:
    """What to give a prediction for kernels that are only made when they are asked for."""
    return kernels  # type: ignore[return-value]


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
        machine: what the device is to the machine that predicts; None where nobody asked.
        errors: what intervals of the device rest on; None where nobody said.
        session: "free" or "bound", for a model that leaves dimensions free and a runtime that makes another graph of it
            then (`InputSizes.session`); else None.
        memory: what it takes while it runs; None where nobody asked.
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
    machine: MachineMatch | None = None
    errors: IntervalModel | None = None
    session: Session | None = None
    memory: PeakMemory | None = None

    @property
    def outside(self) -> tuple[PricedKernel, ...]:
        """The kernels outside of the trained range."""
        return tuple(kernel for kernel in self.kernels if kernel.gaps)

    @property
    def outside_share(self) -> float:
        """Share of the kernels' time that those outside of the trained range take."""
        total = sum(kernel.latency_ms for kernel in self.kernels)
        return sum(kernel.latency_ms for kernel in self.outside) / total if total else 0.0

    def probability_within(self, max_ms: float) -> float:
        """The probability that the measured time is at most `max_ms` milliseconds, by the intervals of the device.

        Raises:
            NnmeterError: nobody said what the intervals rest on.
        """
        from nnmeter.prediction.probability import intervals_of, probability_within

        if self.errors is None or any(kernel.price is None for kernel in self.kernels):
            raise NnmeterError(f"{self.model}: nothing is known of its intervals but one; predict it again")
        intervals = intervals_of(self.latency_ms, self.kernels, self.errors, self.machine)
        return probability_within(max_ms, self.latency_ms, intervals)

    def total(self) -> KernelGroup:
        """All kernels as one group: time with overhead, share 1, FLOPs, bytes and parameters of the whole model."""
        (group,) = group_kernels(self.kernels, self.latency_ms, lambda kernel: "") or (KernelGroup("", 0, 0, 0, 0, 0),)
        return replace(group, latency_ms=self.latency_ms, share=1.0)

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

    def tree(self, depth: int = 2) -> str:
        """The time by module as text to print: a tree with ms, share, FLOPs and parameters, most expensive first.

        Args:
            depth: levels of modules to tell apart.
        """
        from nnmeter.prediction.tree import module_text

        return module_text(str(self), self.kernels, self.total(), self.overhead_ms, depth)

    def to_pandas(self) -> pd.DataFrame:
        """The kernels as a pandas frame, a row each, in the order of execution.

        Columns: `name`, `type`, `operator`; `latency_ms` in milliseconds and `share` of the predicted time, 0 to 1;
        `source`, "trained" or "fallback"; `flops`, one multiply-add being two, and `bytes` read and written; `module`
        of the exporting framework; `nodes`, a tuple of the model's operators that the kernel absorbs.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        from nnmeter.prediction.kernel_frame import kernel_frame

        return kernel_frame(self.kernels, self.latency_ms)

    def __repr__(self) -> str:
        return f"<Prediction {self}>"

    def __str__(self) -> str:
        count = len(self.kernels)
        return (
            f"{self._subject()}: {format_ms(self.latency_ms)} ms "
            f"({format_ms(self.interval_ms.low)} to {format_ms(self.interval_ms.high)}), "
            f"{count} kernel{'' if count == 1 else 's'}, {format_share(self.coverage.trained)} trained"
        )

    def _subject(self) -> str:
        """Model, sizes and device on one line; names in files may have characters that a terminal acts on."""
        name = shorten(PurePath(self.model).name or self.model, _SHOWN_CHARACTERS)
        sizes = " ".join(f"{dim}={size}" for dim, size in self.dims.items())
        return printable(f"{name}{f' ({sizes})' if sizes else ''} on {self.device}")

    def _repr_html_(self) -> str:
        from nnmeter.prediction.showing import as_html

        return as_html(str(self), self.kernels, self.latency_ms, self.overhead_ms, self.warnings)

    def changed(self, **changes: Any) -> Prediction:
        """The prediction with other fields; kernels that nobody asked for are not made for it."""
        return replace(self, **{"kernels": _KERNELS.slot.__get__(self), **changes})

    def rescaled(
        self, factor: float, note: str, of_kernel: Callable[[PricedKernel], float] | None = None
    ) -> Prediction:
        """The prediction with all times multiplied, and a warning that says why.

        Args:
            factor: of the overhead, and of every kernel if nothing else is said.
            note: the warning.
            of_kernel: factor of a kernel. The interval then keeps its width relative to the whole.
        """

        def scaled() -> tuple[PricedKernel, ...]:
            return tuple(
                replace(k, latency_ms=k.latency_ms * (factor if of_kernel is None else of_kernel(k)))
                for k in self.kernels
            )

        whole = factor
        if of_kernel is not None and self.latency_ms > 0:
            gained_ms = sum(new.latency_ms - old.latency_ms for new, old in zip(scaled(), self.kernels, strict=True))
            whole = 1.0 + (gained_ms + self.overhead_ms * (factor - 1.0)) / self.latency_ms
        return self.changed(
            latency_ms=self.latency_ms * whole,
            interval_ms=self.interval_ms.scaled(whole),
            kernels=later(scaled),
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
            "machine": None if self.machine is None else self.machine.to_dict(),
            "model": self.model,
            "dims": dict(self.dims),
            "session": self.session,
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
            **({} if self.memory is None else {"memory": self.memory.to_dict()}),
            **({} if self.errors is None else {"errors": self.errors.to_dict()}),
            "kernels": [kernel.to_dict() for kernel in self.kernels],
            "warnings": list(self.warnings),
        }


_KERNELS = _Later(vars(Prediction)["kernels"])
setattr(Prediction, "kernels", _KERNELS)  # noqa: B010 - to type checkers it is the field that it was
