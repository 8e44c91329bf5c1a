"""ONNX Runtime's CPU provider: sessions, the runtime's own dump of the graph it runs, and its profiler.

1. One session serves all. It writes its optimized graph while it is made (`optimized_model_filepath`); its profiler is
   on until `profile` ends it, after which runs are as fast as in a session that never had one (three models, 12-300
   interleaved runs each: within 1 %).
2. The dump is the truth about kernels: every node in it is one. Its weights go to a side file that is deleted unread.
3. Profile events are matched to the dump as `nnmeter.lab.runtimes.onnxruntime_profile` says.
4. Denormal numbers count as zero. Trained weights hardly make any; random ones do, in softmax above all, and are then
   several times slower, which says nothing about the model. The calling thread is set by the first session that a
   process makes, so all sessions have it.
5. A shape that data decide is what the profiled runs wrote, in place of its bound.
6. A session with fewer optimizations executes other kernels, so it is a runtime of its own, with a name, rules and
   packs of its own.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError, ModelError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.graph.ir import Graph
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.runtimes.executed import kernels_of_executed_graph
from nnmeter.lab.runtimes.onnxruntime_profile import ProfileEvent, match_events, read_profile_events, seen_shapes
from nnmeter.lab.runtimes.preparation import EMBEDDED_BYTES, prepare_model, serialize
from nnmeter.lab.runtimes.workspace import make_workspace

if TYPE_CHECKING:
    import onnx

_LOG_ERRORS_ONLY = 3
ort.set_default_logger_severity(_LOG_ERRORS_ONLY)  # kernels warn there, in colours, whatever the session says


_LEVELS = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


class OnnxRuntimeAdapter:
    """ONNX Runtime with the CPU provider, all optimizations on, one run at a time.

    Attributes:
        graph_level: how far a session optimizes its graph, a key of `_LEVELS`.
        keeps_free: sessions keep a model's free dimensions, as `InferenceSession(model)` makes them, in place of having
            them bound to the sizes that are given.
    """

    name = "onnxruntime"
    has_profiler = True
    graph_level = "all"
    keeps_free = False

    def version(self) -> str:
        """Version of the installed ONNX Runtime."""
        return str(ort.__version__)

    def device_settings(self, threads: int) -> dict[str, Any]:
        """Settings that times depend on."""
        return {
            "provider": "CPUExecutionProvider",
            "intra_op_num_threads": threads,
            "inter_op_num_threads": 1,
            "execution_mode": "sequential",
            "graph_optimization_level": self.graph_level,
            "spinning": "default",
            "denormals": "zero",
        }

    def compile(
        self,
        model: str | os.PathLike[str] | bytes | onnx.ModelProto,
        threads: int = 1,
        *,
        dims: Mapping[str, int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        profiled: bool = False,
        seed: int = 0,
    ) -> OnnxRuntimeModel:
        """A session with random inputs, and random weights where the model has none; see `RuntimeAdapter.compile`."""
        prepared = prepare_model(model, dims, shapes, seed, self.keeps_free)
        name, feeds, batch = prepared.name, prepared.feeds, prepared.batch
        with make_workspace() as folder:
            place = Path(folder)
            source = serialize(prepared.proto, place)
            del prepared  # the weights, which the source holds as well
            options = _session_options(threads, self.graph_level)
            options.optimized_model_filepath = str(place / "executed.onnx")
            options.add_session_config_entry(
                "session.optimized_model_external_initializers_file_name", "executed.weights"
            )
            options.add_session_config_entry(
                "session.optimized_model_external_initializers_min_size_in_bytes", str(EMBEDDED_BYTES)
            )
            profile_folder = make_workspace() if profiled else None
            if profile_folder:
                options.enable_profiling = True
                options.profile_file_prefix = str(Path(profile_folder.name) / "profile")
            session = _make_session(source, options, name)
            dump = (place / "executed.onnx").read_bytes()
        return OnnxRuntimeModel(session, feeds, dump, profile_folder, name, batch)

    def executed_graph(
        self,
        model: str | os.PathLike[str] | bytes | onnx.ModelProto,
        dims: Mapping[str, int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        threads: int = 1,
    ) -> Graph:
        """The graph that ONNX Runtime makes of a model, shapes bound; its optimizer runs on random weights if need be.

        Raises:
            ModelError: the model cannot be read, or keeps free dimensions.
            MeasurementError: the runtime refuses the model.
        """
        compiled = self.compile(model, threads, dims=dims, shapes=shapes)
        try:
            return compiled.graph
        finally:
            compiled.close()


class UnoptimizedAdapter(OnnxRuntimeAdapter):
    """Operators as they stand in the file (rule 6)."""

    name = "onnxruntime-unoptimized"
    graph_level = "disabled"


class BasicAdapter(OnnxRuntimeAdapter):
    """Constants folded, what does nothing removed, and what joins in any provider, such as a Conv and its scale."""

    name = "onnxruntime-basic"
    graph_level = "basic"


class ExtendedAdapter(OnnxRuntimeAdapter):
    """And operators fused for the CPU, without blocked channels."""

    name = "onnxruntime-extended"
    graph_level = "extended"


class OnnxRuntimeModel:
    """A session with its inputs, its dump and, until it is ended, its profiler."""

    def __init__(
        self,
        session: ort.InferenceSession,
        feeds: dict[str, np.ndarray[Any, Any]],
        dump: bytes,
        profile_folder: tempfile.TemporaryDirectory[str] | None,
        name: str,
        batch: int,
    ) -> None:
        self._session: ort.InferenceSession | None = session
        self._feeds = feeds
        self._input_shapes = {key: value.shape for key, value in feeds.items()}
        self._dump = dump
        self._profile_folder = profile_folder
        self._name = name
        self.batch = batch
        self._runs = 0

    @cached_property
    def graph(self) -> Graph:
        """The graph that the session executes, every shape static; after `profile` as it was seen (rule 5)."""
        return self._bound({})

    def _bound(self, seen: Mapping[str, tuple[int, ...]]) -> Graph:
        return bind_shapes(
            read_model(self._dump), InputSizes(shapes=self._input_shapes, assume=seen), keep_branches=True
        )

    @cached_property
    def kernels(self) -> list[Kernel]:
        """One kernel for every node that the session executes."""
        return kernels_of_executed_graph(self.graph)

    def run(self) -> None:
        """Runs the model once, its outputs returned as arrays as any caller gets them."""
        self.outputs()

    def outputs(self) -> list[Any]:
        """Runs the model once and returns what it computed."""
        if self._session is None:
            raise MeasurementError(f"{self._name}: was closed; compile it again")
        self._runs += 1
        try:
            return self._session.run(None, self._feeds)
        except _refusals() as fault:
            raise MeasurementError(f"{self._name}: ONNX Runtime cannot run it ({_first_line(fault)})") from fault

    def profile(self, runs: int, after_each: Callable[[], None] | None = None) -> np.ndarray[Any, Any]:
        """Milliseconds of every kernel in each of `runs` runs; see `CompiledModel.profile`."""
        if self._profile_folder is None or self._session is None:
            raise MeasurementError(f"{self._name}: cannot be profiled (again); compile it with profiled=True")
        for _ in range(runs):
            self.run()
            if after_each:
                after_each()
        written = self._session.end_profiling()
        try:
            events = read_profile_events(json.loads(Path(written).read_bytes()))
        except ValueError as fault:  # it does not say that it could not write
            raise OSError(errno.ENOSPC, "ONNX Runtime wrote only a part of its profile", written) from fault
        self._profile_folder.cleanup()
        self._profile_folder = None
        self._take_shapes(events)
        times = match_events(self.graph, events, self._runs)
        return times[self._runs - runs :]

    def _take_shapes(self, events: Sequence[ProfileEvent]) -> None:
        """Takes what the runs wrote for the shapes that data decide (rule 5)."""
        seen = seen_shapes(self.graph, events)
        if not seen:
            return
        with contextlib.suppress(ModelError):  # of a shape that data do not decide; matching says so
            self.graph = self._bound(seen)
            self.__dict__.pop("kernels", None)

    def close(self) -> None:
        """Frees the session."""
        if self._profile_folder is not None and self._session is not None:
            self._session.end_profiling()
            self._profile_folder.cleanup()
            self._profile_folder = None
        self._session = None
        self._feeds = {}


def _session_options(threads: int, level: str) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = _LEVELS[level]
    options.log_severity_level = _LOG_ERRORS_ONLY
    options.add_session_config_entry("session.set_denormal_as_zero", "1")  # rule 4
    return options


def _make_session(source: bytes | str, options: ort.SessionOptions, name: str) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except _refusals() as fault:
        raise MeasurementError(f"{name}: ONNX Runtime {ort.__version__} refuses it ({_first_line(fault)})") from fault


def _refusals() -> tuple[type[Exception], ...]:
    """The exceptions of ONNX Runtime, which share no base of their own, and what its bindings raise besides."""
    state = ort.capi.onnxruntime_pybind11_state
    names = (
        "EPFail", "EngineError", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "ModelLoaded",
        "NoModel", "NoSuchFile", "NotImplemented", "RuntimeException",
    )  # fmt: skip
    return (*(getattr(state, name) for name in names if hasattr(state, name)), RuntimeError, ValueError)


def _first_line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:200]
