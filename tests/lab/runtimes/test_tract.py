"""tract: what it executes, what that takes, and what it refuses."""

import numpy as np
import onnx
import pytest

pytest.importorskip("tract")

from onnx import TensorProto, helper

from nnmeter.errors import MeasurementError
from nnmeter.lab.runtimes import load_runtime
from nnmeter.lab.runtimes.base import JoinsNetworks
from tests.lab.runtimes.adapter_contract import AdapterContract
from tests.lab.runtimes.models import make_model, uneven_model


@pytest.fixture(scope="module")
def adapter():
    return load_runtime("tract")


class TestTract(AdapterContract):
    input_types = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT16)
    profiled_runs = 1
    inside = (0.2, 3.0)


def test_version_and_one_thread_are_recorded(adapter):
    assert adapter.version().startswith("0.")
    assert adapter.device_settings(1) == {"runtime": "default", "threads": 1}
    assert isinstance(adapter, JoinsNetworks)
    with pytest.raises(MeasurementError, match="one thread, not 2; give --threads 1"):
        adapter.compile(uneven_model(), 2)


def test_kernels_are_those_that_the_runtime_ran(adapter):
    compiled = adapter.compile(uneven_model())
    assert [kernel.type for kernel in compiled.kernels] == ["Softmax", "Conv", "Relu", "GlobalAveragePool", "Tanh"]
    convolution = compiled.kernels[1]
    assert convolution.nodes == ("heavy",)
    assert [tensor.shape for tensor in convolution.signature.inputs] == [(1, 64, 32, 32), (128, 64, 3, 3)]
    compiled.close()


def test_names_of_the_model_stay_where_tract_knows_other_ones(adapter):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="q1q"),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w"], ["y"], name="q1q.pack"),
    ]
    compiled = adapter.compile(make_model(nodes, [("x", [4, 8])], [("y", [4, 6])], [("w", (8, 6))]))
    assert [kernel.type for kernel in compiled.kernels] == ["Relu", "Sigmoid", "Gemm"]
    assert compiled.kernels[0].nodes == ("q1q",)
    assert compiled.kernels[2].nodes == ("q1q.pack",)


def test_a_profile_is_one_row_of_means(adapter):
    compiled = adapter.compile(uneven_model(), profiled=True)
    calls = []
    times_ms = compiled.profile(50, lambda: calls.append(1))
    assert (times_ms.shape, calls) == ((1, 5), [1])
    assert (times_ms > 0).all()


def test_a_refused_model_is_named_with_the_reason(adapter, tmp_path):
    unknown = helper.make_node("Mystery", ["x"], ["y"], domain="com.example")
    model = make_model([unknown], [("x", [2, 3])], [("y", [2, 3])])
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    path = tmp_path / "bad.onnx"
    onnx.save(model, path)
    with pytest.raises(MeasurementError, match=r"bad\.onnx: tract 0\.\S+ refuses it \(.*Mystery"):
        adapter.compile(path)


def test_inputs_are_fed_by_name(adapter):
    nodes = [helper.make_node("Sub", ["second", "first"], ["y"])]
    compiled = adapter.compile(make_model(nodes, [("first", [3]), ("second", [3])], [("y", [3])]))
    other = adapter.compile(make_model(nodes, [("second", [3]), ("first", [3])], [("y", [3])]))
    assert np.isfinite(compiled.outputs()[0]).all()
    assert other.outputs()[0].shape == (3,)
