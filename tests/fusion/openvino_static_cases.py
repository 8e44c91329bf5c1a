"""Small models with static quantization and the kernels that OpenVINO 2026.4 makes of them on a CPU with AVX-512.

Each shows one rule of the modules `quantized_*` and `requantization` of `nnmeter/fusion/passes/openvino`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.fusion.models import CONV, Case, case, f32, i64

Q, DQ = "QuantizeLinear", "DequantizeLinear"

WEIGHTS: dict[str, Any] = {
    "xs": f32(0.05),
    "ys": f32(0.3),
    "ts": f32(0.2),
    "ws": f32(0.02),
    "z0": np.uint8(0),
    "zp": np.uint8(120),
    "zm": np.uint8(128),
    "zq": np.uint8(7),
    "i0": np.int8(0),
    "w2": np.arange(512, dtype=np.int8).reshape(16, 32),
    "w4": np.arange(2304).astype(np.int8).reshape(16, 16, 3, 3),
    "c0": f32(0.7),
    "c1": (16, 1, 1),
    "b": (32,),
    "sc": (32,),
    "zc": np.zeros(32, np.int8),
    "u4": np.arange(2304).astype(np.uint8).reshape(16, 16, 3, 3),
    "bq": np.arange(32, dtype=np.int32),
    "bs": f32(0.001),
    "bz": np.int32(0),
    "sh": i64(1, 8, 4, 4),
    "st": i64(1, 4, 8, 4),
    "zr": np.uint8(7),
    "tt": f32(0.2),
    "w5": np.arange(2304).astype(np.int8).reshape(16, 16, 3, 3)[::-1].copy(),
    "tn": f32(0.2004),
    "sv": i64(8, 16),
    "b2": (32,),
    "s5": i64(1, 2, 8, 8, 8),
    "s4": i64(1, 16, 8, 8),
    "cn": np.arange(-7, 9, dtype=np.float32).reshape(16, 1, 1),
    "gp": np.arange(1, 17, dtype=np.float32),
    "gn": np.arange(-7, 9, dtype=np.float32),
    "b1": (16,),
    "mv": (16,),
    "w6": np.arange(1024).astype(np.int8).reshape(32, 32),
    "s3": i64(1, 64, 32),
    "s6": i64(1, 8, 8, 32),
    "zs": np.uint8(9),
}  # fmt: skip


def quantized_case(
    name: str, kernels: str, inputs: str, outputs: str, body: str, weights: Mapping[str, Any] = {}
) -> Case:
    """`x -> s,z -> e`: x is quantized by scale s and zero point z, and dequantized as e; weights are those it names."""
    pairs = rf"\3q={Q}(\1,\2) \3={DQ}(\3q,\2)"
    body = re.sub(r"(\w+) -> (\w+,\w+) -> (\w+)", pairs, body)
    names = set(re.findall(r"\w+", body))
    known = {**WEIGHTS, **weights}
    return case(name, kernels, inputs, outputs, body, **{key: known[key] for key in known if key in names})


STATIC_CASES: tuple[Case, ...] = (
    quantized_case(
        "a product of integers with a zero point",
        "QuantizeLinear Gemm+QuantizeLinear DequantizeLinear Softmax",
        "float[1,8,16] x", "float[1,8,32] y",
        f"x -> xs,zp -> a v={DQ}(w2,ws,i0) m=MatMul(a,v) m -> ys,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "a product of integers with a scale an output corrects the zero point apart",
        "QuantizeLinear Gemm+Sub+Mul+QuantizeLinear DequantizeLinear Softmax",
        "float[1,8,16] x", "float[1,8,32] y",
        f"x -> xs,zp -> a v={DQ}<axis=1>(w2,sc,zc) m=MatMul(a,v) m -> ys,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "a product of integers and its bias",
        "QuantizeLinear Gemm+Sub+Mul+QuantizeLinear DequantizeLinear Softmax",
        "float[8,16] x", "float[8,32] y",
        f"x -> xs,zp -> a v={DQ}(w2,ws,i0) c={DQ}(bq,bs,bz) m=Gemm(a,v,c) m -> ys,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "a sum with a constant behind a quantized product without a zero point",
        "QuantizeLinear Gemm+QuantizeLinear+Add+QuantizeLinear Softmax",
        "float[1,8,16] x", "float[1,8,32] y",
        f"x -> xs,z0 -> a v={DQ}(w2,ws,i0) m=MatMul(a,v) m -> ts,i0 -> e f=Add(b,e) f -> ys,i0 -> g "
        "y=Softmax(g)",
    ),
    quantized_case(
        "a sum with a constant behind a quantized product with a zero point",
        "QuantizeLinear Gemm+QuantizeLinear QuantizeLinear+Add Softmax",
        "float[1,8,16] x", "float[1,8,32] y",
        f"x -> xs,zp -> a v={DQ}(w2,ws,i0) m=MatMul(a,v) m -> ts,zq -> e f=Add(b,e) f -> ys,zq -> g "
        "y=Softmax(g)",
    ),
    quantized_case(
        "a product of two computed tensors of integers",
        "QuantizeLinear QuantizeLinear MatMul+QuantizeLinear DequantizeLinear Softmax",
        "float[1,4,8,9] x, float[1,4,9,8] z", "float[1,4,8,8] y",
        "x -> xs,z0 -> a z -> ts,i0 -> c m=MatMul(a,c) m -> ys,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "a second factor of unsigned integers around their middle is signed",
        "QuantizeLinear QuantizeLinear MatMul+QuantizeLinear DequantizeLinear Softmax",
        "float[1,4,8,9] x, float[1,4,9,8] z", "float[1,4,8,8] y",
        "x -> xs,z0 -> a z -> ts,zm -> c m=MatMul(a,c) m -> ys,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "a second factor with another zero point is of numbers",
        "QuantizeLinear QuantizeLinear MatMul QuantizeLinear DequantizeLinear Softmax",
        "float[1,4,8,9] x, float[1,4,9,8] z", "float[1,4,8,8] y",
        "x -> xs,z0 -> a z -> ts,zp -> c m=MatMul(a,c) m -> ys,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "a first factor with a zero point is of numbers",
        "DequantizeLinear+QuantizeLinear QuantizeLinear MatMul QuantizeLinear DequantizeLinear Softmax",
        "float[1,4,8,9] x, float[1,4,9,8] z", "float[1,4,8,8] y",
        "x -> xs,zp -> a z -> ts,i0 -> c m=MatMul(a,c) m -> ys,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "a sum of two quantized convolutions",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear Conv+QuantizeLinear+Add+QuantizeLinear "
        "DequantizeLinear Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) w={DQ}(w5,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t uc={CONV}(a,w) uc "
        "-> xs,z0 -> u m=Add(t,u) m -> ys,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "a product of two quantized convolutions",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear Conv+QuantizeLinear "
        "DequantizeLinear+QuantizeLinear+Mul Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) w={DQ}(w5,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t uc={CONV}(a,w) uc "
        "-> xs,z0 -> u m=Mul(t,u) m -> ys,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "a factor of one number between quantizations",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear+QuantizeLinear DequantizeLinear Softmax "
        "ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t m=Mul(t,c0) m -> ys,zq -> e "
        "y=Softmax(e)",
    ),
    quantized_case(
        "a factor of one number between quantizations with a zero point",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear DequantizeLinear+QuantizeLinear Softmax "
        "ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,zp -> t m=Mul(t,c0) m -> ys,zq -> e "
        "y=Softmax(e)",
    ),
    quantized_case(
        "a factor a channel between quantizations",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear+QuantizeLinear DequantizeLinear Softmax "
        "ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t m=Mul(t,c1) m -> ys,zq -> e "
        "y=Softmax(e)",
    ),
    quantized_case(
        "a factor a channel of both signs between quantizations with a zero point",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear DequantizeLinear+QuantizeLinear+Mul Softmax "
        "ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,zp -> t m=Mul(t,cn) m -> ys,zq -> e "
        "y=Softmax(e)",
    ),
    quantized_case(
        "a normalization with fixed statistics between quantizations",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear+QuantizeLinear DequantizeLinear Softmax "
        "ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t m=BatchNormalization(t,gp,b1,mv,mv) "
        "m -> ys,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "a normalization with positive scales beside a convolution",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear QuantizeLinear Conv+QuantizeLinear+Add+QuantizeLinear "
        "DequantizeLinear Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) w={DQ}(w5,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t "
        f"m=BatchNormalization(t,gp,b1,mv,mv) uc={CONV}(t,w) uc -> xs,zp -> u m -> ys,zq -> e n=Add(u,e) "
        "n -> tt,zr -> o y=Softmax(o)",
    ),
    quantized_case(
        "a normalization with scales of both signs beside a convolution",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear QuantizeLinear+Mul Conv+QuantizeLinear+Add+QuantizeLinear "
        "DequantizeLinear Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) w={DQ}(w5,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t "
        f"m=BatchNormalization(t,gn,b1,mv,mv) uc={CONV}(t,w) uc -> xs,zp -> u m -> ys,zq -> e n=Add(u,e) "
        "n -> tt,zr -> o y=Softmax(o)",
    ),
    quantized_case(
        "a sum with a number a channel between quantizations",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear DequantizeLinear+QuantizeLinear Softmax "
        "ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,zp -> t m=Add(t,c1) m -> ys,zq -> e "
        "y=Softmax(e)",
    ),
    quantized_case(
        "quantized twice alike without a zero point",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t t -> ts,z0 -> e y=Softmax(e)",
    ),
    quantized_case(
        "quantized twice nearly alike",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t t -> tn,z0 -> e y=Softmax(e)",
    ),
    quantized_case(
        "quantized twice alike with a zero point",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear QuantizeLinear Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,zq -> t t -> ts,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "quantized twice otherwise",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear DequantizeLinear+QuantizeLinear Softmax "
        "ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,zq -> t t -> ys,zp -> e y=Softmax(e)",
    ),
    quantized_case(
        "quantized with the same zero point by another scale",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear QuantizeLinear Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,zq -> t t -> ys,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "a factor between quantizations that share a zero point",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear QuantizeLinear Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,zq -> t m=Mul(t,c0) m -> ys,zq -> e "
        "y=Softmax(e)",
    ),
    quantized_case(
        "quantized with an equal zero point by another scale",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear DequantizeLinear+QuantizeLinear Softmax "
        "ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,zq -> t t -> ys,zr -> e y=Softmax(e)",
    ),
    quantized_case(
        "quantized twice alike by other constants",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear DequantizeLinear+QuantizeLinear Softmax "
        "ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,zq -> t t -> tt,zr -> e y=Softmax(e)",
    ),
    quantized_case(
        "rounded without a zero point",
        "Exp+QuantizeLinear Softmax",
        "float[1,8,16] x", "float[1,8,16] y",
        "h=Exp(x) h -> ys,i0 -> e y=Softmax(e)",
    ),
    quantized_case(
        "a result of the graph that is rounded",
        "Softmax ReorderInput DequantizeLinear",
        "float[1,8,16] x", "float[1,8,16] y",
        f"h=Softmax(x) r={Q}(h,ys,z0) y={DQ}(r,ys,z0)",
    ),
    quantized_case(
        "Relu before unsigned integers",
        "Exp+QuantizeLinear Softmax",
        "float[1,8,16] x", "float[1,8,16] y",
        "g=Exp(x) h=Relu(g) h -> ys,z0 -> e y=Softmax(e)",
    ),
    quantized_case(
        "Relu before signed integers",
        "Exp+QuantizeLinear+Relu Softmax",
        "float[1,8,16] x", "float[1,8,16] y",
        "g=Exp(x) h=Relu(g) h -> ys,i0 -> e y=Softmax(e)",
    ),
    quantized_case(
        "quantized behind a transpose",
        "Exp+QuantizeLinear Transpose DequantizeLinear Softmax",
        "float[1,8,16] x", "float[1,4,8,4] y",
        "h=Exp(x) r=Reshape(h,sh) t=Transpose<perm=[0,2,1,3]>(r) t -> ys,zp -> e y=Softmax(e)",
    ),
    quantized_case(
        "quantized behind two transposes",
        "Exp+QuantizeLinear Transpose DequantizeLinear Softmax",
        "float[1,8,16] x", "float[1,4,4,8] y",
        "h=Exp(x) r=Reshape(h,sh) t=Transpose<perm=[0,2,1,3]>(r) v=Reshape(t,st) u=Transpose<perm=[0,1,3,2]>(v) "
        "u -> ys,zp -> e y=Softmax(e)",
    ),
    quantized_case(
        "quantized behind a view",
        "Exp DequantizeLinear+QuantizeLinear Softmax",
        "float[1,8,16] x", "float[8,16] y",
        "h=Exp(x) r=Reshape(h,sv) r -> ys,zp -> e y=Softmax(e)",
    ),
    quantized_case(
        "an average of integers",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear ReduceMean+DequantizeLinear+Sigmoid",
        "float[1,16,8,8] x", "float[1,16,1,1] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t g=GlobalAveragePool(t) y=Sigmoid(g)",
    ),
    quantized_case(
        "a normalization of integers",
        "QuantizeLinear Gemm+QuantizeLinear LayerNormalization Add+Mul",
        "float[1,8,16] x", "float[1,8,32] y",
        f"x -> xs,z0 -> a v={DQ}(w2,ws,i0) m=MatMul(a,v) m -> ts,i0 -> e y=LayerNormalization<axis=-1>(e,b,b2)",
    ),
    quantized_case(
        "shuffled channels with quantization between",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear ReorderOutput Transpose ReorderInput "
        "Conv+QuantizeLinear DequantizeLinear Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t r=Reshape(t,s5) r -> ts,z0 -> e "
        f"p=Transpose<perm=[0,2,1,3,4]>(e) p -> ts,z0 -> f k=Reshape(f,s4) k -> ts,z0 -> g oc={CONV}(g,v) oc "
        "-> ys,zq -> o y=Softmax(o)",
    ),
    quantized_case(
        "a convolution of integers alone",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"a={Q}(x,xs,z0) c=QLinear{CONV}(a,xs,z0,w4,ws,i0,ts,z0) e={DQ}(c,ts,z0) y=Softmax(e)",
    ),
    quantized_case(
        "a convolution of unsigned weights",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"a={Q}(x,xs,z0) c=QLinear{CONV}(a,xs,z0,u4,ws,zm,ts,z0) e={DQ}(c,ts,z0) y=Softmax(e)",
    ),
    quantized_case(
        "a nonlinear function of integers and they themselves",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear "
        "Sigmoid+DequantizeLinear+DequantizeLinear+DequantizeLinear+QuantizeLinear+QuantizeLinear+Mul Softmax "
        "ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,zp -> t h=Sigmoid(t) h -> xs,z0 -> g "
        "m=Mul(t,g) m -> ys,zq -> e y=Softmax(e)",
    ),
    quantized_case(
        "a convolution that returns numbers",
        "QuantizeLinear ReorderInput Conv+DequantizeLinear ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) c={CONV}(a,v) r={Q}(c,ts,z0) y={DQ}(r,ts,z0)",
    ),
    quantized_case(
        "a sum of numbers and integers",
        "QuantizeLinear ReorderInput Exp+Mul ReorderInput Conv+QuantizeLinear+Add+Mul Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t h=Exp(x) m=Add(h,t) y=Softmax(m)",
    ),
    quantized_case(
        "a sum of numbers and integers with a zero point",
        "QuantizeLinear ReorderInput Exp+Mul+Sub ReorderInput Conv+QuantizeLinear+Add+Mul Softmax "
        "ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,zq -> t h=Exp(x) m=Add(h,t) y=Softmax(m)",
    ),
    quantized_case(
        "a sum of numbers and integers behind a product of four dimensions, and its normalization past a view",
        "QuantizeLinear Gemm QuantizeLinear Exp+Add+Mul+Sub LayerNormalization Add+Mul",
        "float[1,8,8,16] x, float[1,8,8,32] z", "float[1,64,32] y",
        f"x -> xs,zp -> a v={DQ}(w2,ws,i0) m=MatMul(a,v) m -> ts,zq -> t g=Exp(z) n=Add(g,t) r=Reshape(n,s3) "
        "y=LayerNormalization<axis=-1>(r,b,b2)",
    ),
    quantized_case(
        "a normalization of four dimensions of a sum of numbers and integers past a view",
        "QuantizeLinear Gemm+QuantizeLinear Exp+Add+Mul+Sub ReduceMean+Mul Mul+Sub RMSNormalization Add",
        "float[1,64,16] x, float[1,64,32] z", "float[1,8,8,32] y",
        f"x -> xs,zp -> a v={DQ}(w2,ws,i0) m=MatMul(a,v) m -> ts,zq -> t g=Exp(z) n=Add(g,t) r=Reshape(n,s6) "
        "y=LayerNormalization<axis=-1>(r,b,b2)",
    ),
    quantized_case(
        "a sum of numbers and integers in another such sum",
        "QuantizeLinear Gemm+QuantizeLinear Exp+Add+Mul+Mul+Sub+Sub LayerNormalization QuantizeLinear+Add+Mul "
        "Gemm+QuantizeLinear Add LayerNormalization Add+Mul",
        "float[1,64,16] x, float[1,64,32] z", "float[1,64,32] y",
        f"x -> xs,zp -> a v={DQ}(w2,ws,i0) m=MatMul(a,v) m -> ts,zq -> t g=Exp(z) n=Add(g,t) "
        f"q=LayerNormalization<axis=-1>(n,b,b2) q -> xs,zs -> p w={DQ}(w6,ws,i0) o=MatMul(p,w) o -> tt,zr -> u "
        "k=Add(n,u) y=LayerNormalization<axis=-1>(k,b,b2)",
    ),
    quantized_case(
        "a product of numbers and integers",
        "QuantizeLinear ReorderInput Conv+QuantizeLinear ReorderInput Exp+Mul Softmax ReorderOutput",
        "float[1,16,8,8] x", "float[1,16,8,8] y",
        f"x -> xs,z0 -> a v={DQ}(w4,ws,i0) tc={CONV}(a,v) tc -> ts,z0 -> t h=Exp(x) m=Mul(h,t) y=Softmax(m)",
    ),
)  # fmt: skip
