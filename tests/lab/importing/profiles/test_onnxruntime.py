from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.importing.profiles import onnxruntime as reader
from nnmeter.lab.runtimes import load_runtime
from tests.lab.importing.profiles.conftest import account_of, write_json

RUNS = 8


@pytest.fixture
def profile(model: Path) -> Path:
    """What ONNX Runtime itself writes: the profile of some runs, and the optimized model beside it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.enable_profiling, options.profile_file_prefix = True, str(model.parent / "small.profile")
    options.optimized_model_filepath = str(model.parent / "small.optimized.onnx")
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    for _ in range(RUNS):
        session.run(None, {"x": np.ones((1, 8, 16, 16), np.float32)})
    return Path(session.end_profiling())


def test_kernels_are_those_that_the_runtime_executes(profile, model, imported):
    report, rows, fingerprint = imported(profile, model.parent / "small.optimized.onnx")
    (row,) = rows
    kernels = load_runtime("onnxruntime").compile(str(model), 1).kernels
    assert row.kernels == tuple(kernel.signature for kernel in kernels)
    assert (row.kernel_runs, row.runs, row.granularity, row.network) == (RUNS - 2, RUNS - 2, "model", "small")
    assert min(row.kernel_ms) > 0
    assert row.min_ms <= row.median_ms <= row.p90_ms
    assert (fingerprint["runtime"], fingerprint["device"], fingerprint["kind"]) == ("onnxruntime", "board", "cpu")
    account = account_of(report, profile.name)
    events = json.loads(profile.read_text())
    assert account["rows"] == len(events)
    assert account["imported"] == (RUNS - 2) * (len(kernels) + 1)
    assert account["refused"][reader.WARM_UP] == 2 * (len(kernels) + 1)


def test_whole_runs_are_those_of_the_result_file(profile, model, imported):
    times = model.parent / "small.times.csv"
    times.write_text("".join(f"small.onnx,{0.001 * (5 + i % 3)},4096,98,{i}\n" for i in range(12)) + "\nMin Latency\n")
    _, rows, _ = imported(profile, times, model.parent / "small.optimized.onnx")
    assert rows[0].latency_ms == pytest.approx(6.0)
    assert rows[0].runs == 12
    assert rows[0].kernel_ms[0] < 5.0


def test_of_another_model_only_whole_runs_are_imported(profile, model, imported):
    report, rows, _ = imported(profile, model)
    (row,) = rows
    assert row.kernel_ms == ()
    assert [kernel.op_type for kernel in row.kernels if "Conv" in kernel.type] == ["Conv", "Conv"]
    reasons = account_of(report, profile.name)["refused"]
    assert any("give the optimized one (-u)" in reason for reason in reasons)


def test_a_node_of_a_gpu_takes_the_time_of_its_kernels(profile, model, imported):
    optimized = model.parent / "small.optimized.onnx"
    events: list[dict[str, Any]] = []
    for event in json.loads(profile.read_text()):
        events.append(event)
        if event["name"].endswith("_kernel_time"):
            event["args"]["provider"] = "CUDAExecutionProvider"
            events += [{"cat": "Kernel", "name": "gemm", "ts": event["ts"], "dur": 500, "args": {}}] * 2
    write_json(profile, events)
    report, rows, fingerprint = imported(profile, optimized)
    assert rows[0].kernel_ms == pytest.approx([1.0005] * len(rows[0].kernels))
    assert fingerprint["kind"] == "gpu"
    write_json(profile, [event for event in events if event["cat"] != "Kernel"])
    report, rows, _ = imported(profile, optimized)
    assert rows[0].kernel_ms == ()
    assert reader.LAUNCHED in account_of(report, profile.name)["refused"]


def test_a_profile_that_is_cut_off_is_refused_as_a_whole(profile, model, imported):
    profile.write_text(profile.read_text()[:-200])
    with pytest.raises(MeasurementError, match="nothing could be imported"):
        imported(profile, model.parent / "small.optimized.onnx")


def test_runs_that_are_not_whole_are_left_out(profile, model, imported):
    events = json.loads(profile.read_text())
    last = max(i for i, event in enumerate(events) if event["name"].endswith("_kernel_time"))
    report, rows, _ = imported(write_json(profile, events[:last]), model.parent / "small.optimized.onnx")
    assert rows[0].kernel_runs == RUNS - 3
    assert account_of(report, profile.name)["refused"][reader.NOT_WHOLE] > 0
