"""Products: constant weights, and the transposes, scales, biases and reshapes around them."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import (
    Create,
    Expr,
    Op,
    Rewrite,
    Rule,
    Tensor,
    all_of,
    any_of,
    concat,
    indices,
    maybe,
    tensors,
    weight,
)
from nnmeter.fusion.rulesets.builder.rules import Made
from nnmeter.fusion.rulesets.openvino.linear_into_conv import bias_into_larger_sum
from nnmeter.fusion.rulesets.openvino.shared import SWAPPED, binary, mirrored, named, ordered
from nnmeter.fusion.rulesets.openvino.sources import common, plugin, shared


def _scale_of_product(transposed: bool, swapped: bool) -> Rule:
    """`transposed`: the second factor is a Transpose, before which the scale goes."""
    a, b, c = tensors("a b c")
    transpose = Op("Transpose", b)
    product = Op("MatMul", a, transpose if transposed else b, name="product")
    scale = binary("Mul", "Div", swapped, product, c, name="scale")
    scaled = Create(scale.kind, b, c, like=b)
    again = Create("Transpose", scaled, like=transpose, attributes=transpose.attributes()) if transposed else None
    last = Create("MatMul", a, again or scaled, attributes=product.attributes(), into=scale, main=True)
    return Rule(
        named(f"scale of a product into {'its transposed' if transposed else 'the'} second factor", swapped),
        [scale, product, *([transpose] if transposed else [])],
        where=[
            c.is_constant,
            c.elements == 1,
            product.uses == 1,
            *([transpose.uses == 1] if transposed else []),
            ~a.is_constant,
        ],
        replace=[scaled, *([again] if again else []), last],
        why="The scale of a product of two computed tensors is multiplied into the second one, which is the smaller in "
        "an attention.",
        source=common("matmul_multiply_fusion.cpp"),
    )


SCALES_OF_PRODUCTS = Rewrite(
    "scales of products",
    [_scale_of_product(transposed, swapped) for transposed in (True, False) for swapped in SWAPPED],
)


def _swaps_the_last_two(transpose: Op) -> Expr:
    rank = transpose.rank
    return transpose.attr("perm", indices(rank).reversed) == concat(indices(rank - 2), [rank - 1, rank - 2])


def _transpose(first_factor: bool) -> Rule:
    a, b = tensors("a b")
    transpose = Op("Transpose", a if first_factor else b)
    product = Op("MatMul", *((transpose, b) if first_factor else (a, transpose)), name="product")
    conditions = [transpose.rank > 1, _swaps_the_last_two(transpose), transpose.uses == 1]
    if first_factor:
        conditions.insert(1, ~b.is_constant)
    else:
        conditions.append(~a.is_constant)
    name = "transA" if first_factor else "transB"
    attributes = product.attributes({name: 1 - product.attr(name, 0)})
    return Rule(
        f"Transpose into the {'first' if first_factor else 'second'} factor",
        [product, transpose],
        where=conditions,
        replace=Create("MatMul", a, b, attributes=attributes, into=product),
        why="A product of two computed tensors reads a transposed factor by itself.",
        source=shared("smart_reshape/matmul_sr.cpp"),
    )


TRANSPOSES = Rewrite("transposes into products", [_transpose(first_factor=False), _transpose(first_factor=True)])


def _by_outputs(w: Tensor) -> Made:
    return weight(dtype=w.dtype, shape=[w.dim(1), w.dim(0)], name="turned")


def _constant_weights() -> Rule:
    x, w = tensors("x w")
    product = Op("MatMul", x, w, name="product")
    return Rule(
        "product with constant weights",
        [product],
        where=[w.is_constant, w.rank == 2, x.rank > 1],
        replace=Create("Gemm", x, _by_outputs(w), attributes=product.attributes(transB=1), into=product),
        why="A product with a constant matrix is a fully connected layer, whose weights are stored one row an output.",
        source=plugin("transformations/cpu_opset/common/pass/convert_matmul_to_fc.cpp"),
    )


def _gemm() -> Rule:
    x, w, b = tensors("x w b")
    product = Op("Gemm", x, w, maybe(b), name="product")
    return Rule(
        "Gemm",
        [product],
        where=[w.is_constant, product.attr("transA", 0) == 0, product.attr("transB", 0) == 0],
        replace=Create("Gemm", x, _by_outputs(w), maybe(b), attributes=product.attributes(transB=1), into=product),
        why="Gemm with constant weights is a fully connected layer, whose weights are stored one row an output.",
        source=plugin("transformations/cpu_opset/common/pass/convert_matmul_to_fc.cpp"),
    )


PRODUCTS = Rewrite("products", [_constant_weights(), _gemm()])


def _one_an_output(c: Tensor, product: Op) -> list[Expr]:
    return [c.elements == product.dim(-1), c.dim(-1) == product.dim(-1)]


def _scale(with_bias: bool, swapped: bool) -> Rule:
    x, w, b, c = tensors("x w b c")
    product = Op("Gemm", x, w, *([b] if with_bias else []), name="product")
    scale = binary("Mul", "Div", swapped, product, c, name="scale")
    scaled = [weight(like=w, name="scaled"), *([weight(like=b, name="scaled_bias")] if with_bias else [])]
    return Rule(
        named("scale into weights" + (" and bias" if with_bias else ""), swapped),
        [scale, product],
        where=[product.uses == 1, c.is_constant, any_of(c.elements == 1, all_of(*_one_an_output(c, product)))],
        replace=Create("Gemm", x, *scaled, attributes=product.attributes(), into=scale),
        why="A factor, one or one an output, behind a fully connected layer goes into weights and bias.",
        source=common("matmul_multiply_fusion.cpp"),
    )


def _bias(second: bool, swapped: bool) -> Rule:
    """`second`: the layer has a bias already, which this constant is added to."""
    x, w, first, c = tensors("x w first c")
    product = Op("Gemm", x, w, *([first] if second else []), name="product")
    total = binary("Add", "Sub", swapped, product, c, name="total")
    if second:
        name, bias = "second sum with a constant into a product", weight(like=first, name="bias")
        where = [
            c.is_constant,
            first.is_constant,
            product.uses == 1,
            any_of(c.elements == 1, all_of(*_one_an_output(c, product))),
        ]
    else:
        name, bias = "product and bias", weight(dtype=c.dtype, shape=[c.elements], name="bias")
        where = [c.is_constant, product.uses == 1, product.attr("fused", "") == "", *_one_an_output(c, product)]
    return Rule(
        named(name, swapped),
        [total, product],
        where=where,
        replace=Create("Gemm", x, w, bias, attributes=product.attributes(), into=total),
        why="A constant of one number an output behind a fully connected layer is its bias, or is added to the bias "
        "that it has.",
        source=plugin("transformations/cpu_opset/common/pass/fc_bias_fusion.cpp"),
    )


SCALES_AND_BIASES = Rewrite(
    "scales into weights",
    [
        *mirrored((_scale(bias, swapped) for bias in (False, True)) for swapped in SWAPPED),
        *mirrored((_bias(second, swapped) for second in (False, True)) for swapped in SWAPPED),
        *(bias_into_larger_sum(swapped) for swapped in SWAPPED),
    ],
)


def _reshapes_around_product() -> Rule:
    x, w, b, before_shape, after_shape = tensors("x w b before_shape after_shape")
    before = Op(("Reshape", "Squeeze", "Flatten"), x, maybe(before_shape), name="before")
    product = Op("Gemm", before, w, maybe(b), name="product")
    after = Op(("Reshape", "Unsqueeze"), product, maybe(after_shape), name="after")
    return Rule(
        "reshapes around a product",
        [after, product, before],
        where=[
            product.uses == 1,
            before.uses == 1,
            x.dim(-1) == before.dim(-1),
            after.dim(-1) == product.dim(-1),
            x.rank == after.rank,
            x.shape[:-1] == after.shape[:-1],
        ],
        replace=Create("Gemm", x, w, maybe(b), attributes=product.attributes(), into=after),
        why="Reshapes to a matrix and back around a fully connected layer go: it works on any number of dimensions.",
        source=plugin("transformations/cpu_opset/common/pass/reshape_fc_fusion.cpp"),
    )


RESHAPES_AROUND_PRODUCTS = Rewrite("reshapes around products", [_reshapes_around_product()])


def _reshapes_around_sum(swapped: bool) -> Rule:
    x, c, before_shape, after_shape = tensors("x c before_shape after_shape")
    before = Op(("Reshape", "Unsqueeze"), x, maybe(before_shape), name="before")
    middle = Op(("Add", "Mul"), *ordered(swapped, before, c), name="middle")
    after = Op(("Reshape", "Squeeze"), middle, maybe(after_shape), name="after")
    without_one = weight(dtype=c.dtype, shape=c.shape[1:], name="without_one")
    return Rule(
        named("sum between reshapes", swapped),
        [after, middle, before],
        where=[
            c.is_constant,
            before.uses == 1,
            middle.uses == 1,
            x.shape == after.shape,
            before.shape == concat([1], x.shape),
            c.rank == before.rank,
        ],
        replace=Create(middle.kind, x, without_one, into=after),
        why="A view that adds a dimension of 1, a sum with a constant, and the view back are the sum alone.",
        source=common("reshape_sequence_fusion.cpp"),
    )


RESHAPES_AROUND_SUMS = Rewrite("reshapes around sums", [_reshapes_around_sum(swapped) for swapped in SWAPPED])
