"""What ONNX Runtime 1.32 makes of small models of convolutions on a CPU with AVX-512, seen in its own dumps.

The lists of kernels are fixed expectations; `test_truth.py` compares with the runtime itself where it is installed.
"""

from __future__ import annotations

from typing import Any

from tests.fusion.models import CONV, Case, case, f32, i64

X32 = "float[1,32,16,16] x"
Y32 = "float[1,32,16,16] y"
W32 = (32, 32, 3, 3)
BLOCKED = "ReorderInput nchwc.Conv{} ReorderOutput"


def _activation(name: str, body: str, suffix: str, **weights: Any) -> Case:
    text = f"a={CONV}(x,w) b={body} y={CONV}(b,w)"
    return case(f"conv and {name}", f"ReorderInput {suffix} nchwc.Conv ReorderOutput", X32, Y32, text, w=W32, **weights)


ACTIVATIONS = [
    _activation("Relu", "Relu(a)", "nchwc.Conv+Relu"),
    _activation("Sigmoid", "Sigmoid(a)", "nchwc.Conv+Sigmoid"),
    _activation("Tanh", "Tanh(a)", "nchwc.Conv+Tanh"),
    _activation("LeakyRelu", "LeakyRelu(a)", "nchwc.Conv+LeakyRelu"),
    _activation("HardSigmoid", "HardSigmoid(a)", "nchwc.Conv+HardSigmoid"),
    _activation("HardSwish", "HardSwish(a)", "nchwc.Conv+HardSwish"),
    _activation("Clip", "Clip(a,lo,hi)", "nchwc.Conv+Clip", lo=f32(0), hi=f32(6)),
    _activation("Elu", "Elu(a)", "nchwc.Conv ReorderOutput Elu ReorderInput"),
    case(
        "SiLU stays blocked",
        "ReorderInput nchwc.Conv QuickGelu nchwc.Conv ReorderOutput",
        X32,
        Y32,
        f"a={CONV}(x,w) s=Sigmoid(a) b=Mul(a,s) y={CONV}(b,w)",
        w=W32,
    ),
    case(
        "Clip with a computed bound",
        "ReduceMax ReorderInput nchwc.Conv ReorderOutput Clip",
        X32,
        Y32,
        f"hi=ReduceMax<keepdims=0>(x) a={CONV}(x,w) y=Clip(a,lo,hi)",
        w=W32,
        lo=f32(0),
    ),
    case(
        "HardSwish of an unblocked convolution",
        "Conv HardSigmoid Mul Conv",
        "float[1,30,8,8] x",
        "float[1,30,8,8] y",
        f"a={CONV}(x,w) b=HardSwish(a) y={CONV}(b,w)",
        w=(30, 30, 3, 3),
    ),
    case(
        "Relu of a convolution that is returned",
        "ReorderInput nchwc.Conv Relu ReorderOutput ReorderOutput",
        X32,
        f"{Y32}, float[1,32,16,16] a",
        f"a={CONV}(x,w) y=Relu(a)",
        w=W32,
    ),
]

