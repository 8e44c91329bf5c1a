"""OpenVINO's CPU plugin: compiled models, the runtime's own account of the graph it runs, and its profiler.

1. Settings: one stream, latency hint, a fixed number of threads, float32 arithmetic (the plugin may choose bfloat16
   otherwise), threads not pinned (pinned to cores, which other work may hold, they were 8 to 13 % slower on a busy
   machine). The plugin grants at most the cores that it sees; fewer threads than asked for are an error.
2. A run is one synchronous inference. Inputs are set once; outputs stay in the request's own memory, uncopied.
3. Kernels are the nodes of the runtime model (`get_runtime_model`), as `nnmeter.lab.runtimes.openvino_kernels` reads
   them.
4. The profiler costs 0.2 microseconds a kernel (300 small kernels: 0.54 against 0.48 ms; a BERT of 50 kernels, 1.9 ms:
   1 %; larger models: less than two copies of one model differ), and cannot be turned off. So a model that is to be
   profiled is compiled twice: `profile` runs the copy with the profiler and drops it, `run` always runs the other.
   Names of nodes that the plugin makes up hold a running number and differ between the copies, so kernels are read
   from the copy that is profiled; the plugin compiles both alike.
5. The profiler tells means over all runs so far, in whole microseconds; `nnmeter.lab.runtimes.running_means` turns them
   into times of single runs. Two cold runs are counted first, and left out.
6. Profile entries belong to kernels by name. A kernel without exactly one entry, or an entry that took time and is no
   kernel, is an error, never a guess. Entries of operators that were fused into a kernel take no time of their own.
"""

from __future__ import annotations

import datetime
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from openvino import frontend

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError
from nnmeter.formats import UnboundModel, read_model
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.runtimes.openvino_kernels import kernels_of_runtime_model
from nnmeter.lab.runtimes.preparation import PreparedModel, prepare_model, serialize
from nnmeter.lab.runtimes.running_means import times_of_runs
from nnmeter.lab.runtimes.workspace import make_workspace

if TYPE_CHECKING:
    import onnx

DEVICE = "CPU"
COLD_RUNS = 2  # rule 5
_MICROSECOND = datetime.timedelta(microseconds=1)
# What reading, compiling and running raise: the frontend's exceptions share no base of their own.
_REFUSALS = (
    RuntimeError,
    ValueError,
    TypeError,
    frontend.GeneralFailure,
    frontend.InitializationFailure,
    frontend.NotImplementedFailure,
    frontend.OpConversionFailure,
    frontend.OpValidationFailure,
)


