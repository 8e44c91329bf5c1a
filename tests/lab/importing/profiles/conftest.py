"""A small network with named operators and tensors, and profiles of it in the form of each tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.lab.importing.profiles.run import import_profiles
from nnmeter.lab.importing.profiles.setting import MeasuredDevice
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.runtimes.weights import fill_weights

DEVICE = MeasuredDevice(name="board")


def small_network() -> onnx.ModelProto:
    """conv1 -> relu1 -> conv2 -> add (with relu1) -> pool -> flat -> fc, float32, 1x8x16x16."""
    weights = [
        _described("w1", (8, 8, 3, 3)), _described("w2", (8, 8, 3, 3)), _described("wf", (10, 8)),
        _described("bf", (10,)),
    ]  # fmt: skip
    convolution: dict[str, Any] = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["conv1_out"], name="conv1", **convolution),
        helper.make_node("Relu", ["conv1_out"], ["relu1_out"], name="relu1"),
        helper.make_node("Conv", ["relu1_out", "w2"], ["conv2_out"], name="conv2", **convolution),
        helper.make_node("Add", ["conv2_out", "relu1_out"], ["add_out"], name="add"),
        helper.make_node("GlobalAveragePool", ["add_out"], ["pool_out"], name="pool"),
        helper.make_node("Flatten", ["pool_out"], ["flat_out"], name="flat"),
        helper.make_node("Gemm", ["flat_out", "wf", "bf"], ["y"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _described(name: str, shape: tuple[int, ...]) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The small network as a file, weights in it."""
    proto = small_network()
    fill_weights(proto)
    path = tmp_path / "small.onnx"
    onnx.save(proto, path)
    return path


Import = Callable[..., tuple[dict[str, Any], list[Any], dict[str, Any]]]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Imports a folder: the report, the measurements, and the fingerprint as they are read back."""

    def act(*paths: Path, device: MeasuredDevice = DEVICE, **options: Any) -> tuple[Any, Any, Any]:
        output = tmp_path.parent / f"{tmp_path.name}.parquet"
        report = import_profiles(paths or [tmp_path], output, device, **options)
        for account in report["files"]:
            assert account["rows"] == account["imported"] + sum(account["refused"].values())
        rows, fingerprint = read_measurements(output)
        assert len(rows) == report["measurements"]
        return report, rows, fingerprint

    return act


def account_of(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(account for account in report["files"] if account["file"].endswith(name))


# Profiles of the small network as the tools write them.
TRT_LAYERS: dict[str, Any] = {
    "Layers": [
        {"Name": "Reformatting CopyNode for Input Tensor 0 to conv1", "LayerType": "Reformat", "Metadata": ""},
        {"Name": "conv1 + relu1", "LayerType": "CaskConvolution",
         "Metadata": "[ONNX Layer: conv1]\x1f[ONNX Layer: relu1]"},
        {"Name": "conv2 + add", "LayerType": "CaskConvolution",
         "Metadata": "[ONNX Layer: conv2]\x1e[ONNX Layer: add]"},
        {"Name": "pool", "LayerType": "CaskPooling", "Metadata": "[ONNX Layer: pool]"},
        {"Name": "fc", "LayerType": "CaskGemm", "Metadata": "[ONNX Layer: fc]"},
    ],
    "Bindings": ["x", "y"],
}  # fmt: skip
TRT_PROFILE = [
    {"count": 100},
    *(
        {"name": layer["Name"], "timeMs": ms * 100, "averageMs": ms, "medianMs": ms, "percentage": ms * 500}
        for layer, ms in zip(TRT_LAYERS["Layers"], (0.01, 0.05, 0.07, 0.02, 0.03), strict=True)
    ),
]
TRT_TIMES = [
    {"startComputeMs": i, "endComputeMs": i + 0.2, "computeMs": 0.2 + i / 100, "latencyMs": 0.3} for i in range(10)
]

TFLITE_CSV = """\
Number of nodes executed: 5
============================== Run Order ==============================
node type, start, first, avg_ms, %, cdf%, mem KB, times called, name
ModifyGraphWithDelegate, 0.0, 9.0, 9.0, 90%, 90%, 0, 1, ModifyGraphWithDelegate/0

Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
node type, start, first, avg_ms, %, cdf%, mem KB, times called, name
CONV_2D, 0.0, 0.3, 0.25, 40%, 40%, 0, 1, [relu1_out;conv1_out]:0
CONV_2D, 0.2, 0.3, 0.20, 30%, 70%, 0, 1, [conv2_out]:1
ADD, 0.4, 0.1, 0.05, 10%, 80%, 0, 1, [add_out]:2
MEAN, 0.5, 0.1, 0.04, 8%, 88%, 0, 1, [pool_out]:3
FULLY_CONNECTED, 0.6, 0.1, 0.03, 6%, 94%, 0, 1, [y]:4
COPY, 0.7, 0.0, 0.01, 2%, 96%, 0, 1, Delegate/Copy (NC, X32):0

