"""MNN: what it executes, what that takes, and what it refuses."""

import subprocess
import time

import numpy as np
import onnx
import pytest

pytest.importorskip("MNN")

from onnx import TensorProto, helper

from nnmeter.children import child_environment, python_command
from nnmeter.errors import MeasurementError, ModelError
from nnmeter.lab.measuring.reference import SIZE, reference_model
from nnmeter.lab.runtimes import load_runtime
from nnmeter.lab.runtimes.base import CompiledModel, RuntimeAdapter
from tests.conftest import ZOO
from tests.lab.runtimes.models import free_model, make_model, uneven_model, with_integers


@pytest.fixture(scope="module")
def adapter():
    return load_runtime("mnn")


def test_adapter_and_model_offer_what_they_must(adapter):
    assert isinstance(adapter, RuntimeAdapter)
    assert adapter.version()[0] == "3"
    assert adapter.device_settings(2)["numThread"] == 2
    compiled = adapter.compile(uneven_model())
    assert isinstance(compiled, CompiledModel)
    compiled.close()


def test_kernels_are_those_that_the_runtime_ran(adapter):
    compiled = adapter.compile(uneven_model())
    types = [kernel.type for kernel in compiled.kernels]
    assert types == ["Softmax", "ReorderInput", "Conv+Relu", "GlobalAveragePool", "Tanh", "ReorderOutput"]
    (convolution,) = [kernel for kernel in compiled.kernels if kernel.type == "Conv+Relu"]
    assert convolution.nodes == ("heavy", "fused")
    assert [tensor.shape for tensor in convolution.signature.inputs] == [(1, 64, 32, 32), (128, 64, 3, 3), (128,)]
    assert compiled.batch == 1
    compiled.close()


def test_times_attach_to_the_kernels_that_took_them(adapter):
    compiled = adapter.compile(uneven_model(), profiled=True)
    times = compiled.profile(7)
    assert times.shape == (7, len(compiled.kernels))
    assert (times > 0).all()
    by_type = dict(zip([k.type for k in compiled.kernels], np.median(times, axis=0), strict=True))
    assert by_type["Conv+Relu"] > 4 * by_type["Tanh"]
    assert by_type["Conv+Relu"] > 0.5 * sum(by_type.values())
    compiled.close()


def test_kernels_make_up_the_run(adapter):
    compiled = adapter.compile(ZOO / "squeezenet1_1-224.onnx", profiled=True)
    stamps = []
    times_ms = compiled.profile(8, lambda: stamps.append(time.perf_counter()))
    elapsed_ms = (stamps[-1] - stamps[0]) * 1e3  # of all runs but the first, and of little else
    assert 0.3 * elapsed_ms < times_ms[1:].sum() < 1.02 * elapsed_ms
    compiled.close()


def test_profiling_twice_or_unasked_is_refused(adapter):
    compiled = adapter.compile(uneven_model(), profiled=True)
    compiled.profile(2)
    with pytest.raises(MeasurementError, match="profiled=True"):
        compiled.profile(2)
    with pytest.raises(MeasurementError, match="profiled=True"):
        adapter.compile(uneven_model()).profile(2)


def test_closed_model_says_so(adapter):
    compiled = adapter.compile(uneven_model(), profiled=True)
    compiled.close()
    for use in (compiled.run, lambda: compiled.profile(1), lambda: compiled.kernels):
        with pytest.raises(MeasurementError, match="closed"):
            use()


def test_free_dimensions_are_bound_before_converting(adapter):
    model = with_integers(free_model(), zero=[0], rest=[2, 4])
    compiled = adapter.compile(onnx.ModelProto.FromString(model.SerializeToString()), dims={"batch": 5})
    assert compiled.batch == 5
    assert compiled.outputs()[0].shape == (5, 2, 4)
    with pytest.raises(ModelError, match="free dimensions"):
        adapter.compile(model)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32])
def test_inputs_of_other_types_are_fed(adapter, kind):
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "scale"], ["y"], name="mul"),
    ]
    compiled = adapter.compile(make_model(nodes, [("x", [4, 6], kind), ("scale", [])], [("y", [4, 6])]), profiled=True)
    assert compiled.outputs()[0].shape == (4, 6)
    assert np.isfinite(compiled.outputs()[0]).all()
    assert compiled.profile(2).shape == (2, len(compiled.kernels))


def test_results_are_those_of_the_model(adapter):
    pytest.importorskip("onnxruntime")
    expected = load_runtime("onnxruntime").compile(uneven_model()).outputs()
    assert adapter.compile(uneven_model()).outputs()[0] == pytest.approx(expected[0], abs=1e-4)


def test_inputs_are_what_they_were_in_every_run(adapter):
    compiled = adapter.compile(uneven_model())
    first = compiled.outputs()[0]
    for _ in range(3):
        assert compiled.outputs()[0] == pytest.approx(first, abs=1e-6)


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


def test_reference_kernel_runs_with_one_thread(adapter):
    compiled = adapter.compile(reference_model(), 1, profiled=True)
    assert compiled.outputs()[0].shape == (1, SIZE)
    product = max(compiled.kernels, key=lambda kernel: kernel.signature.inputs[0].elements)
    assert product.signature.constants[:2] == (False, False)
    assert compiled.profile(3).shape == (3, len(compiled.kernels))


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
