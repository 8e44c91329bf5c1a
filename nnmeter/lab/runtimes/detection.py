"""The kernels of a model by a runtime's own account, in place of a device's fusion rules."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from nnmeter.graph.input_sizes import Session
from nnmeter.graph.ir import Graph
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.runtimes import load_runtime


def ask_runtime(
    model: str | os.PathLike[str] | bytes,
    runtime: str,
    threads: int = 1,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    session: Session | None = None,
) -> Callable[[Graph], list[Kernel]]:
    """A detector for `LatencyPredictor.predict(detect=...)` that compiles the model in a runtime of this machine.

    Exact for this machine and this version of the runtime; weights that the file lacks are made up.

    Args:
        model: path or bytes of the model whose graph the detector will be given.
        runtime: name of the runtime, as in a device's card.
        threads: threads that the runtime plans for.
        dims: values of the dimensions that the model leaves free, by name.
        shapes: whole shapes of inputs, by input name.
        session: "free" for one that keeps free dimensions.

    Raises:
        MeasurementError: the runtime is not installed, or refuses the model (when the detector is called).
    """
    adapter = load_runtime(runtime, session)

    def detect(graph: Graph) -> list[Kernel]:
        compiled = adapter.compile(model, threads, dims=dims, shapes=shapes)
        try:
            return list(compiled.kernels)
        finally:
            compiled.close()

    return detect
