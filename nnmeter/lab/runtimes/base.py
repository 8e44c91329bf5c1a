"""What a runtime adapter offers: models compiled by one runtime, run, and timed kernel by kernel.

A new runtime is one module with a class that has the attributes and methods of `RuntimeAdapter`, and an entry point of
group `nnmeter.runtimes` that names it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from nnmeter.kernels.kernel import Kernel

if TYPE_CHECKING:
    import onnx


@runtime_checkable
class CompiledModel(Protocol):
    """A model as a runtime will execute it, with inputs ready."""

    @property
    def kernels(self) -> Sequence[Kernel]:
        """What the runtime executes, in its order, by its own account."""
        ...

    @property
    def batch(self) -> int:
        """Leading dimension of the first input; 1 where it has none."""
        ...

    def run(self) -> None:
        """Runs the model once."""
        ...

    def profile(self, runs: int, after_each: Callable[[], None] | None = None) -> np.ndarray[Any, Any]:
        """Times every kernel inside of the running model with the runtime's profiler.

        May be called once, before the model is timed as a whole: runs before it may bear the profiler's cost, runs
        behind it do not.

        Args:
            runs: number of runs to profile.
            after_each: called after every run.

        Returns:
            Milliseconds, of shape (runs, kernels), columns in the order of `kernels`.

        Raises:
            MeasurementError: the model was compiled without `profiled`, was profiled already, or the profiler's account
                does not match the kernels.
        """
        ...

    def close(self) -> None:
        """Gives back the memory; the model cannot run any more."""
        ...


@runtime_checkable
class RuntimeAdapter(Protocol):
    """One runtime on this machine.

    Attributes:
        name: as in device packs: `onnxruntime`.
        has_profiler: whether compiled models can `profile`.
    """

    name: str
    has_profiler: bool

    def version(self) -> str:
        """Version of the runtime's library."""
        ...

    def device_settings(self, threads: int) -> dict[str, Any]:
        """The runtime's settings that times depend on, for the fingerprint."""
        ...

    def compile(
        self,
        model: str | os.PathLike[str] | bytes | onnx.ModelProto,
        threads: int = 1,
        *,
        dims: Mapping[str, int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        profiled: bool = False,
        seed: int = 0,
    ) -> CompiledModel:
        """Compiles a model and makes random inputs, and random weights where the file has none.

        Args:
            model: path, serialized model or `onnx.ModelProto` (which may be changed).
            threads: threads that execute one run.
            dims: sizes of named free dimensions.
            shapes: shapes of inputs with free dimensions.
            profiled: make `CompiledModel.profile` possible.
            seed: of the random numbers.

        Raises:
            ModelError: the model cannot be read, or keeps free dimensions.
            MeasurementError: the runtime refuses the model.
        """
        ...


@runtime_checkable
class KeepsFree(Protocol):
    """What an adapter has besides whose runtime can load a model without knowing the sizes of its free dimensions.

    Attributes:
        keeps_free: whether it does; else free dimensions are bound before.
    """

    keeps_free: bool


@runtime_checkable
class JoinsNetworks(Protocol):
    """What an adapter has besides whose profiler takes seconds whatever the model.

    Attributes:
        networks_at_once: random networks of a campaign that are measured in one model, side by side.
    """

    networks_at_once: int
