"""Timelines as a Chrome trace: `ui.perfetto.dev` and `chrome://tracing` open it.

The format is that of the "Trace Event Format" document of the Chromium project: a process a prediction, a complete
event (`X`) a kernel, a counter (`C`) for live memory; times in microseconds. What was measured is a second thread
of the process, below the first, and starts with it.

Perfetto reads whole nanoseconds, and drops an event that begins before the one in front of it has ended. So the ends of
kernels are rounded, not their durations, and each begins where the one in front of it ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from nnmeter.report.columns import format_dims
from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.report.timeline import Measured, Timeline

_NS = 1e6  # in a millisecond
_PREDICTED, _MEASURED = 1, 2  # threads of a process


def render(timelines: Sequence[Timeline], layout: Layout) -> str:
    """One object with the events of all predictions, which start together."""
    from nnmeter._version import __version__

    events = [event for number, timeline in enumerate(timelines, 1) for event in _events(number, timeline)]
    times = "predicted and measured" if any(t.measured is not None for t in timelines) else "predicted"
    return to_json(
        {
            "displayTimeUnit": "ms",
            "otherData": {"nnmeter_version": __version__, "times": times},
            "traceEvents": events,
        }
    )


def _events(process: int, timeline: Timeline) -> Iterator[dict[str, Any]]:
    prediction = timeline.prediction
    sizes = format_dims(prediction.dims)
    name = f"{prediction.model}{f' ({sizes})' if sizes else ''} on {prediction.device}"
    yield _named(process, _PREDICTED, "process_name", name=name)
    yield _named(process, _PREDICTED, "process_sort_index", sort_index=process)
    yield _named(process, _PREDICTED, "thread_name", name="kernels" if timeline.measured is None else "predicted")
    measured = {id(kernel): taken_ms for kernel, _, taken_ms in timeline.measured_spans()}
    end_ms = 0.0
    for kernel, start_ms, live_bytes in timeline.spans():
        end_ms = start_ms + kernel.latency_ms
        arguments = {
            "type": kernel.type,
            "operator": kernel.operator,
            "module": kernel.module,
            "share": kernel.latency_ms / prediction.latency_ms if prediction.latency_ms else 0.0,
            "flops": kernel.flops,
            "bytes": kernel.bytes,
            "runs": kernel.runs,
            "source": kernel.source,
            "outside_the_trained_range": bool(kernel.gaps),
            "nodes": list(kernel.nodes),
        }
        if measured:
            arguments["measured_ms"] = measured[id(kernel)]
        yield _event(process, _PREDICTED, start_ms, kernel.latency_ms, kernel.name, kernel.type, arguments)
        if live_bytes is not None:
            args = {"activations": live_bytes}
            yield {"ph": "C", "pid": process, "ts": _microseconds(start_ms), "name": "live memory, bytes", "args": args}
    if prediction.overhead_ms > 0:
        yield _event(process, _PREDICTED, end_ms, prediction.overhead_ms, "overhead", "overhead", {})
    if timeline.measured is not None:
        yield from _measured(process, timeline, timeline.measured)


def _measured(process: int, timeline: Timeline, measured: Measured) -> Iterator[dict[str, Any]]:
    """The thread of what was measured: kernels, or one event for the run where single kernels were not timed."""
    yield _named(process, _MEASURED, "thread_name", name="measured")
    if not measured.kernel_ms:
        yield _event(process, _MEASURED, 0.0, measured.latency_ms, "run", "run", {})
    for kernel, start_ms, taken_ms in timeline.measured_spans():
        arguments = {"type": kernel.type, "module": kernel.module, "predicted_ms": kernel.latency_ms}
        yield _event(process, _MEASURED, start_ms, taken_ms, kernel.name, kernel.type, arguments)


def _named(process: int, thread: int, what: str, **arguments: Any) -> dict[str, Any]:
    """An event that names a process or a thread, or says its place."""
    return {"ph": "M", "pid": process, "tid": _number(process, thread), "name": what, "args": arguments}


def _event(
    process: int, thread: int, start_ms: float, taken_ms: float, name: str, category: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    """The event of something that takes its time; see above for how its ends are rounded."""
    start, end = round(start_ms * _NS), round((start_ms + taken_ms) * _NS)
    return {
        "ph": "X",
        "pid": process,
        "tid": _number(process, thread),
        "ts": start / 1e3,
        "dur": (end - start) / 1e3,
        "name": name,
        "cat": category,
        "args": arguments,
    }


def _microseconds(time_ms: float) -> float:
    """A time on the same grid."""
    return round(time_ms * _NS) / 1e3


def _number(process: int, thread: int) -> int:
    """Of a thread, which no other has; Perfetto takes one with the number of its process for the main thread."""
    return 1000 * process + thread
