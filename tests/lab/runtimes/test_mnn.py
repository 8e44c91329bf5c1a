"""MNN: what it executes, what that takes, and what it refuses."""

import subprocess

import onnx
import pytest

pytest.importorskip("MNN")

from onnx import helper

from nnmeter.children import child_environment, python_command
from nnmeter.errors import MeasurementError
from nnmeter.lab.runtimes import load_runtime
from tests.lab.runtimes.adapter_contract import AdapterContract
from tests.lab.runtimes.models import make_model, uneven_model


@pytest.fixture(scope="module")
def adapter():
    return load_runtime("mnn")


class TestMnn(AdapterContract):
    pass


def test_version_and_threads_are_recorded(adapter):
    assert adapter.version()[0] == "3"
    assert adapter.device_settings(2)["numThread"] == 2


def test_kernels_are_those_that_the_runtime_ran(adapter):
    compiled = adapter.compile(uneven_model())
    types = [kernel.type for kernel in compiled.kernels]
    assert types == ["Softmax", "ReorderInput", "Conv+Relu", "GlobalAveragePool", "Tanh", "ReorderOutput"]
    (convolution,) = [kernel for kernel in compiled.kernels if kernel.type == "Conv+Relu"]
    assert convolution.nodes == ("heavy", "fused")
    assert [tensor.shape for tensor in convolution.signature.inputs] == [(1, 64, 32, 32), (128, 64, 3, 3), (128,)]
    assert compiled.batch == 1
    compiled.close()


def test_a_refused_model_is_named_with_the_reason(adapter, tmp_path):
    path = tmp_path / "bad.onnx"
    onnx.save(make_model([helper.make_node("IsNaN", ["x"], ["y"])], [("x", [2, 3])], [("y", [2, 3], 9)]), path)
    with pytest.raises(MeasurementError, match=r"bad\.onnx: MNN's converter refuses it .*IsNaN"):
        adapter.compile(path)


def test_a_converter_that_crashes_costs_the_model_alone(adapter, monkeypatch):
    monkeypatch.setattr("nnmeter.lab.runtimes.mnn_converter._SCRIPT", "import os\nos.abort()")
    with pytest.raises(MeasurementError, match=r"converter refuses it \(it ended with exit code -6\)"):
        adapter.compile(uneven_model())


def test_a_converter_that_comes_to_no_end_is_ended(adapter, monkeypatch):
    monkeypatch.setattr("nnmeter.lab.runtimes.mnn_converter._SCRIPT", "import time\ntime.sleep(60)")
    monkeypatch.setattr("nnmeter.lab.runtimes.mnn_converter.PATIENCE_S", 0.2)
    with pytest.raises(MeasurementError, match="had not ended after"):
        adapter.compile(uneven_model())


def test_nothing_is_written_to_the_standard_output():
    script = "from nnmeter.lab.runtimes import load_runtime\nload_runtime('mnn')\nprint('result')"
    done = subprocess.run(python_command(script), env=child_environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "result\n"


def test_the_package_that_reports_is_not_imported():
    script = (
        "from nnmeter.lab.runtimes import load_runtime\nload_runtime('mnn')\n"
        "print([name for name in sys.modules if name.startswith(('MNN.tools', 'aliyun'))])"
    )
    done = subprocess.run(python_command(script), env=child_environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
