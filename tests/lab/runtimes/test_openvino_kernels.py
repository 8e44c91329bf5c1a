"""Kernels read from the runtime graphs of models that OpenVINO compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

ov = pytest.importorskip("openvino")

from nnmeter.binding.bind import bind_shapes  # noqa: E402
from nnmeter.formats import read_model  # noqa: E402
from nnmeter.graph.ir import TensorType  # noqa: E402
from nnmeter.kernels.features import kernel_features  # noqa: E402
from nnmeter.kernels.kernel import Kernel  # noqa: E402
from nnmeter.lab.runtimes.openvino_kernels import kernels_of_runtime_model  # noqa: E402
from tests.fusion.models import CONV, i64, make_graph, make_model  # noqa: E402

SETTINGS = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERF_COUNT": True}


def compile_text(text: str, **weights: Any) -> Any:
    return ov.Core().compile_model(
        ov.Core().read_model(make_model(text, **weights).SerializeToString()), "CPU", SETTINGS
    )


def read_kernels(text: str, **weights: Any) -> list[tuple[Kernel, str]]:
    compiled = compile_text(text, **weights)
    return kernels_of_runtime_model(compiled.get_runtime_model(), make_graph(text, **weights))


BLOCK = (
    f"agraph (float[1,3,16,16] x) => (float[1,10] y) {{ a={CONV}(x,w,b) c=Relu(a) d={CONV}(x,v) e=Add(d,c) f=Relu(e) "
    "g=GlobalAveragePool(f) h=Flatten(g) y=Gemm<transB=1>(h,u,t) }"
)
WEIGHTS: dict[str, Any] = {"w": (16, 3, 3, 3), "b": (16,), "v": (16, 3, 3, 3), "u": (10, 16), "t": (10,)}


def test_kernels_come_in_order_of_execution_with_what_is_fused() -> None:
    types = [kernel.type for kernel, _ in read_kernels(BLOCK, **WEIGHTS)]
    assert types == ["ReorderInput", "Conv+Relu", "Conv+Add+Relu", "ReduceMean", "Gemm"]


# Large enough for the profiler's clock, which takes what lasts less than a microsecond for what was not run.
LARGE = "agraph (float[128,2048] x) => (float[128,2048] y) {"
SCATTERED = LARGE + " r=Relu(x) s=ScatterElements<axis=0>(r,i,u) y=Softmax(s) }"
POINTS = LARGE + " r=Relu(x) s=ScatterND(r,i,u) y=Softmax(s) }"
SCALED = LARGE + " r=Relu(x) s=LpNormalization<axis=1,p=2>(r) y=Softmax(s) }"
DYNAMIC = (
    "agraph (float[128,1,2048] x) => (float[128,1,16] y) { q,s,z=DynamicQuantizeLinear(x) m=MatMulInteger(q,w,z) "
    "f=Cast<to=1>(m) y=Mul(f,s) }"
)


@pytest.mark.parametrize(
    ("text", "weights", "layer"),
    [
        (BLOCK, WEIGHTS, "Conv+Relu"),
        (SCATTERED, {"i": np.array([[0] * 2048, [2] * 2048]), "u": (2, 2048)}, "ScatterElements"),
        (POINTS, {"i": np.array([[0], [2]]), "u": (2, 2048)}, "ScatterND"),
        (SCALED, {}, "LpNormalization"),
        (DYNAMIC, {"w": np.ones((2048, 16), np.int8)}, "ReorderInput"),
    ],
)
def test_kernels_are_exactly_what_the_profiler_says_was_executed(
    text: str, weights: dict[str, Any], layer: str
) -> None:
    compiled = compile_text(text, **weights)
    request = compiled.create_infer_request()
    request.infer([np.ones(tuple(port.shape), np.float32) for port in compiled.inputs])
    executed = {info.node_name for info in request.get_profiling_info() if info.status == info.Status.EXECUTED}
    kernels = kernels_of_runtime_model(compiled.get_runtime_model(), make_graph(text, **weights))
    assert {name for _, name in kernels} == executed
    assert layer in [kernel.type for kernel, _ in kernels]


def test_a_convolution_has_its_window_weights_bias_and_residual() -> None:
    kernels = {kernel.type: kernel.signature for kernel, _ in read_kernels(BLOCK, **WEIGHTS)}
    first, second = kernels["Conv+Relu"], kernels["Conv+Add+Relu"]
    assert first.op_type == "Conv"
    assert first.inputs == tuple(TensorType("float32", shape) for shape in ((1, 3, 16, 16), (16, 3, 3, 3), (16,)))
    assert first.constants == (False, True, True)
    assert first.attribute("kernel_shape") == (3, 3)
    assert first.attribute("pads") == (1, 1, 1, 1)
    assert first.attribute("layout") == "acdb"
    assert second.inputs[2] is None
    assert second.inputs[3] == TensorType("float32", (1, 16, 16, 16))


def test_weights_of_groups_have_the_shape_that_they_have_in_the_model() -> None:
    text = "agraph (float[1,16,8,8] x) => (float[1,16,8,8] y) { y=Conv<group=4>(x,w) }"
    signatures = [kernel.signature for kernel, _ in read_kernels(text, w=(16, 4, 1, 1))]
    (convolution,) = [signature for signature in signatures if signature.op_type == "Conv"]
    assert convolution.inputs[1] == TensorType("float32", (16, 4, 1, 1))
    assert convolution.attribute("group") == 4


def test_a_product_with_weights_is_a_gemm_of_any_rank() -> None:
    text = "agraph (float[2,8,16] x) => (float[2,8,32] y) { a=MatMul(x,w) y=Add(a,b) }"
    ((kernel, _),) = read_kernels(text, w=(16, 32), b=(32,))
    assert kernel.type == "Gemm"
    assert kernel.signature.inputs == tuple(TensorType("float32", shape) for shape in ((2, 8, 16), (32, 16), (32,)))
    assert kernel.signature.attribute("transB") == 1


def test_a_decomposed_activation_has_its_name() -> None:
    text = (
        "agraph (float[1,8,16] x) => (float[1,8,32] y) { a=MatMul(x,w) b=Add(a,c) d=Div(b,r) e=Erf(d) f=Add(e,o) "
        "g=Mul(b,f) y=Mul(g,h) }"
    )
    scalars = {"r": np.float32(2**0.5), "o": np.float32(1), "h": np.float32(0.5)}
    ((kernel, _),) = read_kernels(text, w=(16, 32), c=(32,), **scalars)
    assert kernel.type == "Gemm+Gelu"
    assert len(kernel.nodes) == 2


def test_attention_is_one_kernel_with_the_values_third_and_the_mask_last() -> None:
    text = (
        "agraph (float[1,2,8,4] q, float[1,2,8,4] k, float[1,2,8,4] v) => (float[1,2,8,4] y) "
        "{ t=Transpose<perm=[0,1,3,2]>(k) a=MatMul(q,t) b=Add(a,m) p=Softmax<axis=-1>(b) y=MatMul(p,v) }"
    )
    ((kernel, _),) = read_kernels(text, m=(8, 8))
    assert kernel.type == "Attention+Add"
    assert [t.shape for t in kernel.signature.inputs if t] == [(1, 2, 8, 4), (1, 2, 8, 4), (1, 2, 8, 4), (8, 8)]


def test_element_wise_kernels_are_named_by_their_costliest_operator() -> None:
    text = "agraph (float[1,8,16] x, float[1,8,16] z) => (float[1,8,16] y) { a=Add(x,z) b=Exp(a) y=Mul(b,c) }"
    ((kernel, _),) = read_kernels(text, c=(1, 1, 16))
    assert kernel.type == "Exp+Add+Mul"
    assert kernel.signature.inputs[-1] == TensorType("float32", (16,))


def test_views_and_pieces_in_place_are_no_kernels() -> None:
    text = (
        "agraph (float[2,8,16] x) => (float[8,16] y) { r=Relu(x) a,b=Split<axis=0,num_outputs=2>(r) c=Reshape(a,s) "
        "d=Reshape(b,s) e=Softmax<axis=-1>(c) y=MatMul(e,g) }"
    )
    types = [kernel.type for kernel, _ in read_kernels(text, s=i64(8, 16), g=(16, 16))]
    assert types == ["Relu", "Softmax", "Gemm"]


def test_every_kernel_has_features() -> None:
    for kernel, _ in read_kernels(BLOCK, **WEIGHTS):
        assert all(np.isfinite(kernel_features(kernel.signature).values))


def test_the_loop_that_makes_integers_has_one_name_whether_the_operator_is_named_or_not() -> None:
    text = "agraph (float[8,16] x) => (uint8[8,16] q, float s, uint8 z) { q,s,z=DynamicQuantizeLinear(x) }"
    types = []
    for name in ("", "first"):
        model = make_model(text)
        model.graph.node[0].name = name
        compiled = ov.Core().compile_model(ov.Core().read_model(model.SerializeToString()), "CPU", SETTINGS)
        kernels = kernels_of_runtime_model(compiled.get_runtime_model(), bind_shapes(read_model(model)))
        types.append([kernel.type for kernel, _ in kernels])
        assert kernels[-1][0].nodes == (bind_shapes(read_model(model)).nodes[0].name,)
    assert types[0] == types[1]
    assert "DynamicQuantizeLinear" not in types[0][-1]