============================== Top by Computation Time ==============================
node type, start, first, avg_ms, %, cdf%, mem KB, times called, name
CONV_2D, 0.0, 0.3, 0.25, 40%, 40%, 0, 1, [relu1_out;conv1_out]:0

============================== Summary by node type ==============================
node type, count, avg_ms, avg %, cdf %, mem KB, times called
CONV_2D, 2, 0.45, 70%, 70%, 0, 2
"""

NCNN_LOG = """\
loop_count = 4
num_threads = 1
Convolution              conv1                              0.11ms    |    [ 16,  16,   8 *4] -> [ 16,  16,   8 *4]
Convolution              conv1                              0.10ms    |    [ 16,  16,   8 *4] -> [ 16,  16,   8 *4]
Convolution              conv2                              0.08ms    |    [ 16,  16,   8 *4] -> [ 16,  16,   8 *4]
BinaryOp                 add                                0.02ms    |
Pooling                  pool                               0.01ms    |    [ 16,  16,   8 *4] -> [  8 *4]
Split                    splitncnn_0                        0.00ms    |
InnerProduct             fc                                 0.03ms    |    [  8 *4] -> [ 10 *1]
               small  min =    0.23  max =    0.31  avg =    0.25
"""

MNN_LOG = """\
Open Model small.mnn
Sort by node name !
Node Name      \tOp Type      \tAvg(ms)     \t%           \tFlops Rate  \t
relu1_out      \tConvolution  \t0.100000    \t40.000000   \t48.0        \t
conv2_out      \tConvolution  \t0.080000    \t32.000000   \t48.0        \t
add_out        \tBinaryOp     \t0.020000    \t8.000000    \t1.0         \t
pool_out       \tPooling      \t0.015000    \t6.000000    \t1.0         \t
y              \tConvolution  \t0.030000    \t12.000000   \t1.0         \t
y__tr          \tRaster       \t0.005000    \t2.000000    \t1.0         \t
Sort by time cost !
Node Type      \tAvg(ms)      \t%           \tCalled times\tFlops Rate  \t
Convolution    \t0.210000     \t84.000000   \t3.000000    \t97.0        \t
total time : 0.255000 ms, total mflops : 2.000000
"""

EXECUTORCH_TSV = (
    "event_block_name\tevent_name\tp10 (ms)\tp50 (ms)\tp90 (ms)\tavg (ms)\traw\tis_delegated_op\n"
    "Default\tMethod::init\t1\t1\t1\t1\t[1.0]\tFalse\n"
    "Execute\tConvolution (NHWC, F32) IGEMM #1\t0.1\t0.1\t0.1\t0.1\t[0.1, 0.1]\tTrue\n"
    "Execute\tMethod::execute\t0.3\t0.3\t0.4\t0.32\t[0.31, 0.33, 0.32, 0.32]\tFalse\n"
)


def pytorch_trace(steps: int = 4, unknown: bool = False) -> dict[str, Any]:
    """A trace of convolution, ReLU and matrix product in each step, as Kineto writes it."""
    events: list[dict[str, Any]] = [{"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "python"}}]

    def operator(name: str, ts: float, dur: float, dims: Any, kinds: Any, values: Any = ()) -> None:
        args = {"External id": len(events), "Input Dims": dims, "Input type": kinds, "Concrete Inputs": list(values)}
        events.append({"ph": "X", "cat": "cpu_op", "name": name, "tid": 7, "ts": ts, "dur": dur, "args": args})

    pair, scalar = "ScalarList", "Scalar"
    for step in range(steps):
        at = 1000.0 * step
        events.append({"ph": "X", "cat": "user_annotation", "name": f"ProfilerStep#{step}", "tid": 7, "ts": at,
                       "dur": 200.0 + step, "args": {}})  # fmt: skip
        dims = [[1, 3, 32, 32], [8, 3, 3, 3], [8], [], [], [], []]
        kinds = ["float", "float", "float", pair, pair, pair, scalar]
        operator("aten::conv2d", at + 1, 100, dims, kinds, ["", "", "", "[2, 2]", "[1, 1]", "[1, 1]", "1"])
        operator("aten::convolution", at + 2, 98, dims, kinds, ["", "", "", "[2, 2]", "[1, 1]", "[1, 1]", "False"])
        operator("aten::relu", at + 110, 10, [[1, 8, 16, 16]], ["float"])
        operator("aten::view", at + 125, 1, [[1, 8, 16, 16], []], ["float", pair])
        operator("aten::mm", at + 130, 30, [[1, 2048], [2048, 10]], ["float", "float"])
        if unknown:
            operator("acme::magic", at + 165, 9, [[1, 10]], ["float"])
    return {"schemaVersion": 1, "traceEvents": events}


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
