"""ONNX Runtime's profile (`onnxruntime_perf_test -p`, or `enable_profiling`), with the graph that it optimized (`-u`).

Sources: onnxruntime.ai/docs/performance/tune-performance/profiling-tools.html; onnxruntime/test/perftest (options, the
lines of the result file); onnxruntime/core/framework/sequential_executor.cc (arguments of node events).

Rules:

1. A row is an event. Those of category `Node` whose name ends with `_kernel_time` are times of nodes, `model_run`
   those of whole runs; all others (loading, fences, threads) are no times of a kernel.
2. The optimized model says what the nodes are; events are matched to it as a measurement of this package is
   (`nnmeter.lab.runtimes.onnxruntime_profile`). With another model, or where events and nodes do not match, whole runs
   are imported with the kernels that the fusion rules foresee.
3. Of more than five runs the first two warm up, of fewer the first. Runs that are not whole (the profiler stops at a
   million events) are left out.
4. A node on a GPU is launched, not timed: its time is that of the kernels that follow it (category `Kernel`, which
   builds with CUPTI or ROCTracer write). Without them only whole runs are imported.
5. Whole runs are taken from the result file of a run without the profiler (`..., <model>, seconds, peak memory,
   processor, run`), if there is one; else they are those of the profile, whose cost is then in them.
6. Sizes of free dimensions that nobody gave are those that the profile shows.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError, ModelError, NnmeterError
from nnmeter.formats import UnboundModel, read_model
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.graph.ir import Graph
from nnmeter.lab.importing.profiles.given import Companions, GivenFile
from nnmeter.lab.importing.profiles.ledger import FileAccount
from nnmeter.lab.importing.profiles.setting import Setting, family_in
from nnmeter.lab.importing.profiles.times import measured
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.runtimes.executed import kernels_of_executed_graph
from nnmeter.lab.runtimes.onnxruntime_profile import (
    ProfileEvent,
    match_events,
    read_profile_events,
    seen_shapes,
)

RUNTIME = "onnxruntime"
PROFILE, RESULTS, MODEL = "onnxruntime-profile", "onnxruntime-results", "model"
MAINS = (PROFILE,)

_NODE_SUFFIX, _RUN, _GRAPH_RUN, _DEVICE = "_kernel_time", "model_run", "SequentialExecutor::Execute", "Kernel"
_CPU = "CPUExecutionProvider"
_KINDS = {"QNNExecutionProvider": "npu", "VitisAIExecutionProvider": "npu", "CoreMLExecutionProvider": "npu"}
_ON_CPU = frozenset({_CPU, "XnnpackExecutionProvider", "DnnlExecutionProvider", "ACLExecutionProvider", ""})
_LONGEST_US = 10**12  # eleven days
_RESULT_COLUMNS = 5

NO_TIME_OF_A_KERNEL = "no time of a kernel or of a run (loading, fences, threads)"
MALFORMED = "malformed event"
WARM_UP = "run that warms up"
NOT_WHOLE = "run that is not whole"
LAUNCHED = "node of a GPU without events of its kernels: its time is that of the launch"
IN_CONTROL_FLOW = "node inside of control flow, whose time its parent has"
NO_MODEL = "no model beside it; give the optimized one (-u), named alike"


def recognise(file: GivenFile) -> str:
    """What a file of this tool is; "" for any other."""
    if file.looks_like_json(b"[") and b'"cat"' in file.head and b'"args"' in file.head:
        return PROFILE if b'"Session"' in file.head or b'"Node"' in file.head else ""
    if _result_seconds(file.head[:4096].decode("utf-8", "replace").splitlines()[:1]):
        return RESULTS
    return ""


def read(main: GivenFile, companions: Companions, setting: Setting, account: FileAccount) -> list[Measurement]:
    """The measurement that a profile, its model and its result file make (rules 1 to 6)."""
    events = _checked(main.json, account)
    providers = Counter(str(event["args"].get("provider", "")) for event in events if _is_node(event))
    kind = _kind_of(providers)
    setting.learn(RUNTIME, kind=kind)
    model = companions.find(main, MODEL)
    results = companions.find(main, RESULTS)
    if model is None:
        raise MeasurementError(NO_MODEL)
    launched_only = not _take_device_times(events, account) and kind == "gpu"
    runs, run_ms = _runs_of(events, account)
    if not runs:
        raise MeasurementError("no run of the model is whole; profile it for some runs")
    unbound = read_model(model.path)
    name = _name_of(model)
    times_ms = (whole_ms(results) if results is not None else []) or run_ms
    node_count = sum(len(run) for run in runs)
    graph: Graph | None = None
    kernel_runs_ms = None
    if launched_only:
        account.refuse(LAUNCHED, "", node_count)
    else:
        try:
            graph = _bound(unbound, setting, runs[0])
            flat = [event for run in runs for event in run]
            seen = seen_shapes(graph, flat)
            if seen:
                with contextlib.suppress(ModelError):  # of a shape that data do not decide; matching says so
                    graph = _bound(unbound, setting, runs[0], seen)
            kernel_runs_ms = match_events(graph, flat, len(runs))
            account.accept(node_count)
        except NnmeterError as fault:
            account.refuse(f"not of the model beside it ({fault}); give the optimized one (-u)", "", node_count)
    account.accept(len(run_ms))
    if kernel_runs_ms is not None and graph is not None:
        kernels = [kernel.signature for kernel in kernels_of_executed_graph(graph)]
    else:
        from nnmeter.fusion.detect import detect_kernels

        graph = _bound(unbound, setting, runs[0])
        kernels = [kernel.signature for kernel in detect_kernels(graph, setting.loaded_rules)]
    network = setting.network(name, graph, RUNTIME, family_in(model))
    return [measured(network, kernels, times_ms, kernel_runs_ms)]


def _name_of(model: GivenFile) -> str:
    return model.path.stem.removesuffix(".optimized").removesuffix(".opt")


def _kind_of(providers: Mapping[str, int]) -> str:
    """cpu, gpu or npu, by the providers that nodes ran on."""
    strange = [provider for provider in providers if provider not in _ON_CPU]
    if not strange:
        return "cpu"
    return _KINDS.get(max(strange, key=lambda one: providers[one]), "gpu")


def _is_node(event: Mapping[str, Any]) -> bool:
    return event["cat"] == "Node" and event["name"].endswith(_NODE_SUFFIX)


def _checked(content: Any, account: FileAccount) -> list[dict[str, Any]]:
    """The events that can be read; all others are refused (rule 1)."""
    if not isinstance(content, list):
        raise MeasurementError("is no list of events, or cut off; end the profiling before copying the file")
    found = []
    for event in content:
        name = event.get("name") if isinstance(event, dict) else None
        if not isinstance(event, dict) or not isinstance(name, str) or not isinstance(event.get("cat"), str):
            account.refuse(MALFORMED, str(event)[:60])
        elif not _is_node(event) and name not in (_RUN, _GRAPH_RUN) and event["cat"] != _DEVICE:
            account.refuse(NO_TIME_OF_A_KERNEL)
        elif not _is_readable(event):
            account.refuse(MALFORMED, name)
        else:
            if name == _GRAPH_RUN:
                account.refuse(NO_TIME_OF_A_KERNEL)
            found.append(event)
    return found


def _is_readable(event: Mapping[str, Any]) -> bool:
    times = (event.get("ts"), event.get("dur"))
    if not all(isinstance(time, int) and not isinstance(time, bool) and 0 <= time < 1 << 62 for time in times):
        return False
    if not event["dur"] < _LONGEST_US:
        return False
    if not _is_node(event):
        return True
    args = event.get("args")
    return (
        isinstance(args, dict)
        and isinstance(args.get("node_index"), str)
        and isinstance(args.get("op_name"), str)
        and all(_are_shapes(args.get(key, ())) for key in ("input_type_shape", "output_type_shape"))
    )


def _are_shapes(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(entry, dict)
        and all(isinstance(shape, list) and all(isinstance(size, int) for size in shape) for shape in entry.values())
        for entry in value
    )


def _take_device_times(events: Sequence[dict[str, Any]], account: FileAccount) -> bool:
    """Gives nodes on a GPU the times of the kernels that follow them (rule 4); whether there were any."""
    owner: dict[str, Any] | None = None
    device_us: dict[int, int] = {}
    for event in events:
        if event["cat"] != _DEVICE:
            owner = event if _is_node(event) and event["args"].get("provider") not in _ON_CPU else None
        elif owner is None:
            account.refuse("kernel of a GPU behind no node of it")
        else:
            account.accept()
            device_us[id(owner)] = device_us.get(id(owner), 0) + event["dur"]
    for event in events:
        if id(event) in device_us:
            event["dur"] = device_us[id(event)]
    return bool(device_us)


def _runs_of(events: Sequence[dict[str, Any]], account: FileAccount) -> tuple[list[list[ProfileEvent]], list[float]]:
    """The node events of each run that counts, and its milliseconds (rule 3); the rows of others are refused."""
    runs: list[tuple[list[ProfileEvent], float]] = []
    segment: list[dict[str, Any]] = []
    for event in events:
        segment.append(event)
        if event["name"] == _RUN:
            own = read_profile_events(segment)
            account.refuse(IN_CONTROL_FLOW, "", sum(map(_is_node, segment)) - len(own))
            runs.append((own, event["dur"] / 1e3))
            segment = []
    account.refuse(NOT_WHOLE, "", sum(map(_is_node, segment)))
    usual = max(Counter(len(own) for own, _ in runs).items(), key=lambda item: item[1], default=(0, 0))[0]
    whole = []
    for own, ms in runs:
        if len(own) == usual and usual and ms > 0:
            whole.append((own, ms))
        else:
            account.refuse(NOT_WHOLE, "", len(own) + 1)
    cold = 2 if len(whole) > 5 else 1 if len(whole) > 1 else 0
    account.refuse(WARM_UP, "", sum(len(own) + 1 for own, _ in whole[:cold]))
    return [own for own, _ in whole[cold:]], [ms for _, ms in whole[cold:]]


def _bound(
    unbound: UnboundModel,
    setting: Setting,
    run: Sequence[ProfileEvent],
    seen: Mapping[str, tuple[int, ...]] | None = None,
) -> Graph:
    """The optimized graph with the shapes that the run had (rule 6)."""
    sizes = setting.sizes
    if any(declared.static is None for declared in unbound.inputs) and not sizes.dims and not sizes.shapes:
        sizes = InputSizes(shapes=_input_shapes(unbound, run))
    return bind_shapes(unbound, sizes.updated(assume=seen), keep_branches=True)


def _input_shapes(unbound: UnboundModel, run: Sequence[ProfileEvent]) -> dict[str, tuple[int, ...]]:
    """Shapes of the model's inputs, from the events of the nodes that read them."""
    wanted = {declared.name for declared in unbound.inputs}
    by_name = {(event.name, event.op_type): event for event in run}
    found: dict[str, tuple[int, ...]] = {}
    for node in unbound.nodes:
        event = by_name.get((node.name, node.op_type))
        names = [name for name in node.inputs if name]
        if event is not None and len(names) == len(event.inputs):
            found.update({n: s for n, s in zip(names, event.inputs, strict=True) if n in wanted and n not in found})
    return found


def _result_seconds(lines: Sequence[str]) -> list[float]:
    """Seconds of each run in the lines of a result file (rule 5); other lines are summaries."""
    found = []
    for line in lines:
        parts = line.split(",")
        if len(parts) < _RESULT_COLUMNS or not all(part.strip().isdigit() for part in parts[-3:]):
            continue
        with contextlib.suppress(ValueError):
            seconds = float(parts[-4])
            if math.isfinite(seconds) and 0 < seconds < 1e6:
                found.append(seconds)
    return found


def whole_ms(results: GivenFile) -> list[float]:
    """Milliseconds of the runs in a result file."""
    return [1e3 * seconds for seconds in _result_seconds(results.text.splitlines())]
