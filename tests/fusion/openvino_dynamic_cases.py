"""Small models with dynamic quantization and the kernels that OpenVINO 2026.4 makes of them on a CPU with AVX-512."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fusion.models import Case, case, f32

MAP = "float[1,16,8,8]"
ROWS = "float[1,8,16]"
RANGE = "q,s,z=DynamicQuantizeLinear(x)"
# The loop that makes scale, zero point and integers of the largest and the smallest number, besides the first product.
RANGES = "ReduceMax ReduceMin"
INTEGERS = "Cast Cast Mul+Sub ReorderInput"
QUANTIZED = "Pow+Pow+Clip+Clip+Add+Cast+Cast+Cast+Div+Div+Max+Min+Mul+Mul+Mul"

DYNAMIC: dict[str, Any] = {"u": np.int8(0), "w": np.ones((16, 32), np.int8), "t": f32(0.01)}

DYNAMIC_CASES: tuple[Case, ...] = (
    case(
        "a product of integers whose scale every run computes",
        f"{RANGES} {QUANTIZED}+Mul+Mul+Round+Round+Sub {INTEGERS} Gemm ReorderInput Cast "
        "ReorderOutput Add+Mul",
        f"{ROWS} x", "float[1,8,32] y",
        f"{RANGE} i=MatMulInteger(q,w,z,u) f=Cast<to=1>(i) c=Mul(s,t) m=Mul(f,c) y=Add(b,m)",
        **DYNAMIC, b=(32,),
    ),
    case(
        "two products share the data of integers",
        f"{RANGES} {QUANTIZED}+Mul+Mul+Round+Round+Sub {INTEGERS} Gemm Gemm ReorderInput "
        "ReorderInput Cast Cast ReorderOutput ReorderOutput Add+Mul+Mul+Mul",
        f"{ROWS} x", "float[1,8,32] y",
        f"{RANGE} i=MatMulInteger(q,w,z,u) f=Cast<to=1>(i) c=Mul(s,t) m=Mul(f,c) "
        "j=MatMulInteger(q,v,z,u) g=Cast<to=1>(j) d=Mul(s,r) n=Mul(g,d) y=Add(m,n)",
        **DYNAMIC, v=np.full((16, 32), 2, np.int8), r=f32(0.02),
    ),
    case(
        "what is quantized is scaled in the loop that computes it",
        f"Mul+Relu {RANGES} {QUANTIZED}+Mul+Round+Round+Sub {INTEGERS} Gemm ReorderInput "
        "Cast ReorderOutput Mul",
        f"{ROWS} n", "float[1,8,32] y",
        f"x=Relu(n) {RANGE} i=MatMulInteger(q,w,z,u) f=Cast<to=1>(i) c=Mul(s,t) y=Mul(f,c)",
        **DYNAMIC,
    ),
    case(
        "a convolution of integers whose scale every run computes",
        f"{RANGES} {QUANTIZED}+Mul+Mul+Round+Round+Sub {INTEGERS} Conv ReorderInput Cast "
        "ReorderOutput Add+Mul",
        f"{MAP} x", f"{MAP} y",
        f"{RANGE} i=ConvInteger<kernel_shape=[3,3],pads=[1,1,1,1]>(q,w,z,u) f=Cast<to=1>(i) c=Mul(s,t) m=Mul(f,c) "
        "y=Add(m,b)",
        w=np.ones((16, 16, 3, 3), np.int8), u=np.int8(0), t=f32(0.01), b=(1, 16, 1, 1),
    ),
)  # fmt: skip
