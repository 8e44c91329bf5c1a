"""Sums and products of quantized data."""

from __future__ import annotations

from nnmeter.fusion.engine.rewriting import WorkingGraph
from tests.fusion.passes.openvino.quantized import dtype_of, kinds_of, with_integers

SHAPE = "[1,4,4,4]"
INPUTS = f"uint8{SHAPE} x, uint8{SHAPE} v"
END = "q=QuantizeLinear(m,s,r) e=DequantizeLinear(q,s,r) y=Exp(e)"


def _of(operator: str, first: str, second: str, before: str = "") -> WorkingGraph:
    body = f"{before} a=DequantizeLinear(x,{first}) b=DequantizeLinear(v,{second}) m={operator}(a,b) {END}"
    inputs = INPUTS if not before else f"float{SHAPE} f, uint8{SHAPE} v"
    return with_integers(inputs, f"float{SHAPE} y", body)


def test_a_sum_of_integers_subtracts_a_zero_point_and_scales_where_they_differ() -> None:
    assert kinds_of(_of("Add", "s,z", "s,z"))[0] == "Add"
    assert kinds_of(_of("Add", "s,z", "t,z"))[:2] == ["Mul", "Add"]
    assert kinds_of(_of("Add", "s,p", "t,z"))[:3] == ["Sub", "Mul", "Add"]


def test_what_is_quantized_for_a_sum_alone_stays_numbers() -> None:
    graph = _of("Add", "s,p", "t,z", "w=Exp(f) x=QuantizeLinear(w,s,p)")
    assert kinds_of(graph)[:3] == ["Exp", "QuantizeLinear", "Add"]
    (total,) = graph.of_kinds(["Add"])
    assert [dtype_of(graph, tensor) for tensor in total.inputs] == ["float32", "uint8"]


def test_a_multiplication_reads_integers_without_a_zero_point() -> None:
    (product,) = _of("Mul", "s,z", "t,z").of_kinds(["Mul"])
    assert product.inputs == ["x", "v"]
    assert kinds_of(_of("Mul", "s,p", "t,z"))[:2] == ["ZeroPoint", "DequantizeLinear"]


def test_a_scale_is_part_of_a_constant_factor() -> None:
    body = "a=DequantizeLinear(x,s,{0}) b={1}(a,c) y=Exp(b) q=QuantizeLinear(y,s,r)"
    for operator in ("Mul", "Div"):
        kinds = kinds_of(with_integers(f"uint8{SHAPE} x", f"float{SHAPE} y", body.format("z", operator)))
        assert kinds[:2] == [operator, "Exp"]
        kinds = kinds_of(with_integers(f"uint8{SHAPE} x", f"float{SHAPE} y", body.format("p", operator)))
        assert kinds[:2] == ["ZeroPoint", operator]


def test_a_sum_of_numbers_and_integers_is_one_of_integers_times_the_scale() -> None:
    inputs, output = f"float{SHAPE} f, uint8{SHAPE} x", f"float{SHAPE} y"
    body = "a=DequantizeLinear(x,s,{0}) m=Add(f,a) "
    graph = with_integers(inputs, output, body.format("p") + "y=Exp(m) q=QuantizeLinear(y,s,r)")
    assert kinds_of(graph)[:5] == ["Sub", "Mul", "Add", "Mul", "Exp"]
    graph = with_integers(inputs, output, body.format("z") + END)
    assert kinds_of(graph)[:3] == ["Mul", "Add", "QuantizeLinear"]


def test_a_normalization_undoes_the_scale_of_a_sum() -> None:
    body = "a=DequantizeLinear(x,s,z) m=Add(f,a) y=LayerNormalization<axis=-1>(m,g) q=QuantizeLinear(y,s,r)"
    graph = with_integers("float[1,4,4] f, uint8[1,4,4] x", "float[1,4,4] y", body)
    assert kinds_of(graph)[:3] == ["Mul", "Add", "LayerNormalization"]
