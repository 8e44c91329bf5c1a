"""Random graphs of operators that fusion rules are about: chains and diamonds on tensors [1,32,8,8]."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.fusion.models import CONV, f32, i64

# Steps from a tensor to another; {0} is one of the last tensors, {1} any earlier one, {2} the one that is made.
STEPS = (
    "{2}=Relu({0})",
    "{2}=Sigmoid({0})",
    "{2}=Exp({0})",
    "{2}=HardSwish({0})",
    "{2}=Clip({0},zero,six)",
    "{2}=Add({0},{1})",
    "{2}=Mul({0},{1})",
    "{2}=Add({0},zero)",
    "{2}=Mul({0},channel)",
    "{2}=Identity({0})",
    "{2}=Softmax({0})",
    "{2}=BatchNormalization({0},s,s,s,s)",
    "{2}=MaxPool<kernel_shape=[3,3],pads=[1,1,1,1]>({0})",
    f"{{2}}={CONV}({{0}},w)",
    "{2}=Conv<kernel_shape=[3,3],pads=[1,1,1,1],group=32>({0},wd)",
    "{2}=Conv<kernel_shape=[1,1],group=8>({0},wg)",
    "{2}t=Transpose<perm=[0,2,3,1]>({0}) {2}=Transpose<perm=[0,3,1,2]>({2}t)",
    "{2}t=Transpose<perm=[0,2,3,1]>({0}) {2}u=MatMul({2}t,wm) {2}v=Add({2}u,s) {2}=Transpose<perm=[0,3,1,2]>({2}v)",
    "{2}r=Reshape({0},shape) {2}=Reshape({2}r,back)",
    "{2}p,{2}q=Split<axis=1,num_outputs=2>({0}) {2}=Concat<axis=1>({2}q,{2}p)",
    "{2}g=GlobalAveragePool({0}) {2}h=Sigmoid({2}g) {2}=Mul({0},{2}h)",
)
WEIGHTS: dict[str, Any] = {
    "w": (32, 32, 3, 3), "wd": (32, 1, 3, 3), "wg": (32, 4, 1, 1), "wm": (32, 32), "s": (32,), "channel": (32, 1, 1),
    "zero": f32(0), "six": f32(6), "shape": i64(1, 4, 8, 64), "back": i64(1, 32, 8, 8),
}  # fmt: skip


@st.composite
def random_texts(draw: st.DrawFn) -> str:
    """The text of a graph; its weights are `WEIGHTS`."""
    tensors, lines = ["x"], []
    for number in range(draw(st.integers(1, 12))):
        step = draw(st.sampled_from(STEPS))
        last, other = draw(st.sampled_from(tensors[-2:])), draw(st.sampled_from(tensors))
        lines.append(step.format(last, other, f"t{number}"))
        tensors.append(f"t{number}")
    body = " ".join([*lines, f"y=Neg({tensors[-1]})"])
    return f"agraph (float[1,32,8,8] x) => (float[1,32,8,8] y) {{ {body} }}"
