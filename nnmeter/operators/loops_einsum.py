"""What an Einsum takes that is no one product of matrices.

Rules (ONNX Runtime 1.32, one thread of a Zen 4 server; nanoseconds), beside 3,000 for reading the equation:
1. Of one operand, a diagonal is read; a sum takes 0.2 an element, axes that change places 0.6 where the last one stays,
   else 0.5, or 2 (of a matrix 0.9) where the step from one result of the last axis to the next is a multiple of 1 KiB.
2. Of two operands, each combination of the labels that both and the result have is a product of matrices for itself:
   190 for the call, 2.5 for each row of the second matrix and 16 columns, for each row and inner element
   `0.1 + 0.03 x columns`, and 0.3 for each result. Where these labels come last in the result, it is transposed: 1.5.
3. Nothing is told of two operands with no such label, which are one product, and of three and more.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from nnmeter.graph.ir import TensorType
from nnmeter.operators.flops import (
    Attributes,
    FlopRule,
    Types,
    einsum_result,
    einsum_sizes,
    einsum_terms,
    product,
)  # fmt: skip

_EQUATION_NS = 3000.0
_COLLIDING = 256  # elements of four bytes: 1 KiB
_LANES = 16  # columns that a product of matrices computes together


def _contracted(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    terms = einsum_terms(attributes, inputs)
    sizes, result = einsum_sizes(attributes, inputs), einsum_result(attributes, inputs, outputs)
    if len(terms) == 1:
        return _EQUATION_NS + _of_one(terms[0], result, sizes)
    loop_ns = _of_two(terms, result, sizes) if len(terms) == 2 else 0.0
    return _EQUATION_NS + loop_ns if loop_ns else 0.0


def _of_one(term: Sequence[str], result: Sequence[str], sizes: dict[str, int]) -> float:
    """Rule 1."""
    elements = product([sizes[label] for label in set(term)])
    stay = [label for label in term if label in result]
    if len(set(term)) < len(term):
        return 0.5 * elements
    if stay == list(result):
        return 0.2 * elements
    if stay[-1:] == list(result[-1:]):
        return 0.6 * elements
    step = product([sizes[label] for label in result[list(result).index(term[-1]) + 1 :]]) if term[-1] in result else 1
    return (0.5 if step % _COLLIDING else 0.9 if len(term) == 2 else 2.0) * elements


def _of_two(terms: Sequence[Sequence[str]], result: Sequence[str], sizes: dict[str, int]) -> float:
    """Rule 2."""
    left, right = map(set, terms)
    batch = left & right & set(result)
    if not batch:
        return 0.0
    inner = product([sizes[label] for label in (left & right) - batch])
    rows, columns = (product([sizes[label] for label in (side & set(result)) - batch]) for side in (left, right))
    one = 190 + 2.5 * inner * ceil(columns / _LANES) + rows * inner * (0.1 + 0.03 * columns) + 0.3 * rows * columns
    moved = 1.5 * rows * columns if result and result[-1] in batch and rows * columns > 1 else 0.0
    return product([sizes[label] for label in batch]) * (one + moved)


EINSUM_LOOPS = FlopRule(
    "0.2 to 2 ns an element of one operand; a product of matrices for each label of both", _contracted
)
