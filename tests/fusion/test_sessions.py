"""Kernels of sessions that keep free dimensions, against the dumps of such sessions."""

from __future__ import annotations

from collections import Counter

import onnx
import pytest
from onnx import parser

from nnmeter.binding.bind import bind_shapes
from nnmeter.devices.machine import this_machine
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.for_machine import rules_for_machine
from nnmeter.fusion.loading import load_rules
from nnmeter.graph.input_sizes import InputSizes, Session
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.runtimes import load_runtime

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.needs_onnxruntime((1, 30))
SIZES = {"batch": 2, "seq": 6}


def weight(*shape: int) -> str:
    count = 1
    for size in shape:
        count *= size
    return "{" + ",".join("0.1" for _ in range(count)) + "}"


# Attention as torch's older exporter writes it: shapes are computed, queries and keys are a stack.
ATTENTION = (
    "agraph (float[batch,seq,8] x) => (float[?,?,?] y) <int64 zero={0}, int64 one={1}, int64[1] ax={0}, "
    "int64[3] heads={3,2,4}, int64[1] width={8}, int64[3] thirds={1,1,1}, "
    f"float[8,24] w={weight(8, 24)}, float[24] b={weight(24)}, float[8,8] v={weight(8, 8)}, float[8] c={weight(8)}> "
    "{ s1=Shape(x) n=Gather(s1,zero) s2=Shape(x) t=Gather(s2,one) m=MatMul(x,w) a=Add(m,b) "
    "n1=Unsqueeze(n,ax) t1=Unsqueeze(t,ax) target=Concat<axis=0>(n1,t1,heads) r=Reshape(a,target) "
    "p=Transpose<perm=[2,0,3,1,4]>(r) q5,k5,v5=Split<axis=0>(p,thirds) "
    "q=Squeeze(q5,ax) k=Squeeze(k5,ax) u=Squeeze(v5,ax) "
    "kt=Transpose<perm=[0,1,3,2]>(k) d=MatMul(q,kt) e=Softmax<axis=-1>(d) f=MatMul(e,u) "
    "g=Transpose<perm=[0,2,1,3]>(f) back=Concat<axis=0>(n1,t1,width) h=Reshape(g,back) o=MatMul(h,v) y=Add(o,c) }"
)
BATCHED = (
    "agraph (float[batch,8] x) => (float[?,?] y) <" + f"float[8,8] v={weight(8, 8)}, float[8] c={weight(8)}> "
    "{ o=MatMul(x,v) a=Add(o,c) y=Relu(a) }"
)
TURNED = (
    "agraph (float[batch,seq,8] x) => (float[?,?,?] y) "
    "<int64[1] width={8}, int64 zero={0}, int64 one={1}, int64[1] ax={0}> "
    "{ e=Exp(x) t=Transpose<perm=[1,0,2]>(e) s=Shape(t) n=Gather(s,zero) m=Gather(s,one) n1=Unsqueeze(n,ax) "
    "m1=Unsqueeze(m,ax) target=Concat<axis=0>(n1,m1,width) r=Reshape(t,target) y=LpNormalization(r) }"
)
MODELS = {"attention": ATTENTION, "batched": BATCHED, "turned": TURNED}


def model_of(text: str) -> bytes:
    graph = parser.parse_graph(text)
    return bytes(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]).SerializeToString())


def detected(model: bytes, session: Session) -> list[Kernel]:
    rules = rules_for_machine(load_rules("onnxruntime_cpu"), this_machine().isa)
    return detect_kernels(bind_shapes(read_model(model), InputSizes(SIZES, session=session)), rules)


def executed(model: bytes, session: Session) -> list[Kernel]:
    compiled = load_runtime("onnxruntime", session).compile(model, dims=SIZES)
    try:
        return list(compiled.kernels)
    finally:
        compiled.close()


def described(kernels: list[Kernel]) -> Counter[tuple[object, ...]]:
    return Counter((k.type, k.signature.inputs, k.signature.outputs) for k in kernels)


@pytest.mark.parametrize("session", ["free", "bound"])
@pytest.mark.parametrize("name", MODELS)
def test_kernels_are_those_of_the_session(name: str, session: Session) -> None:
    model = model_of(MODELS[name])
    assert described(detected(model, session)) == described(executed(model, session))


def test_a_session_that_knows_dimensions_makes_products_of_matrices() -> None:
    model = model_of(ATTENTION)
    free, bound = (Counter(k.type for k in detected(model, session)) for session in ("free", "bound"))
    assert (free["Gemm"], free["MatMul"], free["Add"]) == (0, 4, 2)
    assert (bound["Gemm"], bound["MatMul"], bound["Add"]) == (2, 2, 0)
