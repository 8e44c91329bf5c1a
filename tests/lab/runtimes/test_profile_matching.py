"""The profiler's events are matched to the nodes of the dump without a guess."""

import pytest

pytest.importorskip("onnxruntime")

from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.lab.runtimes.onnxruntime_profile import match_events, read_profile_events, seen_shapes


def make_graph(*nodes):
    """A chain of (op_type, name, output shape)."""
    types = {"t0": TensorType("float32", (1, 8))}
    chain = []
    for number, (op_type, name, shape) in enumerate(nodes):
        types[f"t{number + 1}"] = TensorType("float32", shape)
        chain.append(Node(op_type, "", name, (f"t{number}",), (f"t{number + 1}",)))
    return Graph("g", chain, ["t0"], [f"t{len(nodes)}"], types, set(), {}, {})


def make_event(index, name, op_type, shape, start_us, duration_us):
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "ts": start_us,
        "dur": duration_us,
        "args": {
            "op_name": op_type,
            "node_index": str(index),
            "input_type_shape": [{"float": [1, 8]}],
            "output_type_shape": [{"float": list(shape)}],
        },
    }


def session_event(name, start_us, end_us):
    return {"cat": "Session", "name": name, "ts": start_us, "dur": end_us - start_us, "args": {}}


def as_run(events, start_us, end_us):
    """Events of the nodes of one run, and of the run itself, in the order in which they end."""
    return [
        *events,
        session_event("SequentialExecutor::Execute", start_us, end_us),
        session_event("model_run", start_us, end_us),
    ]


def run_of(nodes, durations, start_us=0):
    events, began_us = [], start_us
    for index, ((op_type, name, shape), duration_us) in enumerate(zip(nodes, durations, strict=True)):
        events.append(make_event(index * 3, name, op_type, shape, start_us, duration_us))
        start_us += duration_us + 5
    return as_run(events, began_us, start_us), start_us


def test_every_node_gets_its_own_times():
    nodes = [("Conv", "a", (1, 8)), ("Relu", "b", (1, 8))]
    first, end = run_of(nodes, [100, 3])
    second, _ = run_of(nodes, [90, 2], end)
    times = match_events(make_graph(*nodes), read_profile_events(first + second), 2)
    assert times.tolist() == [[0.1005, 0.0035], [0.0905, 0.0025]]


def test_order_of_execution_may_differ_from_the_order_in_the_dump():
    nodes = [("Conv", "a", (1, 8)), ("Relu", "b", (1, 8))]
    events, _ = run_of(nodes[::-1], [3, 100])
    times = match_events(make_graph(*nodes), read_profile_events(events), 1)
    assert times[0].tolist() == [0.1005, 0.0035]


def test_nodes_of_one_name_are_told_apart_by_operator_and_shape():
    nodes = [("Conv", "same", (1, 8)), ("Relu", "same", (1, 8)), ("Relu", "same", (1, 4)), ("Relu", "", (1, 2))]
    executed = [nodes[0], nodes[2], nodes[1], ("Relu", "Relu_9", (1, 2))]
    events, _ = run_of(executed, [100, 3, 7, 1])
    times = match_events(make_graph(*nodes), read_profile_events(events), 1)
    assert times[0].tolist() == [0.1005, 0.0075, 0.0035, 0.0015]


def test_names_that_reader_and_profiler_make_up_are_not_taken_for_one_another():
    nodes = [("Max", "", (1, 8)), ("Max", "", (1, 4)), ("Max", "", (1, 2))]  # Max_0 to Max_2 for the reader
    executed = [("Max", "Max_1", (1, 8)), ("Max", "Max_7", (1, 4)), ("Max", "Max_2", (1, 2))]
    events = [
        make_event(index, name, op_type, shape, 20 * order, order + 1)
        for order, (index, (op_type, name, shape)) in enumerate(zip((1, 7, 2), executed, strict=True))
    ]
    times = match_events(make_graph(*nodes), read_profile_events(as_run(events, 0, 90)), 1)
    assert times[0].tolist() == [0.0015, 0.0025, 0.0035]


def test_nodes_inside_of_control_flow_count_in_their_parent():
    """Times are cut to microseconds: what is nested may seem to end behind its parent."""
    nodes = [("Relu", "a", (1, 8)), ("If", "branch", (1, 8)), ("Loop", "loop", (1, 8)), ("Relu", "b", (1, 8))]
    events = [
        make_event(0, "a", "Relu", (1, 8), 10, 4),
        make_event(0, "a", "Relu", (1, 4), 21, 9),  # of the branch, named and numbered as the other one
        make_event(3, "inner", "Add", (1, 8), 31, 21),  # ends a microsecond behind the If
        session_event("SequentialExecutor::Execute", 20, 51),
        make_event(3, "branch", "If", (1, 8), 20, 30),
        *(
            event
            for start_us in (60, 70)
            for event in (
                make_event(0, "body", "Add", (1, 8), start_us, 5),
                session_event("SequentialExecutor::Execute", start_us, start_us + 5),
            )
        ),
        make_event(6, "loop", "Loop", (1, 8), 59, 20),
        make_event(9, "b", "Relu", (1, 8), 80, 3),
    ]
    times = match_events(make_graph(*nodes), read_profile_events(as_run(events, 9, 90)), 1)
    assert times[0].tolist() == [0.0045, 0.0305, 0.0205, 0.0035]


def test_shapes_that_were_seen_are_told_from_static_ones():
    nodes = [("NonZero", "found", (1, 8)), ("Relu", "b", (1, 8)), ("Transpose", "", (1, 8))]
    executed = [("NonZero", "found", (1, 3)), ("Relu", "b", (1, 8)), ("Transpose", "Transpose_6", (1, 3))]
    events, _ = run_of(executed, [10, 10, 10])
    assert seen_shapes(make_graph(*nodes), read_profile_events(events)) == {"t1": (1, 3), "t3": (1, 3)}


def test_results_that_are_no_tensors_are_told_no_shape_of():
    nodes = [
        ("SequenceEmpty", "", (0,)),
        ("SequenceInsert", "", (8,)),
        ("SequenceInsert", "", (16,)),
        ("Relu", "a", (1, 8)),
    ]
    events, _ = run_of([(op_type, name or f"{op_type}_9", shape) for op_type, name, shape in nodes], [1, 2, 3, 4])
    for event in events[:3]:
        event["args"]["output_type_shape"] = []
    read = read_profile_events(events)
    assert match_events(make_graph(*nodes), read, 1)[0].tolist() == [0.0015, 0.0025, 0.0035, 0.0045]
    assert seen_shapes(make_graph(*nodes), read) == {}


@pytest.mark.parametrize(
    ("executed", "runs", "message"),
    [
        ([("Conv", "a", (1, 8))], 1, "'b' .Relu. was never executed"),
        ([("Conv", "a", (1, 8)), ("Relu", "b", (1, 8)), ("Tanh", "c", (1, 8))], 1, "'c' .Tanh. is not in the graph"),
        ([("Conv", "a", (1, 8)), ("Relu", "b", (1, 4))], 1, "wrote .*its static shapes are"),
        ([("Conv", "a", (1, 8)), ("Relu", "b", (1, 8))], 2, "has 1 events in 2 runs"),
    ],
    ids=["idle node", "unknown node", "other shape", "lost event"],
)
def test_what_does_not_match_is_an_error(executed, runs, message):
    graph = make_graph(("Conv", "a", (1, 8)), ("Relu", "b", (1, 8)))
    events, _ = run_of(executed, [10] * len(executed))
    with pytest.raises(MeasurementError, match=message):
        match_events(graph, read_profile_events(events), runs)
