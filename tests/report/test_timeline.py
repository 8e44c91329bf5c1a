"""Traces and node data: what Perfetto and Model Explorer read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nnmeter.prediction.prediction import Prediction
from nnmeter.report.registry import CORE
from nnmeter.report.timeline import Timeline


def nanoseconds(time_us: float) -> int:
    """As Perfetto reads a time: it drops an event that begins before the one in front of it has ended."""
    assert time_us == round(time_us, 3)
    return round(1000 * time_us)


def test_kernels_follow_each_other_without_gaps(prediction: Prediction) -> None:
    document = json.loads(CORE.render("timeline", [Timeline(prediction), Timeline(prediction)], "json"))
    events = [e for e in document["traceEvents"] if e["ph"] == "X" and e["pid"] == 2]
    assert [e["name"] for e in events] == [*(kernel.name for kernel in prediction.kernels), "overhead"]
    for before, after in itertools.pairwise(events):
        assert nanoseconds(after["ts"]) == nanoseconds(before["ts"]) + nanoseconds(before["dur"])
    last = events[-1]
    assert last["ts"] + last["dur"] == pytest.approx(1000 * prediction.latency_ms, abs=1e-3)
    threads = {e["pid"]: e["tid"] for e in document["traceEvents"] if e["name"] == "thread_name"}
    assert threads[1] != threads[2]
    assert not set(threads) & set(threads.values())
    assert events[2]["args"]["outside_the_trained_range"] is True
    assert events[2]["args"]["nodes"] == ["/layer3/Conv", "/layer3/Relu"]
    names = [e["args"]["name"] for e in document["traceEvents"] if e["name"] == "process_name"]
    assert names == ["models/net|1.onnx on test-cpu-1t"] * 2


def test_the_time_of_a_kernel_is_at_its_first_operator(prediction: Prediction) -> None:
    document = json.loads(CORE.render("nodedata", prediction, "json"))
    results = document["results"]
    assert results["/layer3/Conv"] == {"value": 3.0}
    assert results["/layer3/Relu"] == {"value": 0.0}
    assert sum(entry["value"] for entry in results.values()) == sum(k.latency_ms for k in prediction.kernels)
    assert [stop["stop"] for stop in document["gradient"]] == [0.0, 0.5, 1.0]


def test_predict_writes_both_beside_its_report(
    cli: Callable, small_model: Path, small_pack: Path, tmp_path: Path
) -> None:
    trace, nodes = tmp_path / "trace.json", tmp_path / "nodes.json"
    outcome = cli("predict", small_model, "--device", small_pack, "--trace", trace, "--node-data", nodes)
    assert outcome.code == 0, outcome.err
    assert "coverage" in outcome.out
    assert any(event["ph"] == "X" for event in json.loads(trace.read_text())["traceEvents"])
    assert set(json.loads(nodes.read_text())["results"]) >= {"conv", "relu"}


def test_live_memory_is_in_the_trace_where_it_is_asked_for(
    cli: Callable, small_model: Path, small_pack: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.json"
    for option in ([], ["--with-memory"]):
        assert cli("predict", small_model, "--device", small_pack, "--trace", trace, *option).code == 0
        events = json.loads(trace.read_text())["traceEvents"]
        live = [event["args"]["activations"] for event in events if event["ph"] == "C"]
        kernels = [event for event in events if event["ph"] == "X" and event["cat"] != "overhead"]
        assert (len(live), any(live)) == ((len(kernels), True) if option else (0, False))


def test_node_data_are_of_one_prediction(cli: Callable, small_model: Path, small_pack: Path, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.json"
    outcome = cli("predict", small_model, small_model, "--device", small_pack, "--node-data", nodes)
    assert outcome.code == 2
    assert "--node-data is of one prediction, not of 2" in outcome.error_line
    assert not nodes.exists()
    outcome = cli("predict", small_model, "--device", small_pack, "--trace", "no/such/trace.json")
    assert outcome.code == 2
    assert "there is no directory" in outcome.error_line
