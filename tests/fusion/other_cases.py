"""What ONNX Runtime 1.32 makes of small models of other operators on a CPU with AVX-512, seen in its own dumps.

The lists of kernels are fixed expectations; `test_truth.py` compares with the runtime itself where it is installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fusion.models import Case, case, f32, i64

X32, Y32 = "float[1,32,16,16] x", "float[1,32,16,16] y"
MAX = np.array([2**63 - 1])
X3, Y3 = "float[4,8,16] x", "float[4,8,16] y"
GELU = {"r": f32(2**0.5), "one": f32(1), "h": f32(0.5)}
TANH = {"three": f32(3), "k1": f32(0.044715), "k2": f32(0.7978845608), "one": f32(1), "h": f32(0.5)}
NORM = {"two": f32(2), "eps": f32(1e-5), "g": (16,), "b": (16,)}
_NORM = (
    "m=ReduceMean<axes=[-1]>({0}) d=Sub({0},m) q=Pow(d,two) v=ReduceMean<axes=[-1]>(q) e=Add(v,eps) s=Sqrt(e) "
    "n=Div(d,s) o=Mul(n,g)"
)

TRANSFORMERS = [
    case(
        "Gemm and Relu",
        "Gemm+Relu Gemm",
        "float[4,16] x",
        "float[4,16] y",
        "a=Gemm(x,w) b=Relu(a) y=Gemm(b,w)",
        w=(16, 16),
    ),
    case("Gemm and Clip", "Gemm Clip", "float[4,16] x", "float[4,16] y", "a=Gemm(x,w) y=Clip(a)", w=(16, 16)),
    case(
        "MatMul and Add of two dimensions",
        "Gemm",
        "float[4,16] x",
        "float[4,16] y",
        "a=MatMul(x,w) y=Add(a,b)",
        w=(16, 16),
        b=(16,),
    ),
    case(
        "MatMul and Add of three dimensions",
        "Reshape Gemm Reshape",
        X3,
        Y3,
        "a=MatMul(x,w) y=Add(a,b)",
        w=(16, 16),
        b=(16,),
    ),
    case("MatMul and Add of a matrix", "MatMul Add", X3, Y3, "a=MatMul(x,w) y=Add(a,b)", w=(16, 16), b=(8, 16)),
    case(
        "GELU, half last",
        "Exp Gelu Neg",
        X3,
        Y3,
        "z=Exp(x) a=Div(z,r) b=Erf(a) c=Add(b,one) d=Mul(z,c) e=Mul(d,h) y=Neg(e)",
        17,
        **GELU,
    ),
    case(
        "GELU, half first",
        "Exp Gelu Neg",
        X3,
        Y3,
        "z=Exp(x) a=Div(z,r) b=Erf(a) c=Add(b,one) d=Mul(z,h) e=Mul(d,c) y=Neg(e)",
        17,
        **GELU,
    ),
    case(
        "GELU in an order that is not known",
        "Exp Div Erf Add Mul Mul Neg",
        X3,
        Y3,
        "z=Exp(x) a=Div(z,r) b=Erf(a) c=Add(b,one) d=Mul(h,c) e=Mul(z,d) y=Neg(e)",
        17,
        **GELU,
    ),
    case(
        "bias and GELU",
        "BiasGelu Neg",
        X3,
        Y3,
        "z=Add(x,b) a=Div(z,r) e=Erf(a) c=Add(e,one) d=Mul(z,c) f=Mul(d,h) y=Neg(f)",
        17,
        b=(16,),
        **GELU,
    ),
    case(
        "GELU by tanh",
        "Exp FastGelu Neg",
        X3,
        Y3,
        "z=Exp(x) a=Pow(z,three) b=Mul(a,k1) c=Add(z,b) d=Mul(c,k2) t=Tanh(d) u=Add(t,one) v=Mul(z,h) w=Mul(v,u) "
        "y=Neg(w)",
        17,
        **TANH,
    ),
    case("SiLU", "Exp QuickGelu", X3, Y3, "z=Exp(x) a=Sigmoid(z) y=Mul(z,a)"),
    case(
        "layer normalization",
        "Exp LayerNormalization Neg",
        X3,
        Y3,
        f"z=Exp(x) {_NORM.format('z')} p=Add(o,b) y=Neg(p)",
        13,
        **NORM,
    ),
    case(
        "root mean square normalization",
        "Exp SimplifiedLayerNormalization Neg",
        X3,
        Y3,
        "z=Exp(x) q=Pow(z,two) v=ReduceMean<axes=[-1]>(q) e=Add(v,eps) s=Sqrt(e) n=Div(z,s) o=Mul(n,g) y=Neg(o)",
        13,
        two=f32(2),
        eps=f32(1e-5),
        g=(16,),
    ),
    case(
        "skip and layer normalization",
        "Exp SkipLayerNormalization Neg",
        f"{X3}, float[4,8,16] r",
        Y3,
        "z=Exp(x) s=Add(z,r) n=LayerNormalization(s,g,b) y=Neg(n)",
        17,
        g=(16,),
        b=(16,),
    ),
    case(
        "a sum that is read twice",
        "Exp Add LayerNormalization Neg Neg",
        f"{X3}, float[4,8,16] r",
        f"{Y3}, float[4,8,16] w",
        "z=Exp(x) s=Add(z,r) n=LayerNormalization(s,g,b) y=Neg(n) w=Neg(s)",
        17,
        g=(16,),
        b=(16,),
    ),
    case(
        "scale after a product",
        "FusedMatMul Softmax",
        f"{X3}, float[4,16,8] w",
        "float[4,8,8] y",
        "a=MatMul(x,w) b=Div(a,r) y=Softmax(b)",
        r=f32(8),
    ),
    case(
        "scale before a product",
        "FusedMatMul Softmax",
        f"{X3}, float[4,16,8] w",
        "float[4,8,8] y",
        "a=Mul(x,r) b=MatMul(a,w) y=Softmax(b)",
        r=f32(8),
    ),
    case(
        "transpose before a product",
        "FusedMatMul Softmax",
        f"{X3}, float[4,8,16] w",
        "float[4,8,8] y",
        "t=Transpose<perm=[0,2,1]>(w) b=MatMul(x,t) y=Softmax(b)",
    ),
]

X4, Y4 = "float[2,3,4,5] x", "float[2,3,4,5] y"
NOTHING = "Exp Neg"


def _between(name: str, kernels: str, body: str, outputs: str = Y4, inputs: str = X4, **weights: Any) -> Case:
    return case(name, kernels, inputs, outputs, f"a=Exp(x) {body} y=Neg(b)", **weights)


SPELLINGS = [
    case(
        "gelu by tanh of products, each number a constant of its own",
        "FastGelu LpNormalization",
        X3,
        Y3,
        "h2=Mul(x,h) r=Mul(x,k2) s=Mul(x,k1) q=Mul(s,x) i=Add(q,one) a=Mul(r,i) t=Tanh(a) p=Add(t,unit) g=Mul(h2,p) "
        "y=LpNormalization(g)",
        unit=f32(1),
        **TANH,
    ),
    *(
        case(f"gelu of {name}, half last", kernels, f"{X3}, float[4,8,16] z", Y3, text, **GELU)
        for name, kernels, text in (
            ("a sum", "Add Gelu", "g=Add(x,z) d=Div(g,r) e=Erf(d) p=Add(e,one) m=Mul(g,p) y=Mul(m,h)"),
            (
                "a product",
                "Mul Div Erf Add Mul Mul",
                "g=Mul(x,z) d=Div(g,r) e=Erf(d) p=Add(e,one) m=Mul(g,p) y=Mul(m,h)",
            ),
        )
    ),
    case(
        "equal small constants are one",
        "Tile Softmax LpNormalization",
        "float[1,2,1] x",
        "float[3,2,2] y, float[3,2,2] v",
        "a=Tile(x,p) b=Tile(x,q) y=Softmax(a) v=LpNormalization(b)",
        p=i64(3, 1, 2),
        q=i64(3, 1, 2),
    ),
]

_ASKED = "t=Sigmoid(a) r=Mul(t,t) s=Shape(r) u=ConstantOfShape(s)"
CLEANING = [
    _between("identity", NOTHING, "b=Identity(a)"),
    _between("dropout", NOTHING, "b=Dropout(a)"),
    _between("cast to the same type", NOTHING, "b=Cast<to=1>(a)"),
    _between("cast there and back", NOTHING, "c=Cast<to=11>(a) b=Cast<to=1>(c)"),
    _between("cast that loses digits", "Exp Cast Cast Neg", "c=Cast<to=10>(a) b=Cast<to=1>(c)"),
    _between("sum with zero", NOTHING, "b=Add(a,c)", c=f32(0)),
    _between("sum with nearly zero", "Exp Add Neg", "b=Add(a,c)", c=f32(1e-6)),
    _between("product with one", NOTHING, "b=Mul(c,a)", c=f32(1)),
    _between("operators of which the shape alone is read", "Exp Add Neg", f"{_ASKED} b=Add(a,u)"),
    _between("the number of elements", "Exp Size Cast Add Neg", "n=Size(a) c=Cast<to=1>(n) b=Add(a,c)"),
    case(
        "transposed convolution and normalization",
        "ConvTranspose",
        "float[1,8,4,4] x",
        "float[1,6,6,6] y",
        "a=ConvTranspose<group=2>(x,w) y=BatchNormalization(a,s,s,s,s)",
        w=(8, 3, 3, 3),
        s=(6,),
    ),
    _between("slice of everything", NOTHING, "b=Slice(a,s,e,ax)", s=i64(0), e=MAX, ax=i64(1)),
    _between("slice by the size", "Exp Slice Neg", "b=Slice(a,s,e,ax)", s=i64(0), e=i64(3), ax=i64(1)),
    _between("expand to its own shape", NOTHING, "b=Expand(a,s)", s=i64(1, 1, 1, 1)),
    _between("reshape to its own shape", "Exp Reshape Neg", "b=Reshape(a,s)", s=i64(2, 3, 4, 5)),
    _between(
        "reshape of a reshape",
        "Exp Reshape Neg",
        "c=Reshape(a,s) b=Reshape(c,t)",
        "float[6,20] y",
        s=i64(2, 12, 5),
        t=i64(6, 20),
    ),
    _between(
        "reshape of a reshape that allows zero",
        "Exp Reshape Reshape Neg",
        "c=Reshape<allowzero=1>(a,s) b=Reshape(c,t)",
        "float[6,20] y",
        s=i64(2, 12, 5),
        t=i64(6, 20),
    ),
    _between(
        "shape arithmetic",
        "Exp Reshape Neg",
        "s=Shape(a) t=Gather(s,i) u=Concat<axis=0>(t,m) b=Reshape(a,u)",
        "float[2,60] y",
        i=i64(0),
        m=i64(-1),
    ),
    _between("equal operators", "Exp Add Neg", "c=Exp(x) b=Add(a,c)"),
    _between("weights-only operators", "Exp Add Neg", "c=Mul(w,w) b=Add(a,c)", w=(4, 5)),
    _between("Relu before Clip", "Exp Clip Neg", "c=Relu(a) b=Clip(c,lo,hi)", lo=f32(-1), hi=f32(6)),
    _between("Not before Where", "Exp Where Neg", "n=Not(c) b=Where(n,a,s)", inputs=f"{X4}, bool[2,3,4,5] c", s=f32(1)),
    _between(
        "slices that are a split",
        "Exp Split Concat Neg",
        "c=Slice(a,z,t,ax) d=Slice(a,t,e,ax) b=Concat<axis=3>(d,c)",
        z=i64(0),
        t=i64(2),
        e=i64(5),
        ax=i64(3),
    ),
    _between(
        "slices with a gap",
        "Exp Slice Slice Concat Neg",
        "c=Slice(a,z,t,ax) d=Slice(a,u,e,ax) b=Concat<axis=3>(d,c)",
        "float[2,3,4,4] y",
        z=i64(0),
        t=i64(2),
        u=i64(3),
        e=i64(5),
        ax=i64(3),
    ),
    _between(
        "gathers that are a split",
        "Exp Split Squeeze Squeeze Add Neg",
        "c=Gather<axis=0>(a,i) d=Gather<axis=0>(a,j) b=Add(c,d)",
        "float[3,4,5] y",
        i=np.array(0),
        j=np.array(1),
    ),
    case(
        "strided slices into depth",
        "SpaceToDepth Gather",
        "float[1,8,16,16] x",
        "float[1,32,8,8] y",
        "a=Slice(x,z,m,ax,st) b=Slice(x,r,m,ax,st) c=Slice(x,s,m,ax,st) d=Slice(x,t,m,ax,st) y=Concat<axis=1>(a,b,c,d)",
        z=i64(0, 0),
        r=i64(1, 0),
        s=i64(0, 1),
        t=i64(1, 1),
        m=np.repeat(MAX, 2),
        ax=i64(2, 3),
        st=i64(2, 2),
    ),
]

TRANSPOSES = [
    _between("transposes that cancel", NOTHING, "c=Transpose<perm=[0,2,1,3]>(a) b=Transpose<perm=[0,2,1,3]>(c)"),
    _between(
        "transposes that merge",
        "Exp Transpose Neg",
        "c=Transpose<perm=[0,2,1,3]>(a) b=Transpose<perm=[0,1,3,2]>(c)",
        "float[2,4,5,3] y",
    ),
    _between(
        "transposes around an activation",
        "Exp Relu Neg",
        "c=Transpose<perm=[0,2,3,1]>(a) d=Relu(c) b=Transpose<perm=[0,3,1,2]>(d)",
    ),
    _between(
        "transposes around a softmax",
        "Exp Softmax Neg",
        "c=Transpose<perm=[0,2,1,3]>(a) d=Softmax(c) b=Transpose<perm=[0,2,1,3]>(d)",
    ),
    case(
        "transposes of both inputs",
        "Add Transpose LpNormalization",
        f"{X4}, float[2,3,4,5] z",
        "float[2,4,3,5] y",
        "c=Transpose<perm=[0,2,1,3]>(x) d=Transpose<perm=[0,2,1,3]>(z) e=Add(c,d) y=LpNormalization(e)",
    ),
    case(
        "transpose through a reshape that splits",
        "Exp Reshape Transpose LpNormalization",
        "float[12,32,64] x",
        "float[12,8,8,32] y",
        "a=Exp(x) c=Transpose<perm=[0,2,1]>(a) d=Reshape(c,s) y=LpNormalization(d)",
        s=i64(12, 8, 8, 32),
    ),
    case(
        "transpose before a reshape that merges",
        "Exp Transpose Reshape LpNormalization",
        "float[2,12,32,64] x",
        "float[2,2048,12] y",
        "a=Exp(x) c=Transpose<perm=[0,2,3,1]>(a) d=Reshape(c,s) y=LpNormalization(d)",
        s=i64(2, 2048, 12),
    ),
    case(
        "transpose before a reduction",
        "Exp LpNormalization ReduceMean LpNormalization",
        "float[2,12,8,8] x",
        "float[2,8] y",
        "a=Exp(x) n=LpNormalization(a) c=Transpose<perm=[0,3,1,2]>(n) d=ReduceMean<keepdims=0>(c,ax) "
        "y=LpNormalization(d)",
        ax=i64(2, 3),
    ),
    case(
        "reshapes around a transpose",
        "Exp Transpose LpNormalization",
        "float[1,32,12,64] x",
        "float[1,12,64,32] y",
        "a=Exp(x) z=Transpose<perm=[0,2,1,3]>(a) b=Reshape(z,s) c=Transpose<perm=[0,2,1]>(b) d=Reshape(c,t) "
        "y=LpNormalization(d)",
        s=i64(12, 32, 64),
        t=i64(1, 12, 64, 32),
    ),
    case(
        "channel shuffle stays",
        "Exp Reshape Transpose Reshape LpNormalization",
        X32,
        Y32,
        "a=Exp(x) b=Reshape(a,s) c=Transpose<perm=[0,2,1,3]>(b) d=Reshape(c,t) y=LpNormalization(d)",
        s=i64(1, 2, 16, 256),
        t=i64(1, 32, 16, 16),
    ),
]

_SWAP, _TURN = "Transpose<perm=[0,2,1,3]>", "Transpose<perm=[0,1,3,2]>"
X4 = "float[2,4,6,8] x"


def _two_readers(name: str, kernels: str, body: str, **weights: Any) -> Case:
    """A transpose before an operator whose result, of shape (2, 6, 4, 8), two others read."""
    text = f"t={_SWAP}(x) k=Relu(t) {body}"
    return case(
        f"transpose before two readers, {name}", kernels, X4, "float[2,6,4,8] y, float[2,?,?,?] z", text, **weights
    )


# Where a transpose is pushed to another that does not cancel it, one operator alone must read what is in between.
TWO_READERS = [
    _two_readers("one cancels it", "Relu LpNormalization Transpose", f"y=LpNormalization(k) z={_SWAP}(k)"),
    _two_readers(
        "one merges with it", "Transpose Relu LpNormalization Transpose", f"y=LpNormalization(k) z={_TURN}(k)"
    ),
    _two_readers("both merge with it", "Transpose Relu Transpose Transpose", f"z={_TURN}(k) y={_TURN}(k)"),
    _two_readers(
        "one cancels it farther on",
        "Relu Transpose Exp LpNormalization Transpose",
        f"y=LpNormalization(k) e=Exp(k) z={_SWAP}(e)",
    ),
    case(
        "transpose before a result that another transpose reads",
        "Transpose Relu Transpose",
        X4,
        "float[2,6,4,8] y, float[2,4,6,8] z",
        f"t={_SWAP}(x) y=Relu(t) z={_SWAP}(y)",
    ),
    case(
        "transposed stack of queries and keys, normalized",
        "Split Transpose Transpose Squeeze Squeeze ReduceL2 Div FusedMatMul",
        "float[1,8,2,2,16] x",
        "float[1,2,8,8] y",
        "t=Transpose<perm=[2,0,3,1,4]>(x) q5,k5=Split<axis=0>(t,sp) q=Squeeze(q5,ax) k=Squeeze(k5,ax) "
        "n=ReduceL2<axes=[-1]>(k) d=Div(k,n) kt=Transpose<perm=[0,1,3,2]>(d) y=MatMul(q,kt)",
        opset=17,
        sp=i64(1, 1),
        ax=i64(0),
    ),
]
OTHER_CASES = [*TRANSFORMERS, *SPELLINGS, *CLEANING, *TRANSPOSES, *TWO_READERS]
