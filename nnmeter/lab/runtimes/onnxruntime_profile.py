"""ONNX Runtime's profile: which event is of which node of the graph that it wrote.

1. Events are matched to the dump by node index: one index has one event a run. The index belongs to the node of its
   name, or, where names repeat or are empty (reader and profiler each make some up then, from the operator and a
   number), to the next node of its operator and shapes. A node without an index, an index without a node, or a shape
   that differs is an error, never a guess.
2. Events of nodes inside of control flow count in that of their parent, and have indices of their own. They are told by
   the order of the profile, which lists events as they end: a run of a nested graph ends behind its nodes, and has an
   event, too, which begins before them. Their times, cut to microseconds, would not tell.
3. The profiler cuts durations to whole microseconds, so half of one is added.
4. A shape that data decide is what the runs wrote (`seen_shapes`).
5. The profiler tells nothing of results that are no tensors (sequences, optional values). An event that tells fewer
   shapes than its node has results belongs to the next node of its operator that has those shapes among its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import Graph

_EVENT_SUFFIX = "_kernel_time"
_GRAPH_RUN, _MODEL_RUN = "SequentialExecutor::Execute", "model_run"  # events of runs: of a graph, and of all of it


@dataclass(frozen=True, slots=True)
class ProfileEvent:
    """One execution of one node, as the profiler recorded it. Times in microseconds."""

    index: str
    name: str
    op_type: str
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    start_us: int
    duration_us: int


def read_profile_events(content: Sequence[Mapping[str, Any]]) -> list[ProfileEvent]:
    """The node events of a profile in the order of their end, those of nested graphs left out (rule 2)."""
    found: list[Mapping[str, Any]] = []
    pending: list[Mapping[str, Any]] = []  # nodes whose graph has not ended yet
    of_graph: list[Mapping[str, Any]] = []  # the nodes of the graph that ended last
    for event in content:
        name = event.get("name", "")
        if event.get("cat") == "Node" and name.endswith(_EVENT_SUFFIX):
            pending.append(event)
        elif name == _GRAPH_RUN:
            first = len(pending)
            while first and pending[first - 1]["ts"] >= event["ts"]:
                first -= 1
            of_graph = pending[first:]
            del pending[first:]
        elif name == _MODEL_RUN:
            found += of_graph
            pending.clear()
            of_graph = []
    return [_read_event(event) for event in found]


def _read_event(event: Mapping[str, Any]) -> ProfileEvent:
    args = event["args"]
    return ProfileEvent(
        index=args["node_index"],
        name=event["name"][: -len(_EVENT_SUFFIX)],
        op_type=args["op_name"],
        inputs=_shapes(args.get("input_type_shape", ())),
        outputs=_shapes(args.get("output_type_shape", ())),
        start_us=event["ts"],
        duration_us=event["dur"],
    )


def match_events(graph: Graph, events: Sequence[ProfileEvent], runs: int) -> np.ndarray[Any, Any]:
    """Milliseconds of each node of the dump in each run, of shape (runs, nodes) (rules 1 and 3).

    Raises:
        MeasurementError: events and nodes do not match one to one.
    """
    by_index: dict[str, list[ProfileEvent]] = defaultdict(list)
    for event in events:
        by_index[event.index].append(event)
    uneven = next((e[0] for e in by_index.values() if len(e) != runs), None)
    if uneven is not None:
        count = len(by_index[uneven.index])
        raise MeasurementError(f"profile: node {uneven.name!r} has {count} events in {runs} runs; profile it again")
    first = _first_events(events)
    owners = _owners(graph, first)
    _check_shapes(graph, owners, first)
    times = np.empty((runs, len(graph.nodes)))
    for index, position in owners.items():
        times[:, position] = [event.duration_us for event in by_index[index]]
    return (times + 0.5) / 1e3


def seen_shapes(graph: Graph, events: Sequence[ProfileEvent]) -> dict[str, tuple[int, ...]]:
    """The tensors of the dump that the runs wrote in another shape than the static one, and that shape.

    Raises:
        MeasurementError: events and nodes do not match one to one.
    """
    first = _first_events(events)
    seen: dict[str, tuple[int, ...]] = {}
    for index, position in _owners(graph, first).items():
        names = [name for name in graph.nodes[position].outputs if name]
        if len(names) == len(first[index].outputs):
            seen.update(zip(names, first[index].outputs, strict=True))
    return {name: shape for name, shape in seen.items() if graph.types[name].shape != shape}


def _first_events(events: Sequence[ProfileEvent]) -> dict[str, ProfileEvent]:
    first: dict[str, ProfileEvent] = {}
    for event in events:
        first.setdefault(event.index, event)
    return first


def _owners(graph: Graph, events: Mapping[str, ProfileEvent]) -> dict[str, int]:
    """For each node index of the profile the position of its node in the graph."""
    by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
    for position, node in enumerate(graph.nodes):
        if node.name != f"{node.op_type}_{position}":  # or else made up by the reader
            by_name[node.name, node.op_type].append(position)
    owners: dict[str, int] = {}
    homeless: list[ProfileEvent] = []
    for event in events.values():
        nameless = event.name == f"{event.op_type}_{event.index}"  # made up by the profiler
        named = [] if nameless else by_name.get((event.name, event.op_type), [])
        if len(named) == 1:
            owners[event.index] = named.pop()
        else:
            homeless.append(event)
    _place(graph, homeless, owners)
    if len(owners) != len(graph.nodes):
        idle = graph.nodes[min(set(range(len(graph.nodes))) - set(owners.values()))]
        raise MeasurementError(f"profile: node {idle.name!r} ({idle.op_type}) was never executed; profile it again")
    return owners


def _place(graph: Graph, homeless: Sequence[ProfileEvent], owners: dict[str, int]) -> None:
    """Gives events without a name of their own to the nodes that are left, by operator and shapes.

    Shapes that data decide differ from the graph's: such an event belongs to the one node of its operator that is left.
    """
    left: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for position in sorted(set(range(len(graph.nodes))) - set(owners.values())):
        left[graph.nodes[position].op_type, _output_shapes(graph, position)].append(position)
    strange = []
    for event in homeless:
        candidates = left.get((event.op_type, event.outputs))
        if candidates:
            owners[event.index] = candidates.pop(0)
        else:
            strange.append(event)
    for event in strange:
        partly = [
            position
            for (op_type, shapes), own in left.items()
            if op_type == event.op_type and _tells_part(event.outputs, shapes)
            for position in own
        ]
        if partly:
            owners[event.index] = next_one = min(partly)
            left[event.op_type, _output_shapes(graph, next_one)].remove(next_one)
            continue
        of_operator = [p for (op_type, _), own in left.items() if op_type == event.op_type for p in own]
        alike = [other for other in strange if other.op_type == event.op_type]
        if len(of_operator) != 1 or len(alike) != 1:
            raise MeasurementError(
                f"profile: node {event.name!r} ({event.op_type}) is not in the graph that ONNX Runtime wrote; "
                "give the model's nodes unique names"
            )
        owners[event.index] = of_operator[0]


def _check_shapes(graph: Graph, owners: Mapping[str, int], events: Mapping[str, ProfileEvent]) -> None:
    for index, position in owners.items():
        expected, seen = _output_shapes(graph, position), events[index].outputs
        if expected != seen and not _tells_part(seen, expected):
            raise MeasurementError(
                f"profile: node {graph.nodes[position].name!r} wrote {seen}, its static shapes are {expected}; "
                "report the model, its shapes are inferred wrongly"
            )


def _tells_part(seen: Sequence[tuple[int, ...]], expected: Sequence[tuple[int, ...]]) -> bool:
    """Whether fewer shapes were told than a node has results, each of them one of its own, in order (rule 5)."""
    own = iter(expected)
    return len(seen) < len(expected) and all(shape in own for shape in seen)


def _output_shapes(graph: Graph, position: int) -> tuple[tuple[int, ...], ...]:
    return tuple(graph.types[name].shape for name in graph.nodes[position].outputs if name)


def _shapes(recorded: Sequence[Mapping[str, Sequence[int]]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(shape) for entry in recorded for shape in entry.values())
