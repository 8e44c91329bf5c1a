"""Groups of dequantize, operator and quantize."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.kernels.kernel import Kernel
from tests.fusion.models import f32, make_graph

RULES = load_rules("onnxruntime_cpu")
Q, DQ = "QuantizeLinear", "DequantizeLinear"
SCALES: dict[str, Any] = {
    "xs": f32(0.1), "xz": np.uint8(128), "ys": f32(0.2), "yz": np.uint8(0), "ws": f32(0.01), "wz": np.int8(0),
}  # fmt: skip


def kernels(text: str, **weights: Any) -> list[Kernel]:
    return detect_kernels(make_graph(text, **{**SCALES, **weights}), RULES)


def types(found: list[Kernel]) -> list[str]:
    return [kernel.type for kernel in found]


def test_convolution_becomes_an_integer_kernel_with_channels_last() -> None:
    text = f"""agraph (float[1,16,8,8] x) => (float[1,32,8,8] y) {{
        a={Q}(x,xs,xz) b={DQ}(a,xs,xz) w={DQ}(wq,ws,wz) c=Conv<kernel_shape=[3,3],pads=[1,1,1,1]>(b,w)
        d={Q}(c,ys,yz) y={DQ}(d,ys,yz) }}"""
    found = kernels(text, wq=np.zeros((32, 16, 3, 3), np.int8))
    assert types(found) == [Q, "Transpose", "QLinearConv", "Transpose", DQ]
    data = found[2].signature.inputs[0]
    assert data is not None and data.shape == (1, 8, 8, 16)
    assert len(found[2].nodes) == 4


def test_matrix_product_becomes_an_integer_kernel() -> None:
    text = f"""agraph (float[4,16] x) => (float[4,8] y) {{
        a={Q}(x,xs,xz) b={DQ}(a,xs,xz) w={DQ}(wq,ws,wz) c=MatMul(b,w) d={Q}(c,ys,yz) y={DQ}(d,ys,yz) }}"""
    assert types(kernels(text, wq=np.zeros((16, 8), np.int8))) == [Q, "QLinearMatMul", DQ]


def test_operator_that_only_moves_data_runs_on_integers() -> None:
    text = f"""agraph (float[4,16] x) => (float[16,4] y) {{
        a={Q}(x,xs,xz) b={DQ}(a,xs,xz) c=Transpose<perm=[1,0]>(b) d={Q}(c,xs,xz) y={DQ}(d,xs,xz) }}"""
    found = kernels(text)
    assert types(found) == [Q, "Transpose", DQ]
    data = found[1].signature.inputs[0]
    assert data is not None and data.dtype == "uint8"


def test_other_parameters_after_a_move_forbid_it() -> None:
    text = f"""agraph (float[4,16] x) => (float[16,4] y) {{
        a={Q}(x,xs,xz) b={DQ}(a,xs,xz) c=Transpose<perm=[1,0]>(b) d={Q}(c,ys,yz) y={DQ}(d,ys,yz) }}"""
    assert types(kernels(text)) == [Q, DQ, "Transpose", Q, DQ]


def test_activation_that_quantizing_implies_is_dropped() -> None:
    text = f"agraph (float[4,16] x) => (float[4,16] y) {{ a=Exp(x) b=Relu(a) c={Q}(b,ys,yz) y={DQ}(c,ys,yz) }}"
    assert types(kernels(text)) == ["Exp", Q, DQ]
    text = f"agraph (float[4,16] x) => (float[4,16] y) {{ a=Exp(x) b=Relu(a) c={Q}(b,xs,xz) y={DQ}(c,xs,xz) }}"
    assert types(kernels(text)) == ["Exp", "Relu", Q, DQ]


def test_each_reader_left_over_has_a_dequantize_of_its_own() -> None:
    text = f"agraph (uint8[4,16] x) => (float[4,16] y) {{ a={DQ}(x,xs,xz) b=Exp(a) c=Neg(a) y=Sub(b,c) }}"
    assert sorted(types(kernels(text))) == sorted([DQ, DQ, "Exp", "Neg", "Sub"])


def test_dynamic_quantization_becomes_one_kernel() -> None:
    text = """agraph (float[4,16] x) => (float[4,8] y) {
        q,s,z=DynamicQuantizeLinear(x) i=MatMulInteger(q,wq,z,wz) f=Cast<to=1>(i) m=Mul(s,ws) g=Mul(f,m) y=Add(g,b) }"""
    found = kernels(text, wq=np.zeros((16, 8), np.int8), b=(8,))
    assert types(found) == ["DynamicQuantizeMatMul"]
    assert len(found[0].nodes) == 6


def biased(bias_scale: float) -> list[str]:
    text = f"""agraph (float[1,16,8,8] x) => (float[1,32,8,8] y) {{
        a={Q}(x,xs,xz) b={DQ}(a,xs,xz) w={DQ}(wq,ws,wz) c={DQ}(bq,bs,bz) d=Conv<kernel_shape=[1,1]>(b,w,c)
        e={Q}(d,ys,yz) y={DQ}(e,ys,yz) }}"""
    weights = {"wq": np.zeros((32, 16, 1, 1), np.int8), "bq": np.zeros(32, np.int32), "bz": np.int32(0)}
    return types(kernels(text, **weights, bs=f32(bias_scale)))


def test_bias_of_another_scale_keeps_a_convolution_in_floats() -> None:
    right = 0.1 * 0.01
    assert "QLinearConv" in biased(right)
    assert "QLinearConv" in biased(1.005 * right)
    assert "QLinearConv" not in biased(1.1 * right)


def test_split_runs_on_integers_if_each_part_is_quantized_alike() -> None:
    text = f"""agraph (float[4,16] x) => (float[4,8] y, float[4,8] z) {{
        a={Q}(x,xs,xz) b={DQ}(a,xs,xz) c,d=Split<axis=1>(b,parts) e={Q}(c,xs,xz) f={Q}(d,SCALE,xz)
        g={DQ}(e,xs,xz) h={DQ}(f,SCALE,xz) y=Exp(g) z=Exp(h) }}"""
    parts = np.array([8, 8])
    same = kernels(text.replace("SCALE", "xs"), parts=parts)
    assert [k.signature.inputs[0].dtype for k in same if k.type == "Split" and k.signature.inputs[0]] == ["uint8"]
    other = kernels(text.replace("SCALE", "ys"), parts=parts)
    assert [k.signature.inputs[0].dtype for k in other if k.type == "Split" and k.signature.inputs[0]] == ["float32"]


def test_bias_joins_a_product_by_blocks() -> None:
    text = """agraph (float[4,64] x) => (float[4,8] y) {
        m=com.microsoft.MatMulNBits<K=64,N=8,bits=4,block_size=32>(x,w,s) y=Add(m,b) }"""
    weights = {"w": np.zeros((8, 2, 16), np.uint8), "s": np.ones((8, 2), np.float32), "b": np.ones(8, np.float32)}
    found = kernels(text, **weights)
    assert types(found) == ["MatMulNBits"]
    assert found[0].signature.inputs[5] is not None
