"""What the adapter of every runtime with a profiler must do; the test of a runtime inherits it and adds its own."""

import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.errors import MeasurementError, ModelError
from nnmeter.lab.measuring.reference import SIZE, reference_model
from nnmeter.lab.runtimes import load_runtime
from nnmeter.lab.runtimes.base import CompiledModel, RuntimeAdapter
from tests.conftest import ZOO
from tests.lab.runtimes.models import free_model, make_model, uneven_model, with_integers


class AdapterContract:
    """Needs a fixture `adapter`.

    Attributes:
        input_types: element types that inputs may have.
        tolerance: of results beside those of ONNX Runtime.
        profiled_runs: that `profile` gives when it is asked for 7, 8 and 3; what it is asked for if None.
        inside: kernels' share of the time of a profiled run, at least and at most.
    """

    input_types = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32)
    tolerance = 1e-4
    profiled_runs: int | None = None
    inside = (0.3, 1.02)

    def test_adapter_and_model_offer_what_they_must(self, adapter):
        assert isinstance(adapter, RuntimeAdapter)
        compiled = adapter.compile(uneven_model())
        assert isinstance(compiled, CompiledModel)
        assert compiled.batch == 1
        compiled.close()

    def test_times_attach_to_the_kernels_that_took_them(self, adapter):
        compiled = adapter.compile(uneven_model(), profiled=True)
        times = compiled.profile(7)
        assert times.shape == (self.profiled_runs or 7, len(compiled.kernels))
        assert (times >= 0).all()
        by_type = dict(zip([k.type for k in compiled.kernels], np.median(times, axis=0), strict=True))
        convolution = max(ms for kind, ms in by_type.items() if "Conv" in kind)
        assert convolution > 4 * next(ms for kind, ms in by_type.items() if "Tanh" in kind)
        assert convolution > 0.5 * sum(by_type.values())
        compiled.close()

    def test_kernels_make_up_the_run(self, adapter):
        compiled = adapter.compile(ZOO / "squeezenet1_1-224.onnx", profiled=True)
        stamps = [time.perf_counter()]
        times_ms = compiled.profile(8, lambda: stamps.append(time.perf_counter()))
        least, most = self.inside
        if self.profiled_runs is None:
            elapsed_ms = (stamps[-1] - stamps[1]) * 1e3  # of all runs but the first, and of little else
            assert least * elapsed_ms < times_ms[1:].sum() < most * elapsed_ms
        else:
            begun = time.perf_counter()
            for _ in range(3):
                compiled.run()
            elapsed_ms = (time.perf_counter() - begun) * 1e3 / 3
            assert least * elapsed_ms < times_ms.mean(axis=0).sum() < most * elapsed_ms
        compiled.close()

    def test_profiling_twice_or_unasked_is_refused(self, adapter):
        compiled = adapter.compile(uneven_model(), profiled=True)
        compiled.profile(2)
        with pytest.raises(MeasurementError, match="profiled=True"):
            compiled.profile(2)
        with pytest.raises(MeasurementError, match="profiled=True"):
            adapter.compile(uneven_model()).profile(2)

    def test_closed_model_says_so(self, adapter):
        compiled = adapter.compile(uneven_model(), profiled=True)
        compiled.close()
        for use in (compiled.run, lambda: compiled.profile(1), lambda: compiled.kernels):
            with pytest.raises(MeasurementError, match="closed"):
                use()

    def test_free_dimensions_are_bound_before_compiling(self, adapter):
        model = with_integers(free_model(), zero=[0], rest=[2, 4])
        compiled = adapter.compile(onnx.ModelProto.FromString(model.SerializeToString()), dims={"batch": 5})
        assert compiled.batch == 5
        assert compiled.outputs()[0].shape == (5, 2, 4)
        assert not {"ShapeOf", "Shape", "Gather", "Concat"} & {kernel.type for kernel in compiled.kernels}
        with pytest.raises(ModelError, match="free dimensions"):
            adapter.compile(model)

    def test_inputs_of_all_types_and_ranks_are_fed(self, adapter):
        nodes = [
            helper.make_node("Cast", ["x"], ["f"], name="cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", ["f", "scale"], ["y"], name="mul"),
        ]
        for kind in self.input_types:
            model = make_model(nodes, [("x", [4, 6], kind), ("scale", [])], [("y", [4, 6])])
            compiled = adapter.compile(model)
            assert compiled.outputs()[0].shape == (4, 6)
            assert np.isfinite(compiled.outputs()[0]).all()
            assert {part for kernel in compiled.kernels for part in kernel.type.split("+")} <= {"Cast", "Mul"}
            compiled.close()

    def test_results_are_those_of_the_model(self, adapter):
        pytest.importorskip("onnxruntime")
        expected = load_runtime("onnxruntime").compile(uneven_model()).outputs()
        assert adapter.compile(uneven_model()).outputs()[0] == pytest.approx(expected[0], abs=self.tolerance)

    def test_inputs_are_what_they_were_in_every_run(self, adapter):
        compiled = adapter.compile(uneven_model())
        first = compiled.outputs()[0]
        for _ in range(3):
            assert compiled.outputs()[0] == pytest.approx(first, abs=1e-6)

    def test_reference_kernel_runs_with_one_thread(self, adapter):
        compiled = adapter.compile(reference_model(), 1)
        assert compiled.outputs()[0].shape == (1, SIZE)
        product = max(compiled.kernels, key=lambda kernel: kernel.signature.inputs[0].elements)
        assert product.signature.constants[:2] == (False, False)
