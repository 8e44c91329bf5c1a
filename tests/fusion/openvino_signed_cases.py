"""Small models whose convolutions have signed data, and the kernels that OpenVINO 2026.4 makes of them without AMX.

What it makes of them with AMX was not seen: there, the rules are those that fit the models of `data/zoo-quantized`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.fusion.models import CONV, Case
from tests.fusion.openvino_static_cases import DQ, quantized_case

MAP = "float[1,16,8,8]"
WEIGHTS: dict[str, Any] = {
    "iq": np.int8(7),
    "im": np.int8(-128),
    "w1": np.arange(256).astype(np.int8).reshape(16, 16, 1, 1),
    "w3": np.arange(144).astype(np.int8).reshape(16, 1, 3, 3),
    "c2": (16,),
}
BEGINNING = "QuantizeLinear ReorderInput "
END = " DequantizeLinear ReorderOutput Softmax"
POOL = "MaxPool<kernel_shape=[2,2],strides=[2,2]>"
V = f"v={DQ}(w4,ws,i0)"
W = f"w={DQ}(w5,ws,i0)"


@dataclass(frozen=True)
class SignedCase:
    """A model, what is made of it without AMX, and the same with AMX."""

    case: Case
    with_amx: str

    def __str__(self) -> str:
        return str(self.case)


def _signed(
    name: str, kernels: str, body: str, with_amx: str = "", inputs: str = f"{MAP} x", outputs: str = f"{MAP} y"
) -> SignedCase:
    """The kernels without AMX; those with AMX are the same if not given."""
    return SignedCase(quantized_case(name, kernels, inputs, outputs, body, WEIGHTS), with_amx or kernels)


SIGNED_CASES: tuple[SignedCase, ...] = (
    _signed(
        "a convolution",
        f"{BEGINNING}Conv+QuantizeLinear{END}",
        f"x -> xs,i0 -> a {V} c={CONV}(a,v) c -> ys,zq -> e y=Softmax(e)",
    ),
    _signed(
        "a convolution of groups",
        f"{BEGINNING}Conv+QuantizeLinear{END}",
        f"x -> xs,i0 -> a v={DQ}(w3,ws,i0) c=Conv<kernel_shape=[3,3],pads=[1,1,1,1],group=16>(a,v) c -> ys,zq -> e "
        "y=Softmax(e)",
    ),
    _signed(
        "two convolutions",
        f"{BEGINNING}Conv+QuantizeLinear Conv+QuantizeLinear{END}",
        f"x -> xs,i0 -> a {V} {W} c={CONV}(a,v) c -> ts,i0 -> t d={CONV}(t,w) d -> ys,zq -> e y=Softmax(e)",
    ),
    _signed(
        "Relu between convolutions",
        f"{BEGINNING}Conv+Relu+QuantizeLinear Conv+QuantizeLinear{END}",
        f"x -> xs,i0 -> a {V} {W} c={CONV}(a,v) r=Relu(c) r -> ts,i0 -> t d={CONV}(t,w) d -> ys,zq -> e y=Softmax(e)",
    ),
    _signed(
        "a pool between convolutions",
        f"{BEGINNING}Conv+QuantizeLinear MaxPool Conv+QuantizeLinear{END}",
        f"x -> xs,i0 -> a {V} {W} c={CONV}(a,v) c -> ts,i0 -> t p={POOL}(t) d={CONV}(p,w) d -> ys,zq -> e y=Softmax(e)",
        outputs="float[1,16,4,4] y",
    ),
    _signed(
        "a quantized pool between convolutions",
        f"{BEGINNING}Conv+QuantizeLinear MaxPool QuantizeLinear Conv+QuantizeLinear{END}",
        f"x -> xs,i0 -> a {V} {W} c={CONV}(a,v) c -> ts,i0 -> t p={POOL}(t) p -> ts,i0 -> q d={CONV}(q,w) "
        "d -> ys,zq -> e y=Softmax(e)",
        f"{BEGINNING}Conv+QuantizeLinear MaxPool Conv+QuantizeLinear{END}",
        outputs="float[1,16,4,4] y",
    ),
    _signed(
        "a sum before a convolution",
        f"{BEGINNING}Conv+QuantizeLinear Conv+QuantizeLinear+Add+QuantizeLinear Conv+QuantizeLinear{END}",
        f"x -> xs,i0 -> a {V} {W} c={CONV}(a,v) c -> ts,i0 -> t d={CONV}(a,w) d -> xs,i0 -> u m=Add(t,u) "
        f"m -> tt,i0 -> s k={CONV}(s,v) k -> ys,zq -> e y=Softmax(e)",
    ),
    _signed(
        "a sum that writes numbers",
        f"{BEGINNING}Conv+QuantizeLinear ReorderInput Conv+QuantizeLinear+Add+QuantizeLinear Softmax ReorderOutput",
        f"x -> xs,i0 -> a {V} {W} c={CONV}(a,v) c -> ts,i0 -> t d={CONV}(a,w) d -> xs,i0 -> u m=Add(t,u) "
        "m -> ys,i0 -> e y=Softmax(e)",
        f"{BEGINNING}Conv+QuantizeLinear Conv+QuantizeLinear+Add+QuantizeLinear Softmax ReorderOutput",
    ),
    _signed(
        "data of a convolution and a sum",
        f"{BEGINNING}Conv+QuantizeLinear Conv+QuantizeLinear QuantizeLinear+Add Conv+QuantizeLinear{END}",
        f"x -> xs,i0 -> a {V} {W} c={CONV}(a,v) c -> ts,i0 -> t d={CONV}(t,w) d -> xs,i0 -> u m=Add(u,t) "
        f"m -> tt,i0 -> s k={CONV}(s,v) k -> ys,zq -> e y=Softmax(e)",
    ),
    _signed(
        "a concatenation before a convolution",
        f"{BEGINNING}Conv+QuantizeLinear Conv+QuantizeLinear Concat Conv+QuantizeLinear{END}",
        f"x -> xs,i0 -> a {V} {W} c={CONV}(a,v) c -> ts,i0 -> t d={CONV}(a,w) d -> ts,i0 -> u j=Concat<axis=2>(t,u) "
        f"k={CONV}(j,v) k -> ys,zq -> e y=Softmax(e)",
        inputs="float[1,16,4,8] x",
    ),
    _signed(
        "a quantized concatenation before a convolution",
        f"{BEGINNING}Conv+QuantizeLinear+QuantizeLinear Conv+QuantizeLinear+QuantizeLinear Concat Conv+QuantizeLinear"
        f"{END}",
        f"x -> xs,i0 -> a {V} {W} c={CONV}(a,v) c -> ts,i0 -> t d={CONV}(a,w) d -> xs,i0 -> u j=Concat<axis=2>(t,u) "
        f"j -> ts,i0 -> q k={CONV}(q,v) k -> ys,zq -> e y=Softmax(e)",
        f"{BEGINNING}Conv+QuantizeLinear Conv+QuantizeLinear+QuantizeLinear Concat Conv+QuantizeLinear{END}",
        inputs="float[1,16,4,8] x",
    ),
    _signed(
        "an average before a convolution",
        f"{BEGINNING}Conv+QuantizeLinear ReduceMean+QuantizeLinear Conv+QuantizeLinear DequantizeLinear Softmax",
        f"x -> xs,i0 -> a {V} w={DQ}(w1,ws,i0) c={CONV}(a,v) c -> ts,i0 -> t p=GlobalAveragePool(t) p -> ts,i0 -> q "
        "d=Conv(q,w) d -> ys,zq -> e y=Softmax(e)",
        outputs="float[1,16,1,1] y",
    ),
    _signed(
        "quantized behind a transpose of integers",
        "Exp+QuantizeLinear+QuantizeLinear+Add Conv+QuantizeLinear Softmax ReorderOutput",
        f"g=Exp(x) h=Add(g,c2) h -> xs,i0 -> a t=Transpose<perm=[0,3,1,2]>(a) t -> xs,i0 -> s {V} c={CONV}(s,v) "
        "c -> ys,i0 -> e y=Softmax(e)",
        "Exp+QuantizeLinear+Add Conv+QuantizeLinear Softmax ReorderOutput",
        inputs="float[1,8,8,16] x",
    ),
    _signed(
        "a product",
        "QuantizeLinear Gemm+QuantizeLinear DequantizeLinear Softmax",
        f"x -> xs,i0 -> a v={DQ}(w2,ws,i0) m=MatMul(a,v) m -> ys,zq -> e y=Softmax(e)",
        inputs="float[1,8,16] x",
        outputs="float[1,8,32] y",
    ),
    _signed(
        "a convolution of data with a zero point",
        f"{BEGINNING}Conv+QuantizeLinear{END}",
        f"x -> xs,iq -> a {V} c={CONV}(a,v) c -> ys,zq -> e y=Softmax(e)",
        f"ReorderInput QuantizeLinear+Sub Conv+QuantizeLinear ReorderInput{END}",
    ),
    _signed(
        "Relu before integers whose zero point is the least",
        f"{BEGINNING}Conv+QuantizeLinear Conv+QuantizeLinear{END}",
        f"x -> xs,im -> a {V} {W} c={CONV}(a,v) r=Relu(c) r -> ts,im -> t d={CONV}(t,w) d -> ys,zq -> e y=Softmax(e)",
        f"ReorderInput QuantizeLinear+Sub Conv+Relu+QuantizeLinear+Sub Conv+QuantizeLinear ReorderInput{END}",
    ),
)
