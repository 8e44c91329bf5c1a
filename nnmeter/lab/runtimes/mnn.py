"""MNN on CPUs: models converted from ONNX, the runtime's own account of what it runs, and times of single operators.

1. A model is converted by MNN's converter, in a process of its own (`nnmeter.lab.runtimes.mnn_converter`).
2. A run is one call of `runSession`, the inputs copied before it: a session uses their memory for other tensors once
   they were read. Outputs stay in the session's own memory, uncopied.
3. Kernels are what runs between the calls before and after every command (`runSessionWithCallBackInfo`), put together
   by the operators of the converted model that they do the work of (`nnmeter.lab.runtimes.mnn_kernels`).
4. The calls into Python cost 1.3 microseconds a command, which are taken off: what a command on one element takes
   (`_call_seconds`), of which its own work is a twentieth.
5. Precision is `normal`, float32 on x86, with one session and a fixed number of threads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError
from nnmeter.formats import read_model
from nnmeter.graph.ir import Graph
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.runtimes.mnn_converter import convert
from nnmeter.lab.runtimes.mnn_file import MnnOperator, read_mnn_file
from nnmeter.lab.runtimes.mnn_kernels import Command, ExecutedKernels, executed_kernels
from nnmeter.lab.runtimes.preparation import prepare_model, serialize
from nnmeter.lab.runtimes.silence import silent_output
from nnmeter.lab.runtimes.workspace import make_workspace

with silent_output():  # it says what the processor can do
    import MNN

if TYPE_CHECKING:
    import onnx

_NO_ERROR = 0
_CALLS = 32  # commands, and runs of them, that rule 4 looks at
_LEAST_S = 5e-8  # of a command, once the calls around it are taken off

# Element types that MNN has, by the names of NumPy; wider integers are narrowed by its converter.
_HALIDE: dict[str, str] = {
    "float32": "float32", "float64": "float32", "float16": "float32", "int64": "int32", "int32": "int32",
    "bool": "int32", "uint8": "uint8",
}  # fmt: skip


class MnnAdapter:
    """MNN's CPU backend with float32 arithmetic, one run at a time."""

    name = "mnn"
    has_profiler = True

    def version(self) -> str:
        """Version of the installed MNN."""
        return version("MNN")

    def device_settings(self, threads: int) -> dict[str, Any]:
        """Settings that times depend on (rule 5)."""
        return _settings(threads)

    def compile(
        self,
        model: str | os.PathLike[str] | bytes | onnx.ModelProto,
        threads: int = 1,
        *,
        dims: Mapping[str, int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        profiled: bool = False,
        seed: int = 0,
    ) -> MnnModel:
        """A session with random inputs, and random weights where the model has none; see `RuntimeAdapter.compile`."""
        prepared = prepare_model(model, dims, shapes, seed)
        name, feeds, batch = prepared.name, prepared.feeds, prepared.batch
        graph = bind_shapes(read_model(prepared.proto))
        with make_workspace() as folder:
            source, target = Path(folder) / "model.onnx", Path(folder) / "model.mnn"
            content = serialize(prepared.proto, Path(folder))
            del prepared  # the weights, which the file holds as well
            if isinstance(content, bytes):
                source.write_bytes(content)
                del content
            convert(source, target, name)
            operators = read_mnn_file(target.read_bytes(), name)
            session = _Session(str(target), threads, feeds, name)
        return MnnModel(session, operators, graph, batch, name, profiled)


class MnnModel:
    """A session with its inputs."""

    def __init__(
        self,
        session: _Session,
        operators: Sequence[MnnOperator],
        graph: Graph,
        batch: int,
        name: str,
        profiled: bool,
    ) -> None:
        self._session: _Session | None = session
        self._operators, self._graph, self._name = operators, graph, name
        self._profiled = profiled
        self.batch = batch

    @cached_property
    def executed(self) -> ExecutedKernels:
        """Kernels, and the kernel of each command (rule 3)."""
        commands, _ = self.run_observed()
        if not commands:
            raise MeasurementError(f"{self._name}: MNN runs nothing for it; give a model whose results are computed")
        try:
            return executed_kernels(self._operators, commands, self._graph)
        except MeasurementError as fault:
            raise MeasurementError(f"{self._name}: {fault}") from fault

    def run_observed(self) -> tuple[list[Command], list[float]]:
        """Runs the model once; the commands that ran, and seconds of each with the calls around it."""
        return self._live().run_observed()

    @property
    def kernels(self) -> list[Kernel]:
        """What the runtime executes, in its order."""
        return self.executed.kernels

    def run(self) -> None:
        """Runs the model once (rule 2)."""
        self._live().run()

    def outputs(self) -> list[np.ndarray[Any, Any]]:
        """Runs the model once and returns a copy of what it computed, in the order of the model."""
        return self._live().outputs(self._graph.outputs)

    def profile(self, runs: int, after_each: Callable[[], None] | None = None) -> np.ndarray[Any, Any]:
        """Milliseconds of every kernel in each of `runs` runs; see `CompiledModel.profile` (rules 3 and 4)."""
        session = self._live()
        if not self._profiled:
            raise MeasurementError(f"{self._name}: cannot be profiled (again); compile it with profiled=True")
        self._profiled = False
        executed = self.executed
        times = np.zeros((runs, len(executed.kernels)))
        owners = np.asarray(executed.of_command, np.intp)
        calls_s = _call_seconds()
        for number in range(runs):
            commands, seconds = session.run_observed()
            if after_each:
                after_each()
            if len(commands) != len(owners):
                raise MeasurementError(
                    f"{self._name}: MNN ran {len(commands)} commands, and {len(owners)} before; report the model"
                )
            ms = np.maximum(np.asarray(seconds) - calls_s, _LEAST_S) * 1e3
            np.add.at(times[number], owners[owners >= 0], ms[owners >= 0])
        return times

    def close(self) -> None:
        """Frees the session."""
        self._session = None

    def _live(self) -> _Session:
        if self._session is None:
            raise MeasurementError(f"{self._name}: was closed; compile it again")
        return self._session


class _Session:
    """A converted model in MNN, its inputs set."""

    def __init__(self, path: str, threads: int, feeds: Mapping[str, np.ndarray[Any, Any]], name: str) -> None:
        self._name = name
        try:
            with silent_output():
                self._interpreter = MNN.Interpreter(path)
                self._session = self._interpreter.createSession(_settings(threads))
                self._give(feeds)
                ended = self._start()
        except (RuntimeError, ValueError, TypeError, LookupError) as fault:
            raise MeasurementError(f"{name}: MNN {version('MNN')} refuses it ({_line(fault)})") from fault
        if ended != _NO_ERROR:
            raise MeasurementError(f"{name}: MNN {version('MNN')} refuses it (its error {ended})")

    def _give(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Sets the inputs, and their shapes where the model has others."""
        inputs = self._interpreter.getSessionInputAll(self._session)
        resized = False
        for key, tensor in inputs.items():
            shape = _value_for(key, feeds).shape
            if tuple(tensor.getShape()) != shape:
                self._interpreter.resizeTensor(tensor, shape)
                resized = True
        if resized:
            self._interpreter.resizeSession(self._session)
        self._values = {key: _plain(_value_for(key, feeds)) for key in inputs}  # which host tensors look at
        self._inputs = [(tensor, _host(self._values[key])) for key, tensor in inputs.items()]

    def _start(self) -> int:
        """Sets the inputs and runs once (rule 2); MNN's error code."""
        for tensor, host in self._inputs:
            tensor.copyFrom(host)
        return int(self._interpreter.runSession(self._session))

    def run(self) -> None:
        if self._start() != _NO_ERROR:
            raise MeasurementError(f"{self._name}: MNN cannot run it")

    def run_observed(self) -> tuple[list[Command], list[float]]:
        """Runs once; the commands that ran, and the seconds between the calls around each."""
        commands: list[Command] = []
        seconds: list[float] = []
        begun = 0.0
        clock = time.perf_counter

        def before(tensors: Any, info: Any) -> bool:
            nonlocal begun
            commands.append(Command(info.getName(), info.getType()))
            begun = clock()
            return True

        def after(tensors: Any, info: Any) -> bool:
            seconds.append(clock() - begun)
            return True

        for tensor, host in self._inputs:
            tensor.copyFrom(host)
        if self._interpreter.runSessionWithCallBackInfo(self._session, before, after) != _NO_ERROR:
            raise MeasurementError(f"{self._name}: MNN cannot run it")
        return commands, seconds

    def outputs(self, names: Sequence[str]) -> list[np.ndarray[Any, Any]]:
        self.run()
        found = self._interpreter.getSessionOutputAll(self._session)
        return [_read(found[name]) for name in names]


@cache
def _call_seconds() -> float:
    """Seconds that the calls around a command take: the least of commands on one element."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Neg", [f"t{index}"], [f"t{index + 1}"]) for index in range(_CALLS)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("t0", f"t{_CALLS}")]
    graph = helper.make_graph(nodes, "calls", ends[:1], ends[1:])
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    compiled = MnnAdapter().compile(model)
    taken = [min(compiled.run_observed()[1]) for _ in range(_CALLS)]
    compiled.close()
    return float(np.median(taken))


def _settings(threads: int) -> dict[str, Any]:
    return {"backend": "CPU", "numThread": threads, "precision": "normal"}


def _value_for(name: str, feeds: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    if name not in feeds:
        raise ValueError(f"input {name} is none of the model's ({', '.join(feeds)})")
    return feeds[name]


def _plain(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The value of an input in an element type that MNN has."""
    kind = _HALIDE.get(value.dtype.name)
    if kind is None:
        raise ValueError(f"an input of type {value.dtype} cannot be given")
    return np.ascontiguousarray(value, kind)


def _host(value: np.ndarray[Any, Any]) -> Any:
    """A tensor of MNN that looks at an array."""
    types = {"float32": MNN.Halide_Type_Float, "int32": MNN.Halide_Type_Int, "uint8": MNN.Halide_Type_Uint8}
    return MNN.Tensor(tuple(value.shape), types[value.dtype.name], value, MNN.Tensor_DimensionType_Caffe)


def _read(tensor: Any) -> np.ndarray[Any, Any]:
    shape = tuple(tensor.getShape())
    host = MNN.Tensor(shape, tensor.getDataType(), np.zeros(shape, np.float32), MNN.Tensor_DimensionType_Caffe)
    tensor.copyToHostTensor(host)
    return np.array(host.getNumpyData()).reshape(shape)


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:200]
