"""Small models and the kernels that OpenVINO 2026.4 makes of them on a CPU with AVX-512."""

from __future__ import annotations

import numpy as np

from tests.fusion.models import CONV, Case, case, f32, i64

POINTWISE = "Conv<kernel_shape=[1,1]>"
MAP = "float[1,16,8,8]"
ROWS = "float[1,8,16]"

OPENVINO_CASES: tuple[Case, ...] = (
    case(
        "activation into a convolution",
        "ReorderInput Conv+Relu ReorderOutput",
        f"{MAP} x", f"{MAP} y", f"a={CONV}(x,w) y=Relu(a)",
        w=(16, 16, 3, 3),
    ),
    case(
        "what a residual was added to is copied before a sum writes over it",
        "ReorderInput Conv+Relu Conv Conv+Add+Relu ReorderInput Conv+Relu Add Conv ReorderOutput",
        f"{MAP} x", f"{MAP} y",
        f"o={CONV}(x,w) r=Relu(o) a={CONV}(r,w1) b={CONV}(r,w2) s=Add(a,b) t=Relu(s) c={CONV}(r,w3) d=Relu(c) "
        f"e=Add(t,d) y={CONV}(e,w4)",
        **dict.fromkeys(("w", "w1", "w2", "w3", "w4"), (16, 16, 3, 3)),
    ),
    case(
        "a sum that writes over its other input copies nothing",
        "ReorderInput Conv+Relu Conv Conv+Add+Relu Conv+Relu Add Conv ReorderOutput",
        f"{MAP} x", f"{MAP} y",
        f"o={CONV}(x,w) r=Relu(o) a={CONV}(r,w1) b={CONV}(r,w2) s=Add(a,b) t=Relu(s) c={CONV}(r,w3) d=Relu(c) "
        f"e=Add(d,t) y={CONV}(e,w4)",
        **dict.fromkeys(("w", "w1", "w2", "w3", "w4"), (16, 16, 3, 3)),
    ),
    case(
        "a factor a place before a window as large as the map",
        "ReorderInput Conv",
        "float[1,16,3,3] x", "float[1,8,1,1] y", "a=Div(x,c) y=Conv<kernel_shape=[3,3]>(a,w)",
        c=(3, 3), w=(8, 16, 3, 3),
    ),
    case(
        "a factor a place before a smaller window stays outside",
        "Mul ReorderInput Conv ReorderOutput",
        f"{MAP} x", f"{MAP} y", f"a=Mul(x,c) y={CONV}(a,w)",
        c=(8, 8), w=(16, 16, 3, 3),
    ),
    case(
        "a quotient by channel before a convolution",
        "ReorderInput Conv ReorderOutput",
        f"{MAP} x", f"{MAP} y", f"a=Div(x,c) y={CONV}(a,w)",
        c=(16, 1, 1), w=(16, 16, 3, 3),
    ),
    case(
        "bias and BatchNormalization are part of a convolution",
        "ReorderInput Conv+Swish ReorderOutput",
        f"{MAP} x", f"{MAP} y",
        f"a={CONV}(x,w) b=BatchNormalization(a,s,t,m,v) c=Sigmoid(b) y=Mul(b,c)",
        w=(16, 16, 3, 3), s=(16,), t=(16,), m=(16,), v=(16,),
    ),
    case(
        "residual into the convolution that the sum reads first",
        "ReorderInput Conv+Relu Conv+Relu Conv+Add+Relu ReorderOutput",
        f"{MAP} x", f"{MAP} y",
        f"a={CONV}(x,w) b=Relu(a) c={CONV}(b,u) d=Relu(c) e={CONV}(d,v) f=Add(e,b) y=Relu(f)",
        w=(16, 16, 3, 3), u=(16, 16, 3, 3), v=(16, 16, 3, 3),
    ),
    case(
        "a residual that is still needed is added outside",
        "ReorderInput Conv+Relu Conv Add+Relu Concat ReorderOutput",
        f"{MAP} x", "float[1,32,8,8] y",
        f"a={CONV}(x,w) b=Relu(a) c={CONV}(b,v) d=Add(c,b) e=Relu(d) y=Concat<axis=1>(e,b)",
        w=(16, 16, 3, 3), v=(16, 16, 3, 3),
    ),
    case(
        "a bias that two convolutions share stays outside",
        "ReorderInput Conv Conv Add+Relu Add+Relu Concat ReorderOutput",
        f"{MAP} x", "float[1,32,8,8] y",
        f"a={CONV}(x,w,b) c=Relu(a) d={CONV}(x,v,b) e=Relu(d) y=Concat<axis=1>(c,e)",
        w=(16, 16, 3, 3), v=(16, 16, 3, 3), b=(16,),
    ),
    case(
        "squeeze and excitation",
        "ReorderInput Conv+Relu ReduceMean Conv+Relu Conv+Sigmoid Mul ReorderOutput",
        f"{MAP} x", f"{MAP} y",
        f"a={CONV}(x,w) b=Relu(a) p=GlobalAveragePool(b) q={POINTWISE}(p,u) r=Relu(q) s={POINTWISE}(r,v) t=Sigmoid(s) "
        "y=Mul(b,t)",
        w=(16, 16, 3, 3), u=(4, 16, 1, 1), v=(16, 4, 1, 1),
    ),
    case(
        "product with weights, bias and activation",
        "Gemm+Relu",
        f"{ROWS} x", "float[1,8,32] y", "a=MatMul(x,w) b=Add(a,c) y=Relu(b)",
        w=(16, 32), c=(32,),
    ),
    case(
        "scale and offset of a normalization run in one loop",
        "LayerNormalization Add+Mul",
        f"{ROWS} x", f"{ROWS} y", "y=LayerNormalization<axis=-1>(x,g,b)",
        g=(16,), b=(16,),
    ),
    case(
        "normalization of the last of four dimensions",
        "ReduceMean Sub RMSNormalization Add",
        "float[1,4,4,16] x", "float[1,4,4,16] y", "y=LayerNormalization<axis=-1>(x,g,b)",
        g=(16,), b=(16,),
    ),
    case(
        "attention",
        "Gemm Gemm Gemm Attention+Transpose+Transpose+Transpose Transpose",
        "float[1,8,16] x", "float[1,8,4,4] y",
        "q=MatMul(x,wq) k=MatMul(x,wk) v=MatMul(x,wv) q1=Reshape(q,s) k1=Reshape(k,s) v1=Reshape(v,s) "
        "q2=Transpose<perm=[0,2,1,3]>(q1) k2=Transpose<perm=[0,2,3,1]>(k1) v2=Transpose<perm=[0,2,1,3]>(v1) "
        "a=MatMul(q2,k2) p=Softmax<axis=-1>(a) o=MatMul(p,v2) y=Transpose<perm=[0,2,1,3]>(o)",
        wq=(16, 16), wk=(16, 16), wv=(16, 16), s=i64(1, 8, 4, 4),
    ),
    case(
        "a scale moves up to the product behind which things only move",
        "Gemm+Mul Transpose",
        f"{ROWS} x", "float[1,16,8] y", "a=MatMul(x,w) b=Transpose<perm=[0,2,1]>(a) y=Mul(b,c)",
        w=(16, 16), c=f32(0.25),
    ),
    case(
        "one loop with two results",
        "Add+Mul+Relu Softmax",
        f"{ROWS} x, {ROWS} z", f"{ROWS} p, {ROWS} y", "a=Add(x,z) b=Mul(a,z) y=Relu(b) p=Softmax<axis=-1>(a)",
    ),
    case(
        "pieces of the outermost dimension lie in place",
        "Transpose Mul Add",
        "float[1,8,2,16] x", "float[1,8,1,16] y",
        "t=Transpose<perm=[2,0,1,3]>(x) a,b=Split<axis=0,num_outputs=2>(t) c=Mul(a,k) d=Transpose<perm=[1,2,0,3]>(c) "
        "e=Transpose<perm=[1,2,0,3]>(b) y=Add(d,e)",
        k=(1, 1, 1, 16),
    ),
    case(
        "tokens are cast and looked up",
        "Cast Gather Add",
        "int64[1,8] i", "float[1,8,16] y", "a=Gather(t,i) y=Add(a,p)",
        t=(10, 16), p=(8, 16),
    ),
    case(
        "from a map to rows without a reorder",
        "ReorderInput Conv LayerNormalization Add+Mul",
        "float[1,3,8,8] x", "float[1,64,16] y",
        f"a={CONV}(x,w) b=Reshape(a,s) c=Transpose<perm=[0,2,1]>(b) y=LayerNormalization<axis=-1>(c,g,o)",
        w=(16, 3, 3, 3), g=(16,), o=(16,), s=i64(1, 16, 64),
    ),
    case(
        "convolutions of a split are one with groups",
        "ReorderInput Conv ReorderOutput",
        f"{MAP} x", f"{MAP} y",
        f"a,b=Split<axis=1,num_outputs=2>(x) c={CONV}(a,w) d={CONV}(b,v) y=Concat<axis=1>(c,d)",
        w=(8, 8, 3, 3), v=(8, 8, 3, 3),
    ),
    case(
        "shuffled channels",
        "ReorderInput Conv ShuffleChannels Conv ReorderOutput",
        f"{MAP} x", f"{MAP} y",
        f"a={POINTWISE}(x,w) b=Reshape(a,s) c=Transpose<perm=[0,2,1,3,4]>(b) d=Reshape(c,t) y={POINTWISE}(d,v)",
        w=(16, 16, 1, 1), v=(16, 16, 1, 1), s=i64(1, 2, 8, 8, 8), t=i64(1, 16, 8, 8),
    ),
    case(
        "small products one behind the other are one kernel",
        "Gemm+Gemm+Relu",
        "float[4,16] x", "float[4,8] y", "a=Gemm(x,w,b) c=Relu(a) y=Gemm(c,v,d)",
        w=(16, 32), b=(32,), v=(32, 8), d=(8,),
    ),
    case(
        "the stride of a pointwise convolution moves to the one before",
        "ReorderInput Conv+Relu Conv ReorderOutput",
        f"{MAP} x", "float[1,32,4,4] y", f"a={CONV}(x,w) b=Relu(a) y=Conv<kernel_shape=[1,1],strides=[2,2]>(b,v)",
        w=(16, 16, 3, 3), v=(32, 16, 1, 1),
    ),
    case(
        "a piece in place is copied before it is written over",
        "Transpose Mul ReorderInput Softmax Add",
        "float[1,8,2,16] x", "float[8,16] y",
        "t=Transpose<perm=[2,0,1,3]>(x) a=Gather<axis=0>(t,i) b=Gather<axis=0>(t,j) c=Mul(a,k) d=Softmax<axis=-1>(b) "
        "e=Reshape(c,s) f=Reshape(d,s) y=Add(e,f)",
        i=np.int64(0), j=np.int64(1), k=f32(2.0), s=i64(8, 16),
    ),
)  # fmt: skip
