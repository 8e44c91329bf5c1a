"""Small models and the kernels that tract 0.23 runs for them on x86."""

from __future__ import annotations

from tests.fusion.models import CONV, Case, case, f32, i64

MAP = "float[1,16,8,8]"
ROWS = "float[1,8,16]"
POINT = "Conv<kernel_shape=[1,1]>"

TRACT_CASES: tuple[Case, ...] = (
    case(
        "a normalization goes into a convolution, an activation does not",
        "Conv Relu",
        f"{MAP} x", f"{MAP} y", f"a={CONV}(x,w) b=BatchNormalization(a,s,t,m,v) y=Relu(b)",
        w=(16, 16, 3, 3), s=(16,), t=(16,), m=(16,), v=(16,),
    ),
    case(
        "an activation joins a pointwise convolution",
        "Conv+Relu",
        f"{MAP} x", f"{MAP} y", f"a={POINT}(x,w) y=Relu(a)",
        w=(16, 16, 1, 1),
    ),
    case(
        "a residual sum of two pointwise convolutions joins the later one",
        "Conv Relu Conv Conv+Add+Relu",
        f"{MAP} x", f"{MAP} y", f"a={CONV}(x,w) r=Relu(a) b={POINT}(r,u) c={POINT}(x,v) d=Add(c,b) y=Relu(d)",
        w=(16, 16, 3, 3), u=(16, 16, 1, 1), v=(16, 16, 1, 1),
    ),
    case(
        "a residual sum behind another convolution is a loop with its activation",
        "Conv Add+Relu",
        f"{MAP} x", f"{MAP} y", f"a={CONV}(x,w) b=Add(a,x) y=Relu(b)",
        w=(16, 16, 3, 3),
    ),
    case(
        "Swish",
        "Conv Swish",
        f"{MAP} x", f"{MAP} y", f"a={CONV}(x,w) b=Sigmoid(a) y=Mul(a,b)",
        w=(16, 16, 3, 3),
    ),
    case(
        "joined maps before a pointwise convolution",
        "Exp Neg Conv+Relu",
        f"{MAP} x", f"{MAP} y", f"a=Exp(x) b=Neg(x) c=Concat<axis=1>(a,b) d={POINT}(c,w) y=Relu(d)",
        w=(16, 32, 1, 1),
    ),
    case(
        "product with weights, bias and residual sum",
        "Gemm+Add",
        f"{ROWS} x", f"{ROWS} y", "a=MatMul(x,w) b=Add(a,c) y=Add(b,x)",
        w=(16, 16), c=(16,),
    ),
    case(
        "a factor joins a product past views that another product takes up",
        "Gemm+Mul MatMul",
        f"{ROWS} x, float[1,4,4,8] z", "float[1,4,8,8] y",
        "a=MatMul(x,w) b=Reshape(a,s) c=Transpose<perm=[0,2,1,3]>(b) d=Mul(c,k) y=MatMul(d,z)",
        w=(16, 16), s=i64(1, 8, 4, 4), k=f32(0.5),
    ),
    case(
        "views and changes of order are free",
        "Exp MatMul",
        f"{ROWS} x", "float[1,8,8] y", "a=Exp(x) b=Transpose<perm=[0,2,1]>(a) y=MatMul(x,b)",
    ),
    case(
        "a chain runs from its first operand",
        "Add Mul",
        f"{ROWS} x, {ROWS} z", f"{ROWS} y", "a=Add(x,z) y=Mul(z,a)",
    ),
    case(
        "root mean square",
        "RMSNormalization Mul",
        f"{ROWS} x", f"{ROWS} y",
        "q=Pow(x,two) m=ReduceMean(q,k) e=Add(m,eps) r=Sqrt(e) i=Reciprocal(r) n=Mul(x,i) y=Mul(n,g)",
        two=f32(2), k=i64(-1), eps=f32(1e-5), g=(16,),
    ),
)  # fmt: skip
