"""tract on CPUs: models read from ONNX, the graph that its optimizer made, and its profiler.

1. Nodes get names of their own before tract reads the model, by which those of its optimized graph are known again
   (`nnmeter.lab.runtimes.tract_kernels`). The user's names stand in kernels.
2. The executed graph is what `Runnable.profile_json` lists; without inputs it runs nothing.
3. With inputs it runs the model for five seconds, whatever the model, and tells the mean of each node, in nanoseconds
   (`libcli/src/profile.rs`: `BenchLimits::default`). So `profile` gives one row of means for however many runs are
   asked for, and a campaign measures several networks in one model (`networks_at_once`).
4. A run is one call of `Runnable.run`: the state of a run is made anew, as in the profiler and in any program that
   calls it. Inputs are tensors of tract that are made once; outputs are not copied.
5. One thread executes a model: the Python package has no setting for more.
6. tract computes only what is returned: of the reference product (`nnmeter.lab.measuring.reference`) one row. Its time
   tells the machine's state, but is not that of other runtimes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tract

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError, brief
from nnmeter.formats import read_model
from nnmeter.graph.ir import Graph
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.runtimes.preparation import prepare_model, serialize
from nnmeter.lab.runtimes.tract_kernels import (
    ExecutedKernels,
    ExecutedNode,
    executed_kernels,
    mark_nodes,
    with_own_names,
)
from nnmeter.lab.runtimes.workspace import make_workspace

if TYPE_CHECKING:
    import onnx

_REFUSALS = (tract.TractError, ValueError, TypeError, LookupError, OSError)


class TractAdapter:
    """tract's default runtime, one run at a time.

    Attributes:
        networks_at_once: random networks of a campaign that are measured in one model (rule 3).
    """

    name = "tract"
    has_profiler = True
    networks_at_once = 6

    def version(self) -> str:
        """Version of the installed tract."""
        return str(tract.version())

    def device_settings(self, threads: int) -> dict[str, Any]:
        """Settings that times depend on (rule 5)."""
        return {"runtime": "default", "threads": threads}

    def compile(
        self,
        model: str | os.PathLike[str] | bytes | onnx.ModelProto,
        threads: int = 1,
        *,
        dims: Mapping[str, int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        profiled: bool = False,
        seed: int = 0,
    ) -> TractModel:
        """An optimized model with random inputs, and random weights where it has none; see `RuntimeAdapter.compile`."""
        if threads != 1:
            raise MeasurementError(f"tract executes a model with one thread, not {threads}; give --threads 1")
        prepared = prepare_model(model, dims, shapes, seed)
        name, batch = prepared.name, prepared.batch
        graph = bind_shapes(read_model(prepared.proto))
        marked = mark_nodes(prepared.proto)
        with make_workspace() as folder:
            place = Path(folder) / "model.onnx"
            content = serialize(prepared.proto, Path(folder))
            if isinstance(content, bytes):
                place.write_bytes(content)
            feeds = prepared.feeds
            del prepared, content  # the weights, which the file holds as well
            try:
                loaded = tract.onnx().load(str(place))
                names = [loaded.input_name(number) for number in range(loaded.input_count())]
                inputs = [tract.Tensor.from_numpy(np.asarray(feeds[key])) for key in names]
                runnable = loaded.into_model().into_runnable()
                listed = runnable.profile_json(None)
            except _REFUSALS as fault:
                raise MeasurementError(f"{name}: tract {tract.version()} refuses it ({_why(fault, marked)})") from fault
        return TractModel(runnable, inputs, _nodes(json.loads(listed)), marked, graph, batch, name, profiled)


class TractModel:
    """A runnable with its inputs."""

    def __init__(
        self,
        runnable: tract.Runnable,
        inputs: Sequence[tract.Tensor],
        nodes: Mapping[int, ExecutedNode],
        marked: Sequence[Sequence[str]],
        graph: Graph,
        batch: int,
        name: str,
        profiled: bool,
    ) -> None:
        self._runnable: tract.Runnable | None = runnable
        self._inputs, self._name, self._profiled = list(inputs), name, profiled
        self.batch = batch
        self._nodes, self._marked, self._graph = nodes, marked, graph

    @cached_property
    def executed(self) -> ExecutedKernels:
        """Kernels, and the kernel of each node."""
        self._live()
        try:
            return executed_kernels(list(self._nodes.values()), self._marked, self._graph)
        except MeasurementError as fault:
            raise MeasurementError(f"{self._name}: {fault}") from fault
        except (LookupError, ValueError) as fault:
            raise MeasurementError(
                f"{self._name}: what tract executes cannot be told ({type(fault).__name__}: {fault}); report the model"
            ) from fault

    @property
    def kernels(self) -> list[Kernel]:
        """What the runtime executes, in its order."""
        return self.executed.kernels

    def run(self) -> None:
        """Runs the model once (rule 4)."""
        self._run()

    def outputs(self) -> list[np.ndarray[Any, Any]]:
        """Runs the model once and returns a copy of what it computed, in the order of the model."""
        return [value.to_numpy() for value in self._run()]

    def profile(self, runs: int, after_each: Callable[[], None] | None = None) -> np.ndarray[Any, Any]:
        """One row of mean milliseconds of every kernel, whatever `runs` is (rule 3); see `CompiledModel.profile`."""
        runnable = self._live()
        if not self._profiled:
            raise MeasurementError(f"{self._name}: cannot be profiled (again); compile it with profiled=True")
        self._profiled = False
        try:
            told = json.loads(runnable.profile_json(self._inputs))
        except _REFUSALS as fault:
            raise MeasurementError(f"{self._name}: tract cannot run it ({_why(fault, self._marked)})") from fault
        if after_each:
            after_each()
        seconds = {key: node.seconds for key, node in _nodes(told).items()}
        if set(seconds) != set(self._nodes):
            raise MeasurementError(f"{self._name}: tract profiled other nodes than it listed; report the model")
        times = np.zeros((1, len(self.executed.kernels)))
        for key, kernel in zip(self._nodes, self.executed.of_node, strict=True):
            if kernel >= 0:
                times[0, kernel] += seconds[key] * 1e3
        return times

    def close(self) -> None:
        """Frees the model."""
        self._runnable = None
        self._inputs = []

    def _run(self) -> list[tract.Tensor]:
        try:
            return list(self._live().run(self._inputs))
        except _REFUSALS as fault:
            raise MeasurementError(f"{self._name}: tract cannot run it ({_why(fault, self._marked)})") from fault

    def _live(self) -> tract.Runnable:
        if self._runnable is None:
            raise MeasurementError(f"{self._name}: was closed; compile it again")
        return self._runnable


def _nodes(told: Mapping[str, Any]) -> dict[int, ExecutedNode]:
    """The nodes of the outermost graph by their number, in the order of numbers, which is that of execution."""
    found = {
        int(node["qualified_id"][1]): ExecutedNode(
            str(node["node_name"]), str(node["op_name"]), float(node.get("secs_per_iter", 0.0))
        )
        for node in told["nodes"]
        if not node["qualified_id"][0]
    }
    return dict(sorted(found.items()))


def _why(fault: Exception, marked: Sequence[Sequence[str]]) -> str:
    """What tract failed at, and the last cause that it gives, with the model's own names."""
    said = str(fault).partition("Stack backtrace")[0]
    lines = [
        line.strip().partition(": ")[2] if line.strip()[:1].isdecimal() else line.strip() for line in said.splitlines()
    ]
    told = [line for line in lines if line and not line.startswith("Caused by")] or [type(fault).__name__]
    return brief(with_own_names("; ".join(dict.fromkeys((told[0], told[-1]))), marked), 200)
