import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import onnx
from onnx import TensorProto, helper

from nnmeter.errors import MeasurementError, ModelError
from nnmeter.lab.runtimes import load_runtime
from nnmeter.lab.runtimes.base import CompiledModel
from tests.lab.runtimes.models import detector_model, with_integers

ZOO = Path(__file__).parents[3] / "data" / "zoo"


def make_model(nodes, inputs, outputs, weights=(), opset=17):
    def info(name, shape, kind=TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, kind, shape)

    initializers = []
    for name, shape in weights:
        values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        initializers.append(onnx.numpy_helper.from_array(values * np.float32(0.05), name))
    graph = helper.make_graph(nodes, "g", [info(*i) for i in inputs], [info(*o) for o in outputs], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.fixture
def adapter():
    return load_runtime("onnxruntime")


@pytest.fixture
def uneven_model():
    """A small Softmax, a large convolution that fuses its Relu, and a small Tanh."""
    return make_model(
        [
            helper.make_node("Softmax", ["x"], ["s"], name="light_before"),
            helper.make_node("Conv", ["s", "w"], ["c"], name="heavy", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"], name="fused"),
            helper.make_node("GlobalAveragePool", ["r"], ["p"], name="pool"),
            helper.make_node("Tanh", ["p"], ["y"], name="light_after"),
        ],
        [("x", [1, 64, 32, 32])],
        [("y", [1, 128, 1, 1])],
        [("w", (128, 64, 3, 3))],
    )


def test_kernels_are_those_that_the_runtime_made(adapter, uneven_model):
    compiled = adapter.compile(uneven_model)
    assert isinstance(compiled, CompiledModel)
    types = [kernel.type for kernel in compiled.kernels]
    assert "Relu" not in types
    assert any("Conv+Relu" in kind for kind in types)
    assert compiled.batch == 1
    compiled.close()


def test_times_attach_to_the_kernels_that_took_them(adapter, uneven_model):
    compiled = adapter.compile(uneven_model, profiled=True)
    for _ in range(3):
        compiled.run()
    times = compiled.profile(7)
    assert times.shape == (7, len(compiled.kernels))
    assert (times > 0).all()
    by_type = dict(zip([k.type for k in compiled.kernels], np.median(times, axis=0), strict=True))
    convolution = next(ms for kind, ms in by_type.items() if "Conv" in kind)
    assert convolution > 10 * by_type["Tanh"]
    assert convolution > 0.5 * sum(by_type.values())
    compiled.close()


def test_models_with_branches_loops_and_functions_are_profiled(adapter):
    """Nested nodes count in their parent, and what data decide has the size that was seen."""
    compiled = adapter.compile(detector_model(), profiled=True)
    bounds = {kernel.name: kernel.signature for kernel in compiled.kernels}
    assert bounds["nms"].outputs[0].shape == (10, 3)  # at most five boxes of each of two classes
    times = compiled.profile(5)
    kernels = {kernel.name: kernel for kernel in compiled.kernels}
    assert times.shape == (5, len(kernels))
    assert {"If", "Loop", "Scan", "NonMaxSuppression"} <= {kernel.type for kernel in kernels.values()}
    assert not any("/" in name for name in kernels)
    seen = kernels["nms"].signature.outputs[0].shape[0]
    assert 0 < seen <= 10
    assert kernels["column"].signature.outputs[0].shape == (seen,)
    compiled.close()


def test_a_run_that_fails_is_an_error_of_measuring(adapter):
    """An index that is out of range, as another model's data may be."""
    gather = helper.make_node("Gather", ["w", "place"], ["y"], name="gather")
    total = helper.make_node("Mul", ["x", "far"], ["place"], name="far")
    model = make_model([total, gather], [("x", [1], TensorProto.INT64)], [("y", [1, 4])], [("w", (3, 4))])
    compiled = adapter.compile(with_integers(model, far=[7]))
    with pytest.raises(MeasurementError, match=r"cannot run it .*out of"):
        compiled.run()


def test_every_profiled_run_is_followed_by_the_callback(adapter, uneven_model):
    compiled = adapter.compile(uneven_model, profiled=True)
    calls = []
    compiled.profile(4, lambda: calls.append(1))
    assert len(calls) == 4


def test_profiling_twice_or_unasked_is_refused(adapter, uneven_model):
    compiled = adapter.compile(uneven_model, profiled=True)
    compiled.profile(2)
    with pytest.raises(MeasurementError, match="profiled=True"):
        compiled.profile(2)
    with pytest.raises(MeasurementError, match="profiled=True"):
        adapter.compile(uneven_model).profile(2)


def test_closed_model_says_so(adapter, uneven_model):
    compiled = adapter.compile(uneven_model, profiled=True)
    compiled.close()
    with pytest.raises(MeasurementError, match="closed"):
        compiled.run()


def test_nothing_is_left_on_disk(adapter, uneven_model, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    compiled = adapter.compile(uneven_model, profiled=True)
    compiled.profile(2)
    compiled.close()
    adapter.compile(uneven_model, profiled=True).close()
    assert os.listdir(tmp_path) == []


def test_free_dimensions_are_bound(adapter):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = make_model(nodes, [("x", ["batch", 16])], [("y", ["batch", 8])], [("w", (16, 8))])
    compiled = adapter.compile(model, dims={"batch": 5})
    assert compiled.batch == 5
    assert compiled.outputs()[0].shape == (5, 8)
    assert compiled.kernels[0].signature.outputs[0].shape == (5, 8)
    model = make_model(nodes, [("x", ["batch", 16])], [("y", ["batch", 8])], [("w", (16, 8))])
    with pytest.raises(ModelError, match="free dimensions"):
        adapter.compile(model)


def test_refused_model_is_named_with_the_reason(adapter, tmp_path):
    model = make_model([helper.make_node("MatMul", ["x", "x"], ["y"])], [("x", [2, 3])], [("y", None)])
    path = tmp_path / "bad.onnx"
    onnx.save(model, path)
    with pytest.raises((MeasurementError, ModelError), match=r"bad\.onnx|MatMul"):
        adapter.compile(path)


def test_executed_graph_has_static_shapes_and_the_runtimes_operators(adapter):
    graph = adapter.executed_graph(ZOO / "squeezenet1_1-224.onnx")
    domains = {node.domain for node in graph.nodes}
    assert all(name in graph.types for node in graph.nodes for name in node.outputs if name)
    assert len(graph.nodes) < 65
    assert domains


@pytest.mark.parametrize(
    "name",
    [
        "bert-tiny",
        # before 1.30 the profiler names HardSigmoids that the dump has not
        pytest.param("mobilenet_v3_small-224", marks=pytest.mark.needs_onnxruntime((1, 30))),
        "shufflenet_v2_x0_5-224",
        "squeezenet1_1-224",
        "resnet10t-176",
    ],
)
def test_model_without_weights_runs_on_ordinary_numbers(adapter, name):
    compiled = adapter.compile(ZOO / f"{name}.onnx", profiled=True)
    for output in compiled.outputs():
        assert np.isfinite(output).all()
        magnitudes = np.abs(output[output != 0])
        assert (magnitudes > np.finfo(np.float32).tiny).all()
    times = compiled.profile(2)
    assert times.shape[1] == len(compiled.kernels)
    compiled.close()


@pytest.mark.parametrize("channels", [8, 24, 1000])
def test_pools_in_blocks_that_no_convolution_is_near_are_profiled(adapter, channels):
    """Of 24 and 1000 channels blocks of 8 are whole, those of 16 are not: what is executed is the machine's."""
    pool = helper.make_node("MaxPool", ["x"], ["p"], "pool", kernel_shape=[2, 2])
    relu = helper.make_node("Relu", ["p"], ["y"], "relu")
    model = make_model([pool, relu], [("x", [1, channels, 8, 8])], [("y", [1, channels, 7, 7])])
    compiled = adapter.compile(model, profiled=True)
    assert compiled.profile(2).shape == (2, len(compiled.kernels))
    compiled.close()


def test_models_with_sequences_are_profiled(adapter):
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["s"]),
        helper.make_node("SequenceErase", ["s", "one"], ["t"]),
        helper.make_node("SequenceAt", ["t", "one"], ["e"]),
        helper.make_node("Relu", ["e"], ["y"], "relu"),
    ]
    model = with_integers(make_model(nodes, [("x", [4, 64])], [("y", [1, 64])]), one=1)
    compiled = adapter.compile(model, profiled=True)
    assert (compiled.profile(3) > 0).all()
    assert [kernel.signature.type for kernel in compiled.kernels][-1] == "Relu"
    compiled.close()


def test_a_profile_that_is_cut_off_is_an_error_of_the_system_that_names_it(adapter, uneven_model):
    """ONNX Runtime does not say that it could not write: the disk was full."""
    compiled = adapter.compile(uneven_model, profiled=True)
    session = compiled._session

    class Cut:
        def run(self, *arguments):
            return session.run(*arguments)

        def end_profiling(self):
            path = session.end_profiling()
            os.truncate(path, os.path.getsize(path) // 2)
            return path

    compiled._session = Cut()
    with pytest.raises(OSError, match="wrote only a part of its profile") as caught:
        compiled.profile(3)
    assert str(caught.value.filename).endswith(".json")