CONVOLUTIONS = [
    case(
        "few input channels",
        "nchwc.Conv ReorderOutput",
        "float[1,3,16,16] x",
        "float[1,5,16,16] y",
        f"y={CONV}(x,w)",
        w=(5, 3, 3, 3),
    ),
    case(
        "channels that are no multiple of four",
        "Conv",
        "float[1,18,16,16] x",
        "float[1,16,16,16] y",
        f"y={CONV}(x,w)",
        w=(16, 18, 3, 3),
    ),
    case(
        "channels padded to blocks",
        BLOCKED.format(""),
        "float[1,20,16,16] x",
        "float[1,10,16,16] y",
        f"y={CONV}(x,w)",
        w=(10, 20, 3, 3),
    ),
    case(
        "depthwise padded",
        BLOCKED.format(""),
        "float[1,20,16,16] x",
        "float[1,20,16,16] y",
        "y=Conv<kernel_shape=[3,3],pads=[1,1,1,1],group=20>(x,w)",
        w=(20, 1, 3, 3),
    ),
    case(
        "depthwise unaligned",
        "Conv",
        "float[1,18,16,16] x",
        "float[1,18,16,16] y",
        "y=Conv<kernel_shape=[3,3],pads=[1,1,1,1],group=18>(x,w)",
        w=(18, 1, 3, 3),
    ),
    case(
        "groups of whole blocks",
        BLOCKED.format(""),
        X32,
        Y32,
        "y=Conv<kernel_shape=[3,3],pads=[1,1,1,1],group=2>(x,w)",
        w=(32, 16, 3, 3),
    ),
    case(
        "groups of half blocks",
        "Conv",
        X32,
        Y32,
        "y=Conv<kernel_shape=[3,3],pads=[1,1,1,1],group=4>(x,w)",
        w=(32, 8, 3, 3),
    ),
    case(
        "three dimensions",
        "Conv+Relu",
        "float[1,32,8,8,8] x",
        "float[1,32,8,8,8] y",
        "a=Conv<kernel_shape=[3,3,3],pads=[1,1,1,1,1,1]>(x,w) y=Relu(a)",
        w=(32, 32, 3, 3, 3),
    ),
    case(
        "batch normalization after a convolution",
        BLOCKED.format(""),
        X32,
        Y32,
        f"a={CONV}(x,w) y=BatchNormalization(a,s,s,s,s)",
        w=W32,
        s=(32,),
    ),
    case(
        "batch normalization of a blocked tensor",
        "ReorderInput nchwc.Conv+Relu nchwc.Conv+Relu ReorderOutput",
        X32,
        Y32,
        f"a={CONV}(x,w) b=Relu(a) c=BatchNormalization(b,s,s,s,s) y=Relu(c)",
        w=W32,
        s=(32,),
    ),
    case("batch normalization alone", "BatchNormalization", X32, Y32, "y=BatchNormalization(x,s,s,s,s)", s=(32,)),
    case(
        "scale by channel after a convolution",
        BLOCKED.format(""),
        X32,
        Y32,
        f"a={CONV}(x,w) y=Mul(a,s)",
        w=W32,
        s=(32, 1, 1),
    ),
    case(
        "scale by channel of a blocked tensor",
        "ReorderInput nchwc.Conv+Relu nchwc.Conv ReorderOutput",
        X32,
        Y32,
        f"a={CONV}(x,w) b=Relu(a) y=Mul(b,s)",
        w=W32,
        s=(32, 1, 1),
    ),
    case(
        "offset by channel after a convolution",
        BLOCKED.format("+Relu"),
        X32,
        Y32,
        f"a={CONV}(x,w) b=Add(a,s) y=Relu(b)",
        w=W32,
        s=(1, 32, 1, 1),
    ),
    case(
        "offset before the convolution's output",
        BLOCKED.format("") + " Add",
        X32,
        Y32,
        f"a={CONV}(x,w) y=Add(s,a)",
        w=W32,
        s=(1, 32, 1, 1),
    ),
    case(
        "pad into a convolution",
        BLOCKED.format(""),
        X32,
        Y32,
        "a=Pad(x,p) y=Conv<kernel_shape=[3,3]>(a,w)",
        13,
        w=W32,
        p=i64(0, 0, 1, 1, 0, 0, 1, 1),
    ),
    case(
        "reflecting pad",
        "Pad " + BLOCKED.format(""),
        X32,
        Y32,
        'a=Pad<mode="reflect">(x,p) y=Conv<kernel_shape=[3,3]>(a,w)',
        13,
        w=W32,
        p=i64(0, 0, 1, 1, 0, 0, 1, 1),
    ),
]

