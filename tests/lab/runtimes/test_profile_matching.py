"""The profiler's events are matched to the nodes of the dump without a guess."""

import pytest

pytest.importorskip("onnxruntime")

from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.lab.runtimes.onnxruntime import match_events, read_profile_events


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


def run_of(nodes, durations, start_us=0):
    events = []
    for index, ((op_type, name, shape), duration_us) in enumerate(zip(nodes, durations, strict=True)):
        events.append(make_event(index * 3, name, op_type, shape, start_us, duration_us))
        start_us += duration_us + 5
    return events, start_us


def test_every_node_gets_its_own_times():
    nodes = [("Conv", "a", (1, 8)), ("Relu", "b", (1, 8))]
    first, end = run_of(nodes, [100, 3])
    second, _ = run_of(nodes, [90, 2], end)
    times = match_events(make_graph(*nodes), read_profile_events(second + first), 2)
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
    times = match_events(make_graph(*nodes), read_profile_events(events), 1)
    assert times[0].tolist() == [0.0015, 0.0025, 0.0035]


def test_nodes_inside_of_control_flow_count_in_their_parent():
    nodes = [("If", "branch", (1, 8)), ("Relu", "b", (1, 8))]
    events, _ = run_of(nodes, [100, 3])
    events += [make_event(0, "inner", "Add", (1, 8), 10, 20), make_event(3, "inner2", "Add", (1, 8), 40, 20)]
    times = match_events(make_graph(*nodes), read_profile_events(events), 1)
    assert times[0].tolist() == [0.1005, 0.0035]


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
