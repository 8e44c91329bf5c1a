"""Every adapter works with more than one thread, and binds free dimensions alike."""

import os
from collections import Counter

import numpy as np
import onnx
import pytest

from nnmeter.lab.measuring.protocol import measure_models
from nnmeter.lab.runtimes import load_runtime
from tests.conftest import ZOO
from tests.lab.runtimes.models import free_model, make_model, with_integers

MODEL = ZOO / "shufflenet_v2_x0_5-224.onnx"


@pytest.fixture(params=["onnxruntime", "openvino"])
def adapter(request):
    pytest.importorskip(request.param)
    return load_runtime(request.param)


@pytest.mark.parametrize(
    "threads", [1, pytest.param(2, marks=pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="has one core"))]
)
def test_kernels_profile_and_run_with_threads(adapter, threads):
    (measured,) = measure_models(
        [MODEL], adapter, threads, passes=1, seconds_per_pass=0.01, profile_runs=3, reference_ms=1.0
    )
    assert measured.threads == threads
    assert measured.latency_ms > 0
    assert len(measured.kernel_ms) == len(measured.kernels) > 50
    assert measured.kernel_runs == 3
    assert all(time_ms >= 0 for time_ms in measured.kernel_ms)
    timed = sum(time_ms > 0 for time_ms in measured.kernel_ms)
    assert timed > 0.9 * len(measured.kernels), "profilers count whole microseconds, and few kernels take less than one"


def test_threads_change_no_kernel(adapter):
    if (os.cpu_count() or 1) < 2:
        pytest.skip("has one core")
    kinds = []
    for threads in (1, 2):
        compiled = adapter.compile(MODEL, threads)
        kinds.append(Counter(kernel.signature for kernel in compiled.kernels))
        compiled.close()
    assert kinds[0] == kinds[1]


def test_bound_model_is_compiled_as_a_static_one(adapter):
    free = with_integers(free_model(), zero=[0], rest=[2, 4])
    static = onnx.ModelProto.FromString(free.SerializeToString())
    static.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 5
    bound, fixed = adapter.compile(free, dims={"batch": 5}), adapter.compile(static)
    assert [k.signature for k in bound.kernels] == [k.signature for k in fixed.kernels]
    assert bound.outputs()[0].shape == (5, 2, 4)


def test_scalar_inputs_are_fed(adapter):
    nodes = [onnx.helper.make_node("Mul", ["x", "scale"], ["y"], name="mul")]
    compiled = adapter.compile(make_model(nodes, [("x", [4, 6]), ("scale", [])], [("y", [4, 6])]), profiled=True)
    assert compiled.outputs()[0].shape == (4, 6)
    assert np.isfinite(compiled.profile(2)).all()