class OpenVinoAdapter:
    """OpenVINO's CPU plugin with float32 arithmetic, one run at a time."""

    name = "openvino"
    has_profiler = True

    def __init__(self) -> None:
        self._core = ov.Core()

    def version(self) -> str:
        """Version of the installed OpenVINO, without its build number."""
        return str(ov.__version__).partition("-")[0]

    def device_settings(self, threads: int) -> dict[str, Any]:
        """Settings that times depend on (rule 1)."""
        return {"device": DEVICE, **{key.lower(): value for key, value in _settings(threads).items()}}

    def compile(
        self,
        model: str | os.PathLike[str] | bytes | onnx.ModelProto,
        threads: int = 1,
        *,
        dims: Mapping[str, int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        profiled: bool = False,
        seed: int = 0,
    ) -> OpenVinoModel:
        """A compiled model with random inputs, and random weights where it has none; see `RuntimeAdapter.compile`."""
        prepared = prepare_model(model, dims, shapes, seed)
        unbound = read_model(prepared.proto)
        with make_workspace() as folder:
            source = self._read(prepared, Path(folder))
        name, feeds, batch = prepared.name, prepared.feeds, prepared.batch
        del prepared  # the weights, which the source holds as well

        def start(profiler: bool) -> _Session:
            return _Session(self._core, source, threads, feeds, profiler, name)

        return OpenVinoModel(start(False), start(True) if profiled else None, unbound, batch, name)

    def _read(self, prepared: PreparedModel, folder: Path) -> ov.Model:
        try:
            return self._core.read_model(serialize(prepared.proto, folder))
        except _REFUSALS as fault:
            raise _refused(prepared.name, fault) from fault


class OpenVinoModel:
    """A compiled model with its inputs and, until it is used, a copy with a profiler."""

    def __init__(
        self,
        session: _Session,
        profiled: _Session | None,
        unbound: UnboundModel,
        batch: int,
        name: str,
    ) -> None:
        self._session: _Session | None = session
        self._profiled = profiled
        self._unbound = unbound
        self._name = name
        self.batch = batch

    @cached_property
    def named_kernels(self) -> list[tuple[Kernel, str]]:
        """Every kernel with the name of its node in the runtime model, in the order of execution."""
        session = self._profiled or self._live()
        return kernels_of_runtime_model(session.runtime_model(), bind_shapes(self._unbound))

    @property
    def kernels(self) -> list[Kernel]:
        """What the runtime executes, in its order, by its own account (rule 3)."""
        return [kernel for kernel, _ in self.named_kernels]

    def run(self) -> None:
        """Runs the model once (rule 2)."""
        self._live().run()

    def outputs(self) -> list[np.ndarray[Any, Any]]:
        """Runs the model once and returns a copy of what it computed."""
        return self._live().outputs()

    def profile(self, runs: int, after_each: Callable[[], None] | None = None) -> np.ndarray[Any, Any]:
        """Milliseconds of every kernel in each of `runs` runs; see `CompiledModel.profile` (rules 4-6)."""
        self._live()
        session = self._profiled
        if session is None:
            raise MeasurementError(f"{self._name}: cannot be profiled (again); compile it with profiled=True")
        nodes = [node for _, node in self.named_kernels]
        self._profiled = None
        told = []
        for number in range(COLD_RUNS + runs):
            session.run()
            if after_each and number >= COLD_RUNS:
                after_each()
            told.append(session.profiling_info())
        names = [entry.node_name for entry in told[0]]
        means_us = np.array([[entry.real_time // _MICROSECOND for entry in entries] for entries in told], np.int64)
        columns = match_entries(nodes, names, [bool(column.any()) for column in means_us.T])
        return times_of_runs(means_us[:, columns])[COLD_RUNS:] / 1e3

    def close(self) -> None:
        """Frees the compiled model."""
        self._session = None
        self._profiled = None

    def _live(self) -> _Session:
        if self._session is None:
            raise MeasurementError(f"{self._name}: was closed; compile it again")
        return self._session


class _Session:
    """One compilation of a model, and a request whose inputs are set."""

    def __init__(
        self,
        core: ov.Core,
        source: ov.Model,
        threads: int,
        feeds: Mapping[str, np.ndarray[Any, Any]],
        profiler: bool,
        name: str,
    ) -> None:
        self._name = name
        try:
            self._compiled = core.compile_model(source, DEVICE, {**_settings(threads), "PERF_COUNT": profiler})
            self._request = self._compiled.create_infer_request()
            for port in self._compiled.inputs:
                self._request.set_tensor(port, _tensor(_value_for(port, feeds), port))
        except _REFUSALS as fault:
            raise _refused(name, fault) from fault
        granted = self._compiled.get_property("INFERENCE_NUM_THREADS")
        if granted != threads:
            raise MeasurementError(
                f"{name}: OpenVINO grants {granted} of {threads} threads; measure with as many as there are cores"
            )

    def run(self) -> None:
        try:
            self._request.infer(share_outputs=True)
        except _REFUSALS as fault:
            raise MeasurementError(f"{self._name}: OpenVINO cannot run it ({_reason(fault)})") from fault

    def outputs(self) -> list[np.ndarray[Any, Any]]:
        self.run()
        return [np.array(tensor.data) for tensor in self._request.output_tensors]

    def profiling_info(self) -> list[Any]:
        return list(self._request.get_profiling_info())

    def runtime_model(self) -> ov.Model:
        return self._compiled.get_runtime_model()


def match_entries(nodes: Sequence[str], names: Sequence[str], took_time: Sequence[bool]) -> list[int]:
    """For each kernel the position of its profile entry (rule 6).

    Args:
        nodes: name of each kernel's node.
        names: name of each profile entry.
        took_time: whether it ever took time.

    Raises:
        MeasurementError: entries and kernels do not match one to one.
    """
    positions = {name: position for position, name in enumerate(names)}
    counts = Counter(names)
    for node, count in Counter(nodes).items():
        if count > 1 or counts[node] != 1:
            raise MeasurementError(
                f"profile: node {node!r} has {count} kernels and {counts[node]} entries; "
                "give the model's nodes unique names"
            )
    kernels = set(nodes)
    stray = next((name for name, busy in zip(names, took_time, strict=True) if busy and name not in kernels), None)
    if stray is not None:
        raise MeasurementError(f"profile: node {stray!r} was executed and is no kernel; report the model")
    return [positions[node] for node in nodes]


def _settings(threads: int) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "EXECUTION_MODE_HINT": "PERFORMANCE",
        "ENABLE_CPU_PINNING": False,
        "ENABLE_HYPER_THREADING": True,
    }


def _value_for(port: Any, feeds: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    for name in port.names:
        if name in feeds:
            return feeds[name]
    raise ValueError(f"input {port} is none of the model's ({', '.join(feeds)})")


def _tensor(value: np.ndarray[Any, Any], port: Any) -> ov.Tensor:
    """A tensor of the port's own type, for NumPy has no name for some of them (bfloat16)."""
    tensor = ov.Tensor(port.get_element_type(), ov.Shape(value.shape))
    if tensor.byte_size != value.nbytes:
        raise ValueError(f"an input of type {port.get_element_type()} cannot be given as {value.dtype}")
    tensor.data.reshape(-1).view(np.uint8)[:] = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    return tensor


def _refused(name: str, fault: Exception) -> MeasurementError:
    version = str(ov.__version__).partition("-")[0]
    return MeasurementError(f"{name}: OpenVINO {version} refuses it ({_reason(fault)})")


def _reason(fault: Exception) -> str:
    """What went wrong, without the places in OpenVINO's sources where it was noticed."""
    lines = [line.strip() for line in str(fault).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from ", "Check '"))]
    return " ".join(told or lines)[:200]
