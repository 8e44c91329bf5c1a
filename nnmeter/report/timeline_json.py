"""Timelines as a Chrome trace: `ui.perfetto.dev` and `chrome://tracing` open it.

The format is that of the "Trace Event Format" document of the Chromium project: a process a prediction, a complete
event (`X`) a kernel, a counter (`C`) for live memory; times in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from nnmeter.report.columns import format_dims
from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.report.timeline import Timeline

_US = 1e3  # in a millisecond


def render(timelines: Sequence[Timeline], layout: Layout) -> str:
    """One object with the events of all predictions, which start together."""
    from nnmeter._version import __version__

    events = [event for number, timeline in enumerate(timelines, 1) for event in _events(number, timeline)]
    return to_json(
        {
            "displayTimeUnit": "ms",
            "otherData": {"nnmeter_version": __version__, "times": "predicted"},
            "traceEvents": events,
        }
    )


def _events(process: int, timeline: Timeline) -> Iterator[dict[str, Any]]:
    prediction = timeline.prediction
    sizes = format_dims(prediction.dims)
    name = f"{prediction.model}{f' ({sizes})' if sizes else ''} on {prediction.device}"
    yield {"ph": "M", "pid": process, "tid": 1, "name": "process_name", "args": {"name": name}}
    yield {"ph": "M", "pid": process, "tid": 1, "name": "process_sort_index", "args": {"sort_index": process}}
    yield {"ph": "M", "pid": process, "tid": 1, "name": "thread_name", "args": {"name": "kernels"}}
    end_ms = 0.0
    for kernel, start_ms, live_bytes in timeline.spans():
        end_ms = start_ms + kernel.latency_ms
        yield {
            "ph": "X",
            "pid": process,
            "tid": 1,
            "ts": start_ms * _US,
            "dur": kernel.latency_ms * _US,
            "name": kernel.name,
            "cat": kernel.type,
            "args": {
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
            },
        }
        if live_bytes is not None:
            args = {"activations": live_bytes}
            yield {"ph": "C", "pid": process, "ts": start_ms * _US, "name": "live memory, bytes", "args": args}
    if prediction.overhead_ms > 0:
        yield {"ph": "X", "pid": process, "tid": 1, "ts": end_ms * _US, "dur": prediction.overhead_ms * _US,
               "name": "overhead", "cat": "overhead", "args": {}}  # fmt: skip
