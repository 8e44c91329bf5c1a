"""Quantized data that only move, are joined, averaged or normalized."""

from __future__ import annotations

from tests.fusion.passes.openvino.quantized import kinds_of, with_integers

X = "uint8[1,4,4,4] x"


def test_an_operator_that_moves_reads_integers_and_is_dequantized_behind() -> None:
    body = "a=DequantizeLinear(x,s,p) b=Transpose<perm=[0,2,1,3]>(a) y=Exp(b) q=QuantizeLinear(y,s,p)"
    graph = with_integers(X, "float[1,4,4,4] y", body)
    assert kinds_of(graph)[:3] == ["Transpose", "ZeroPoint", "DequantizeLinear"]


def test_an_activation_keeps_the_scale_where_there_is_no_zero_point() -> None:
    body = "a=DequantizeLinear(x,s,{0}) b=Relu(a) y=Exp(b) q=QuantizeLinear(y,s,p)"
    assert kinds_of(with_integers(X, "float[1,4,4,4] y", body.format("z")))[0] == "Relu"
    assert kinds_of(with_integers(X, "float[1,4,4,4] y", body.format("p")))[0] == "ZeroPoint"


def test_what_is_joined_is_quantized_anew_where_that_changes_it() -> None:
    body = "a=DequantizeLinear(x,s,{0}) b=DequantizeLinear(v,t,{0}) j=Concat<axis=1>(a,b) y=QuantizeLinear(j,t,{0})"
    inputs = f"{X}, uint8[1,4,4,4] v"
    text = body + " e=DequantizeLinear(y,t,{0}) o=Exp(e)"
    kinds = kinds_of(with_integers(inputs, "float[1,8,4,4] o", text.format("z")))
    assert kinds == ["QuantizeLinear", "Concat", "DequantizeLinear", "Exp"]
    kinds = kinds_of(with_integers(inputs, "float[1,8,4,4] o", text.format("p")))
    assert kinds.count("QuantizeLinear") == 2


def test_an_average_is_dequantized_behind() -> None:
    body = "a=DequantizeLinear(x,s,{0}) b=GlobalAveragePool(a) y=Exp(b) q=QuantizeLinear(y,s,p)"
    graph = with_integers(X, "float[1,4,1,1] y", body.format("z"))
    assert kinds_of(graph)[:2] == ["GlobalAveragePool", "DequantizeLinear"]
    assert kinds_of(with_integers(X, "float[1,4,1,1] y", body.format("p")))[0] == "ZeroPoint"


def test_a_normalization_reads_integers_without_a_zero_point() -> None:
    body = "a=DequantizeLinear(x,s,{0}) y=LayerNormalization<axis=-1>(a,g) q=QuantizeLinear(y,s,p)"
    for point, kind in (("z", "LayerNormalization"), ("p", "ZeroPoint")):
        assert kinds_of(with_integers("uint8[1,4,4] x", "float[1,4,4] y", body.format(point)))[0] == kind


def test_a_join_without_a_quantization_behind_has_a_scale_a_place() -> None:
    body = "a=DequantizeLinear(x,s,{0}) b=DequantizeLinear(v,t,{0}) j=Concat<axis=1>(a,b) m=Mul(j,c) y=Exp(m)"
    inputs, output = f"{X}, uint8[1,4,4,4] v", "float[1,8,4,4] y"
    graph = with_integers(inputs, output, body.format("z") + " q=QuantizeLinear(y,s,p)")
    assert kinds_of(graph)[:3] == ["Concat", "Mul", "Exp"]
    (product,) = graph.of_kinds(["Mul"])
    assert graph.types[product.inputs[1]].shape == (8, 1, 1)
    assert "DequantizeLinear" in kinds_of(with_integers(inputs, output, body.format("p") + " q=QuantizeLinear(y,s,p)"))
