"""QuantizeLinear and DequantizeLinear, one behind the other."""

from __future__ import annotations

from nnmeter.fusion.engine.rewriting import WorkingGraph
from tests.fusion.passes.openvino.quantized import dtype_of, kinds_of, with_integers

INTEGERS_IN = "uint8[1,4,4,4] x"
END = "e=DequantizeLinear(q,{0}) y=Exp(e)"


def _between(first: str, second: str, body: str = "") -> WorkingGraph:
    """Integers of one scale and zero point, what stands between, and integers of another."""
    middle = f"{body} q=QuantizeLinear(b,{second})" if body else f"q=QuantizeLinear(a,{second})"
    text = f"a=DequantizeLinear(x,{first}) {middle} {END.format(second)}"
    return with_integers(INTEGERS_IN, "float[1,4,4,4] y", text)


def test_quantizing_without_a_zero_point_by_nearly_the_same_scale_does_nothing() -> None:
    assert kinds_of(_between("s,z", "s,z")) == ["DequantizeLinear", "Exp"]
    assert kinds_of(_between("s,z", "n,z")) == ["DequantizeLinear", "Exp"]
    assert kinds_of(_between("s,z", "t,z")) == ["QuantizeLinear", "Exp"]
    assert kinds_of(_between("s,z", "t,z", "b=Mul(a,c)")) == ["DequantizeLinear", "Exp"]


def test_a_zero_point_is_subtracted_and_kept() -> None:
    kinds = kinds_of(_between("s,p", "t,r"))
    assert kinds == ["ZeroPoint", "QuantizeLinear", "ZeroPoint", "DequantizeLinear", "Exp"]


def test_one_constant_for_both_zero_points_leaves_numbers() -> None:
    assert kinds_of(_between("s,p", "t,p")) == ["ZeroPoint", "QuantizeLinear", "Exp"]


def test_constants_of_one_number_or_one_a_channel_are_part_of_the_quantization() -> None:
    for operator in ("Mul", "Add", "Div", "Sub"):
        assert kinds_of(_between("s,z", "t,z", f"b={operator}(a,c)"))[-2:] == [
            "DequantizeLinear" if operator == "Mul" else "QuantizeLinear",
            "Exp",
        ]
    graph = _between("s,z", "t,z", "b=Add(a,d)")
    (quantize,) = graph.of_kinds(["QuantizeLinear"])
    assert [graph.types[tensor].shape for tensor in quantize.inputs[1:]] == [(4, 1, 1)] * 4


def test_numbers_without_a_zero_point_are_rounded_by_one_operator() -> None:
    body = "a=Exp(x) q=QuantizeLinear(a,{0}) e=DequantizeLinear(q,{0}) y=Exp(e)"
    graph = with_integers("float[4] x", "float[4] y", body.format("s,i"))
    assert kinds_of(graph) == ["Exp", "QuantizeLinear", "Exp"]
    assert dtype_of(graph, "q") == "float32"
    graph = with_integers("float[4] x", "float[4] y", body.format("s,p"))
    assert kinds_of(graph) == ["Exp", "QuantizeLinear", "ZeroPoint", "DequantizeLinear", "Exp"]


def test_relu_is_part_of_a_quantization_to_unsigned_integers_without_a_zero_point() -> None:
    body = "a=Relu(x) q=QuantizeLinear(a,s,{0}) y=DequantizeLinear(q,s,{0})"
    for point, stays in (("z", False), ("p", True), ("i", True)):
        assert ("Relu" in kinds_of(with_integers("float[4] x", "float[4] y", body.format(point)))) == stays


def test_a_quantization_moves_before_a_transpose_but_not_before_a_view_alone() -> None:
    end = "q=QuantizeLinear(b,s,p) e=DequantizeLinear(q,s,p) y=Exp(e)"
    graph = with_integers("float[4,4] x", "float[4,1,4] y", f"a=Reshape(x,h) b=Transpose<perm=[2,0,1]>(a) {end}")
    assert kinds_of(graph)[:3] == ["QuantizeLinear", "Reshape", "Transpose"]
    assert dtype_of(graph, "a") == "uint8"
    graph = with_integers("float[4,4] x", "float[1,4,4] y", f"b=Reshape(x,h) {end}")
    assert kinds_of(graph)[:2] == ["Reshape", "QuantizeLinear"]


def test_operators_that_no_rule_knows_share_what_is_dequantized() -> None:
    body = "a=DequantizeLinear(x,s,p) b=Exp(a) c1=Sqrt(a) y=Where(k,b,c1)"
    graph = with_integers(INTEGERS_IN + ", bool[1] k", "float[1,4,4,4] y", body + " f=QuantizeLinear(y,s,p)")
    assert kinds_of(graph).count("DequantizeLinear") == 1
