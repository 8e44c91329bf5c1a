from __future__ import annotations

import gzip

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnmeter.api import load_model
from nnmeter.errors import MeasurementError
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules, with_parameters
from nnmeter.lab.importing.run import import_dataset
from nnmeter.lab.importing.v100_tensorrt import convolution_signature
from nnmeter.lab.measuring.store import read_measurements


def convolution_model(kind: str, sizes, add: bool) -> bytes:
    """The convolution as PyTorch exports it, with a rectifier behind it."""
    batch, channels, height, width, outputs, kernel, stride = sizes
    groups = channels if kind == "Depthwise" else 1
    pad = kernel // 2
    result = [batch, outputs, (height + 2 * pad - kernel) // stride + 1, (width + 2 * pad - kernel) // stride + 1]
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[kernel] * 2, strides=[stride] * 2,
                              pads=[pad] * 4, group=groups)]  # fmt: skip
    if add:
        nodes.append(helper.make_node("Add", ["c", "z"], ["s"]))
    nodes.append(helper.make_node("Relu", ["s" if add else "c"], ["y"]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, channels, height, width])]
    if add:
        inputs.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, result))
    weights = [
        numpy_helper.from_array(np.zeros((outputs, channels // groups, kernel, kernel), np.float32), "w"),
        numpy_helper.from_array(np.zeros(outputs, np.float32), "b"),
    ]
    graph = helper.make_graph(
        nodes, "conv", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)], weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@pytest.mark.parametrize(
    ("kind", "sizes", "add"),
    [
        ("Regular", (1, 3, 224, 224, 64, 7, 2), False),
        ("Regular", (8, 64, 57, 57, 32, 3, 2), True),
        ("Regular", (32, 64, 14, 14, 256, 1, 1), True),
        ("Depthwise", (1, 96, 28, 28, 96, 5, 2), False),
    ],
)
def test_a_line_is_the_kernel_that_the_rules_find(kind, sizes, add, precision):
    rules = load_rules("tensorrt_cuda")
    if precision != "float32":
        rules = with_parameters(rules, **{precision: True})
    (kernel,) = detect_kernels(load_model(convolution_model(kind, sizes, add)), rules)
    signature, _ = convolution_signature(kind, sizes, add, precision)
    assert signature == kernel.signature


def write_table(path, *lines: str) -> None:
    with gzip.open(path, "wt") as stream:
        stream.write("\n".join(lines) + "\n")


def test_every_line_is_imported_or_refused(tmp_path):
    lines = [
        "{Regular,128,3,480,480,128,7,2,1} 14.6305",
        "{Regular,128,3,480,480,128,7,2,0} 14.0",
        "{Regular,128,3,480,480,128,7,2,0} 14.5",
        "{Depthwise,1,64,7,7,64,3,1,0} 0.0140288",
        "{Regular,128,3,480,480,64,7,2,1} -1",
        "{Depthwise,1,64,7,7,32,3,1,0} 0.01",
        "{Regular,128,3} 1",
        "{Winograd,128,3,480,480,64,7,2,1} 1",
        "",
    ]
    write_table(tmp_path / "conv_fp16.txt.gz", *lines)
    report = import_dataset("v100-tensorrt", tmp_path, tmp_path / "out.parquet")
    counts = report["devices"]["v100_tensorrt_fp16"]
    assert (counts["rows"], counts["imported_rows"]) == (len(lines), 4)
    assert counts["refused"] == {"the line is no convolution with a time": 4, "TensorRT failed": 1}
    rows, fingerprint = read_measurements(tmp_path / "out.parquet")
    assert [r.id.partition("@")[2] for r in rows] == ["", "", "2", ""]
    assert [r.kernels[0].type for r in rows] == ["Conv+Add", "Conv", "Conv", "Conv"]
    assert {r.granularity for r in rows} == {"kernel"}
    assert rows[0].batch == 128
    assert len({r.family for r in rows}) == 2
    assert rows[0].kernels[0].inputs[0].dtype == fingerprint["precision"] == "float16"
    assert fingerprint["runtime"] == "tensorrt"


def test_each_precision_is_a_device(tmp_path):
    for short in ("fp32", "int8"):
        write_table(tmp_path / f"conv_{short}.txt.gz", "{Regular,1,3,8,8,4,3,1,0} 0.5")
    report = import_dataset("v100-tensorrt", tmp_path, tmp_path / "out")
    assert sorted(report["files"]) == ["v100_tensorrt_fp32", "v100_tensorrt_int8"]


def test_a_directory_without_tables_is_an_error(tmp_path):
    with pytest.raises(MeasurementError, match="holds no conv_fp32"):
        import_dataset("v100-tensorrt", tmp_path, tmp_path / "out")