LAYOUT = [
    case(
        "one reorder for two readers",
        "ReorderInput nchwc.Conv nchwc.Conv ReorderOutput ReorderOutput",
        X32,
        f"{Y32}, float[1,32,16,16] z",
        f"y={CONV}(x,w) z={CONV}(x,v)",
        w=W32,
        v=W32,
    ),
    case(
        "residual of two convolutions",
        "ReorderInput nchwc.Conv nchwc.Conv+Add+Relu ReorderOutput",
        X32,
        Y32,
        f"a={CONV}(x,w) b={CONV}(x,v) c=Add(a,b) y=Relu(c)",
        w=W32,
        v=W32,
    ),
    case(
        "sum of activated convolutions",
        "ReorderInput nchwc.Conv+Relu nchwc.Conv+Relu Add Relu ReorderOutput",
        X32,
        Y32,
        f"a={CONV}(x,w) b=Relu(a) c={CONV}(x,v) d=Relu(c) e=Add(b,d) y=Relu(e)",
        w=W32,
        v=W32,
    ),
    case(
        "sum with an unblocked tensor",
        BLOCKED.format("") + " Add Relu",
        f"{X32}, float[1,32,16,16] z",
        Y32,
        f"a={CONV}(x,w) b=Add(a,z) y=Relu(b)",
        w=W32,
    ),
    case(
        "broadcast sum",
        "ReorderInput nchwc.Conv+Relu nchwc.GlobalAveragePool nchwc.Conv Reshape Reshape Add Reshape "
        "nchwc.Conv ReorderOutput",
        X32,
        Y32,
        f"a={CONV}(x,w) b=Relu(a) g=GlobalAveragePool(b) j=Conv(g,v) m=Add(b,j) y={CONV}(m,w)",
        w=W32,
        v=(32, 32, 1, 1),
    ),
    case(
        "squeeze and excitation",
        "ReorderInput nchwc.Conv+Relu nchwc.GlobalAveragePool nchwc.Conv+Relu nchwc.Conv+Sigmoid "
        "ReorderOutput ReorderOutput Mul ReorderInput nchwc.Conv ReorderOutput",
        X32,
        Y32,
        f"a={CONV}(x,w) b=Relu(a) g=GlobalAveragePool(b) "
        f"h=Conv(g,u) i=Relu(h) j=Conv(i,v) k=Sigmoid(j) m=Mul(b,k) y={CONV}(m,w)",
        w=W32,
        u=(16, 32, 1, 1),
        v=(32, 16, 1, 1),
    ),
    case(
        "concat of whole blocks",
        "ReorderInput nchwc.Conv nchwc.Conv Concat ReorderOutput",
        X32,
        "float[1,64,16,16] y",
        f"a={CONV}(x,w) b={CONV}(x,v) y=Concat<axis=1>(a,b)",
        w=W32,
        v=W32,
    ),
    case(
        "concat of half blocks",
        "ReorderInput nchwc.Conv nchwc.Conv ReorderOutput ReorderOutput Concat",
        X32,
        "float[1,24,16,16] y",
        f"a={CONV}(x,w) b={CONV}(x,v) y=Concat<axis=1>(a,b)",
        w=(16, 32, 3, 3),
        v=(8, 32, 3, 3),
    ),
    case(
        "pool of whole blocks",
        "ReorderInput nchwc.MaxPool ReorderOutput",
        X32,
        "float[1,32,8,8] y",
        "y=MaxPool<kernel_shape=[2,2],strides=[2,2]>(x)",
    ),
    *(
        case(
            f"average pool of {name}",
            f"ReorderInput {kernels}",
            X32,
            "float[1,32,8,8] y",
            f"a={CONV}(x,w) y=AveragePool<kernel_shape=[2,2],strides=[2,2],{attributes}>(a)",
            w=W32,
        )
        for name, attributes, kernels in (
            ("a rounded size", "ceil_mode=1", "nchwc.Conv nchwc.AveragePool ReorderOutput"),
            ("counted pads", "count_include_pad=1", "nchwc.Conv nchwc.AveragePool ReorderOutput"),
            ("both", "ceil_mode=1,count_include_pad=1", "nchwc.Conv ReorderOutput AveragePool"),
        )
    ),
    case(
        "pool of half blocks",
        "ReorderInput nchwc.Conv ReorderOutput MaxPool",
        "float[1,20,16,16] x",
        "float[1,20,8,8] y",
        f"a={CONV}(x,w) y=MaxPool<kernel_shape=[2,2],strides=[2,2]>(a)",
        w=(20, 20, 3, 3),
    ),
    case(
        "global pool of an unblocked tensor",
        "Exp GlobalAveragePool",
        X32,
        "float[1,32,1,1] y",
        "a=Exp(x) y=GlobalAveragePool(a)",
    ),
    case(
        "resize by two, nearest",
        "ReorderInput nchwc.Conv nchwc.Upsample ReorderOutput",
        X32,
        "float[1,32,32,32] y",
        f"a={CONV}(x,w) "
        'y=Resize<mode="nearest",coordinate_transformation_mode="asymmetric",nearest_mode="floor">(a,,s)',
        w=W32,
        s=f32([1, 1, 2, 2]),
    ),
    case(
        "resize by one and a half",
        "ReorderInput nchwc.Conv ReorderOutput Resize",
        X32,
        "float[1,32,24,24] y",
        f'a={CONV}(x,w) y=Resize<mode="linear">(a,,s)',
        w=W32,
        s=f32([1, 1, 1.5, 1.5]),
    ),
    case(
        "resize by its default rounding",
        "ReorderInput nchwc.Conv ReorderOutput Resize",
        X32,
        "float[1,32,32,32] y",
        f'a={CONV}(x,w) y=Resize<mode="nearest",coordinate_transformation_mode="asymmetric">(a,,s)',
        w=W32,
        s=f32([1, 1, 2, 2]),
    ),
    case(
        "transpose out of the layout",
        "ReorderInput nchwc.Conv ReorderOutput",
        X32,
        "float[1,16,16,32] y",
        f"a={CONV}(x,w) y=Transpose<perm=[0,2,3,1]>(a)",
        w=W32,
    ),
    case(
        "transpose into the layout",
        "ReorderInput nchwc.Conv ReorderOutput",
        "float[1,16,16,32] x",
        Y32,
        f"a=Transpose<perm=[0,3,1,2]>(x) y={CONV}(a,w)",
        w=W32,
    ),
    case(
        "residual of an unblocked convolution",
        "Conv+Add+Relu",
        "float[1,30,16,16] x",
        "float[1,30,16,16] y",
        f"a={CONV}(x,w,b) c=Add(a,x) y=Relu(c)",
        w=(30, 30, 3, 3),
        b=(30,),
    ),
    case(
        "residual of an unblocked convolution without bias",
        "Conv Add Relu",
        "float[1,30,16,16] x",
        "float[1,30,16,16] y",
        f"a={CONV}(x,w) c=Add(a,x) y=Relu(c)",
        w=(30, 30, 3, 3),
    ),
]

CONVOLUTION_CASES = [*ACTIVATIONS, *CONVOLUTIONS, *LAYOUT]
