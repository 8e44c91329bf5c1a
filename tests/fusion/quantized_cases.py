"""What ONNX Runtime 1.32 makes of small quantized models on a CPU with AVX-512, seen in its own dumps.

The lists of kernels are fixed expectations; `test_truth.py` compares with the runtime itself where it is installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fusion.models import Case, case, f32, i64

Q, DQ = "QuantizeLinear", "DequantizeLinear"
WEIGHTS: dict[str, Any] = {
    "xs": f32(0.1), "xz": np.uint8(128), "ys": f32(0.2), "yz": np.uint8(0), "ws": f32(0.01), "wz": np.int8(0),
    "sz": np.int8(0), "w2": np.zeros((16, 8), np.int8), "w4": np.zeros((16, 16, 3, 3), np.int8),
}  # fmt: skip
IN = f"a={Q}(x,xs,xz) b={DQ}(a,xs,xz)"
SIGNED = f"a={Q}(x,xs,sz) b={DQ}(a,xs,sz)"
OUT = f"z={Q}(e,ys,yz) y={DQ}(z,ys,yz)"
SAME = f"z={Q}(e,xs,xz) y={DQ}(z,xs,xz)"
IMAGE, ROWS = "float[1,16,8,8] x", "float[64,16] x"


def _case(name: str, kernels: str, inputs: str, outputs: str, body: str, **weights: Any) -> Case:
    return case(f"quantized {name}", kernels, inputs, outputs, body, 17, **{**WEIGHTS, **weights})


QUANTIZED_CASES = [
    _case(
        "convolutions that share an input",
        f"{Q} Transpose QLinearConv QLinearConv QLinearAdd Transpose {DQ}",
        IMAGE,
        "float[1,16,8,8] y",
        f"{IN} w={DQ}(w4,ws,wz) c=Conv<pads=[1,1,1,1]>(b,w) d={Q}(c,ys,yz) f={DQ}(d,ys,yz) "
        f"v={DQ}(w5,ws,wz) g=Conv<pads=[1,1,1,1]>(b,v) h={Q}(g,xs,xz) i={DQ}(h,xs,xz) e=Add(f,i) {OUT}",
        w5=np.ones((16, 16, 3, 3), np.int8),
    ),
    _case(
        "convolution with a float bias",
        f"{Q} Transpose QLinearConv Transpose {DQ}",
        IMAGE,
        "float[1,16,8,8] y",
        f"{IN} w={DQ}(w4,ws,wz) e=Conv<pads=[1,1,1,1]>(b,w,bias) {OUT}",
        bias=(16,),
    ),
    _case(
        "chain of moves with other parameters at its end",
        f"{Q} {DQ} Transpose {Q} Reshape Transpose {DQ}",
        ROWS,
        "float[32,4,8] y",
        f"{IN} t=Transpose<perm=[1,0]>(b) r=Reshape(t,shape) e=Transpose<perm=[2,0,1]>(r) {OUT}",
        shape=i64(4, 8, 32),
    ),
    _case(
        "move before an output",
        f"{Q} Reshape {DQ}",
        ROWS,
        "float[32,32] y",
        f"{IN} y=Reshape(b,shape)",
        shape=i64(32, 32),
    ),
    _case(
        "choice of a constant",
        f"{Q} QLinearWhere {DQ}",
        f"{ROWS}, bool[64,16] c",
        "float[64,16] y",
        f"{IN} e=Where(c,k,b) {OUT}",
        k=f32(0),
    ),
    _case("nearest resize", f"{Q} Resize {DQ}", IMAGE, "float[1,16,16,16] y",
          f'{IN} e=Resize<mode="nearest">(b,,sc) {SAME}', sc=f32([1, 1, 2, 2])),
    _case("linear resize", f"{Q} {DQ} Resize {Q} {DQ}", IMAGE, "float[1,16,16,16] y",
          f'{IN} e=Resize<mode="linear">(b,,sc) {SAME}', sc=f32([1, 1, 2, 2])),
    _case("largest of a row", f"{Q} ArgMax Cast", ROWS, "float[64,1] y", f"{IN} c=ArgMax<axis=1>(b) y=Cast<to=1>(c)"),
    _case("weights of a product only", "MatMulNBits", ROWS, "float[64,8] y", f"w={DQ}(w2,ws,wz) y=MatMul(x,w)"),
    _case("weights of a product and bias", "MatMulNBits", ROWS, "float[64,8] y",
          f"w={DQ}(w2,ws,wz) c=MatMul(x,w) y=Add(c,bias)", bias=(8,)),
    _case("product with a float bias and result", f"{Q} {DQ} {DQ} Gemm", ROWS, "float[64,8] y",
          f"{IN} w={DQ}(w2,ws,wz) c=MatMul(b,w) y=Add(c,bias)", bias=(8,)),
    _case("twice", f"{Q} {DQ} Exp", ROWS, "float[64,16] y",
          f"{IN} c={Q}(b,ys,yz) d={DQ}(c,ys,yz) y=Exp(d)"),
    _case("signed with two readers", f"{Q} {DQ} {DQ} Exp Neg Sub", ROWS, "float[64,16] y",
          f"{SIGNED} c=Exp(b) d=Neg(b) y=Sub(c,d)"),
]  # fmt: skip
