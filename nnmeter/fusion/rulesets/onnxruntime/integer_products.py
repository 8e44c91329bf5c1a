"""Products of integers whose result is scaled to floats (dynamic quantization)."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, maybe, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

INTEGER_TO_FLOAT = "com.microsoft.MatMulIntegerToFloat"


def _to_float(with_bias: bool) -> Rule:
    a, b, a_zero, b_zero, a_scale, b_scale, bias = tensors("a b a_zero b_zero a_scale b_scale bias")
    product = Op("MatMulInteger", a, b, a_zero, b_zero, name="product")
    cast = Op("Cast", product)
    scales = Op("Mul", a_scale, b_scale, name="scales")
    scaled = Op("Mul", cast, scales, commutative=True, name="scaled")
    add = Op("Add", scaled, bias, commutative=True)
    inputs = (a, b, a_scale, b_scale, a_zero, b_zero, *([bias] if with_bias else []))
    of_bias = [bias.rank == 1, bias.is_constant, bias.elements > 1, bias.dim(0) == b.dim(-1)]
    return Rule(
        "MatMulInteger to float" + (" and bias" if with_bias else ""),
        [product, cast, scaled, scales, *([add] if with_bias else [])],
        where=[cast.dtype == "float32", *(of_bias if with_bias else [])],
        replace=Create(INTEGER_TO_FLOAT, *inputs, into=add if with_bias else scaled),
        why="The cast of an integer product and the product with both scales, perhaps with a bias, become one "
        "operator.",
        source=optimizer("matmul_integer_to_float.cc"),
    )


def _dynamic() -> Rule:
    x, b, b_scale, b_zero, bias = tensors("x b b_scale b_zero bias")
    q, q_scale, q_zero = tensors("q q_scale q_zero")
    quantize = Op("DynamicQuantizeLinear", x, outputs=[q, q_scale, q_zero], name="quantize")
    product = Op(INTEGER_TO_FLOAT, q, b, q_scale, b_scale, q_zero, maybe(b_zero), maybe(bias), name="product")
    return Rule(
        "DynamicQuantizeMatMul",
        [product, quantize],
        where=[b.is_constant],
        replace=Create("com.microsoft.DynamicQuantizeMatMul", x, b, b_scale, maybe(b_zero), maybe(bias), into=product),
        why="A product with constant weights that alone reads what is quantized quantizes its data itself.",
        source=optimizer("dynamic_quantize_matmul_fusion.cc"),
    )


INTEGER_PRODUCT_TO_FLOAT = Rewrite("MatMulInteger", [_to_float(with_bias=True), _to_float(with_bias=False)])
DYNAMIC_QUANTIZE_MATMUL = Rewrite("DynamicQuantizeMatMul", [_dynamic()])
