"""Dynamic quantization: scales of the run, and products of integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnmeter.fusion.rulesets.openvino.dynamic_quantization import INTEGER_PRODUCTS, SHARED_DATA
from tests.fusion.rulesets.applying import applied, rewritten

WEIGHTS: dict[str, Any] = {"w": np.ones((16, 32), np.int8), "u": np.int8(0)}


def test_a_product_subtracts_its_zero_point_in_32_bits_and_multiplies_in_single_precision() -> None:
    text = "agraph (uint8[8,16] q, uint8 z) => (int32[8,32] y) { y=MatMulInteger(q,w,z,u) }"
    graph = rewritten(INTEGER_PRODUCTS, text, **WEIGHTS)
    assert [node.kind for node in graph.ordered()] == ["Cast", "Cast", "Sub", "Retype", "MatMul", "Retype"]
    (product,) = graph.of_kinds(["MatMul"])
    assert {graph.types[tensor].dtype for tensor in (*product.inputs, *product.outputs)} == {"float32"}


def test_a_zero_point_of_zero_is_not_subtracted() -> None:
    body = "y=MatMulInteger(q,w,z,u)"
    for zero, weights in ((np.uint8(0), WEIGHTS), (np.uint8(3), WEIGHTS)):
        kinds = applied(INTEGER_PRODUCTS, "uint8[8,16] q", "int32[8,32] y", body, z=zero, **weights).split()
        assert ("Sub" in kinds) == bool(zero)


def test_a_product_of_two_computed_tensors_is_left_alone() -> None:
    kinds = applied(INTEGER_PRODUCTS, "uint8[8,16] q, int8[16,32] w", "int32[8,32] y", "y=MatMulInteger(q,w)")
    assert kinds == "MatMulInteger"


def test_products_of_the_same_data_share_what_they_compute_of_them() -> None:
    body = "a=MatMulInteger(q,w,z,u) b=MatMulInteger(q,v,z,u) y=Add(a,b)"
    passes = [INTEGER_PRODUCTS, SHARED_DATA]
    graph = rewritten(
        passes,
        f"agraph (uint8[8,16] q, uint8 z) => (int32[8,32] y) {{ {body} }}",
        v=np.ones((16, 32), np.int8),
        **WEIGHTS,
    )
    assert sorted(node.kind for node in graph.ordered()) == [
        *("Add", "Cast", "Cast", "MatMul", "MatMul", "Retype", "Retype", "Retype", "Sub"),
    ]  # fmt: skip
