"""Small models and the kernels that MNN 3.6 runs for them on x86."""

from __future__ import annotations

from tests.fusion.models import CONV, Case, case, f32, i64

MAP = "float[1,16,8,8]"
ROWS = "float[1,8,16]"

MNN_CASES: tuple[Case, ...] = (
    case(
        "activation and normalization into a convolution",
        "ReorderInput Conv+Relu ReorderOutput",
        f"{MAP} x", f"{MAP} y", f"a={CONV}(x,w) b=BatchNormalization(a,s,t,m,v) y=Relu(b)",
        w=(16, 16, 3, 3), s=(16,), t=(16,), m=(16,), v=(16,),
    ),
    case(
        "Clip of 0 and 6 into a convolution",
        "ReorderInput Conv+Clip ReorderOutput",
        f"{MAP} x", f"{MAP} y", f"a={CONV}(x,w) y=Clip(a,lo,hi)",
        w=(16, 16, 3, 3), lo=f32(0), hi=f32(6),
    ),
    case(
        "another Clip stays",
        "ReorderInput Conv Clip ReorderOutput",
        f"{MAP} x", f"{MAP} y", f"a={CONV}(x,w) y=Clip(a,lo,hi)",
        w=(16, 16, 3, 3), lo=f32(0), hi=f32(5),
    ),
    case(
        "residual sum with its activation",
        "ReorderInput Conv+Relu Conv Add+Relu ReorderOutput",
        f"{MAP} x", f"{MAP} y", f"a={CONV}(x,w) b=Relu(a) c={CONV}(b,v) d=Add(c,b) y=Relu(d)",
        w=(16, 16, 3, 3), v=(16, 16, 3, 3),
    ),
    case(
        "Swish",
        "ReorderInput Conv Swish ReorderOutput",
        f"{MAP} x", f"{MAP} y", f"a={CONV}(x,w) b=Sigmoid(a) y=Mul(a,b)",
        w=(16, 16, 3, 3),
    ),
    case(
        "squeeze and excitation",
        "ReorderInput Conv+Relu GlobalAveragePool Conv+Relu Conv Sigmoid Mul ReorderOutput",
        f"{MAP} x", f"{MAP} y",
        f"a={CONV}(x,w) b=Relu(a) p=GlobalAveragePool(b) q=Conv<kernel_shape=[1,1]>(p,u) r=Relu(q) "
        "s=Conv<kernel_shape=[1,1]>(r,v) t=Sigmoid(s) y=Mul(b,t)",
        w=(16, 16, 3, 3), u=(4, 16, 1, 1), v=(16, 4, 1, 1),
    ),
    case(
        "product with weights and bias",
        "ReorderInput Gemm ReorderOutput",
        f"{ROWS} x", "float[1,8,32] y", "a=MatMul(x,w) y=Add(a,c)",
        w=(16, 32), c=(32,),
    ),
    case(
        "a product of two computed matrices",
        "Transpose MatMul",
        f"{ROWS} x, float[1,8,16] z", "float[1,8,8] y", "a=Transpose<perm=[0,2,1]>(z) y=MatMul(x,a)",
    ),
    case(
        "a chain that moves is one kernel",
        "Exp Transpose Add",
        f"{ROWS} x, float[16,8] z", "float[16,8] y", "a=Exp(x) b=Transpose<perm=[0,2,1]>(a) c=Reshape(b,s) y=Add(c,z)",
        s=i64(16, 8),
    ),
    case(
        "a convolution in groups takes its data apart itself",
        "ReorderInput Conv Conv Reshape Conv ReorderOutput",
        f"{MAP} x", f"{MAP} y",
        f"a={CONV}(x,u) b=Conv<kernel_shape=[3,3],pads=[1,1,1,1],group=2>(a,w) y={CONV}(b,v)",
        u=(16, 16, 3, 3), w=(16, 8, 3, 3), v=(16, 16, 3, 3),
    ),
    case(
        "decomposed normalization",
        "LayerNormalization",
        f"{ROWS} x", f"{ROWS} y",
        "m=ReduceMean(x,k) d=Sub(x,m) q=Pow(d,two) v=ReduceMean(q,k) e=Add(v,eps) r=Sqrt(e) n=Div(d,r) "
        "s=Mul(n,g) y=Add(s,b)",
        k=i64(-1), two=f32(2), eps=f32(1e-5), g=(16,), b=(16,),
    ),
)  # fmt: skip
