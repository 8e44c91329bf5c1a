"""Shapes of matrix products, contractions and attention."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.graph.ir import Node, TensorType
from nnmeter.operators.shape_rules.common import (
    Context,
    Inputs,
    MismatchError,
    Rule,
    ShapeError,
    axis_of,
    broadcast,
    optional,
    present,
    product,
    show,
    table,
)
from nnmeter.operators.shape_rules.windows import retyped, retyped_as


def matmul_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a product by NumPy's rules: vectors are promoted, leading dimensions broadcast."""
    if not a or not b:
        raise ShapeError("a scalar cannot be multiplied as a matrix")
    rows = a if len(a) > 1 else (1, *a)
    columns = b if len(b) > 1 else (*b, 1)
    if rows[-1] != columns[-2]:
        message = f"shapes {show(a)} and {show(b)} cannot be multiplied"
        raise MismatchError(message, (rows[-1], columns[-2]))
    batch = broadcast(rows[:-2], columns[:-2])
    return batch + (rows[-2:-1] if len(a) > 1 else ()) + (columns[-1:] if len(b) > 1 else ())


def product_of(left: int, right: int) -> Rule:
    """The rule of a product of two of the inputs."""

    def rule(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
        a = present(inputs, left)
        return (TensorType(a.dtype, matmul_shape(a.shape, present(inputs, right).shape)),)

    return rule


def transposed(shape: tuple[int, ...], matrix: int, batch: int) -> tuple[int, ...]:
    """A shape with its last two dimensions, or the first with the one before the rows, exchanged (FusedMatMul)."""
    if batch and len(shape) > 2:
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if matrix and len(shape) > 1 else shape


def fused_matmul(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """A product whose operands are transposed first."""
    get = node.attributes.get
    a = present(inputs, 0)
    left = transposed(a.shape, get("transA", 0), get("transBatchA", 0))
    right = transposed(present(inputs, 1).shape, get("transB", 0), get("transBatchB", 0))
    return (TensorType(a.dtype, matmul_shape(left, right)),)


def gemm(left: int, right: int) -> Rule:
    """The rule of a product of two matrices with flags."""

    def rule(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
        a, b = present(inputs, left), present(inputs, right).shape
        if len(a.shape) != 2 or len(b) != 2:
            raise ShapeError(f"shapes {show(a.shape)} and {show(b)} are not two matrices")
        rows, depth = a.shape[::-1] if node.attributes.get("transA", 0) else a.shape
        inner, columns = b[::-1] if node.attributes.get("transB", 0) else b
        if depth != inner:
            raise ShapeError(f"shapes {show(a.shape)} and {show(b)} cannot be multiplied")
        return (TensorType(a.dtype, (rows, columns)),)

    return rule


def einsum_shape(equation: str, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Shape of an Einstein sum.

    Raises:
        ShapeError: the equation does not fit the shapes.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ShapeError(f"equation '{equation}' does not fit {len(shapes)} inputs")
    strange = next((c for c in f"{left}{right}" if not (c.isascii() and c.isalpha()) and c not in ",."), None)
    if strange is not None:
        raise ShapeError(f"equation '{equation}' has {strange!r}, which is no letter")
    sizes: dict[str, int] = {}
    rest: tuple[int, ...] = ()
    for term, shape in zip(terms, shapes, strict=True):
        head, dots, tail = term.partition("...")
        if (len(head) + len(tail) > len(shape)) if dots else (len(head) != len(shape)):
            raise ShapeError(f"equation '{equation}' does not fit the shape {show(shape)}")
        if dots:
            rest = broadcast(rest, shape[len(head) : len(shape) - len(tail)])
        labels = [*zip(head, shape, strict=False), *zip(reversed(tail), reversed(shape), strict=False)]
        for label, size in labels:
            sizes[label] = max(sizes.get(label, 1), size)
    if not arrow:
        single = sorted(label for label in sizes if left.count(label) == 1)
        right = ("..." if "..." in left else "") + "".join(single)
    head, dots, tail = right.partition("...")
    for label in head + tail:
        if label not in sizes:
            raise ShapeError(f"equation '{equation}' has '{label}' in its result and in no input")
    if len(set(head + tail)) != len(head + tail):
        raise ShapeError(f"equation '{equation}' has a label twice in its result")
    middle = rest if dots else ()
    return tuple([sizes[c] for c in head]) + middle + tuple([sizes[c] for c in tail])


def _einsum(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    shapes = [present(inputs, position).shape for position in range(len(inputs))]
    return (TensorType(present(inputs, 0).dtype, einsum_shape(node.attributes["equation"], shapes)),)


def _det(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    return (TensorType(x.dtype, x.shape[:-2]),)


def _attention(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """Attention of ai.onnx (opset 23): Q, K, V of rank 3 or 4, past keys and values to append to."""
    q, k, v = present(inputs, 0), present(inputs, 1), present(inputs, 2)
    past = optional(inputs, 4)
    ranks = {len(kind.shape) for kind in (q, k, v)}
    if ranks not in ({3}, {4}) or (past is not None and len(past.shape) != 4):
        raise ShapeError(
            "its queries, keys and values are not all of rank 3 or of rank 4, or its past is not of rank 4"
        )
    if len(q.shape) == 4:
        batch, heads, rows, _ = q.shape
        kv_heads, columns, key_width = k.shape[1:]
        value_width = v.shape[3]
        y: tuple[int, ...] = (batch, heads, rows, value_width)
    else:
        heads, kv_heads = node.attributes["q_num_heads"], node.attributes["kv_num_heads"]
        batch, rows, _ = q.shape
        columns, key_width = k.shape[1], k.shape[2] // kv_heads
        value_width = v.shape[2] // kv_heads
        y = (batch, rows, heads * value_width)
    total = columns + (past.shape[2] if past is not None else 0)
    return (
        TensorType(q.dtype, y),
        TensorType(k.dtype, (batch, kv_heads, total, key_width)),
        TensorType(v.dtype, (batch, kv_heads, total, value_width)),
        TensorType(q.dtype, (batch, heads, rows, total)),
    )


def _loss(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    scores, labels = present(inputs, 0), present(inputs, 1)
    whole = node.attributes.get("reduction", "mean") == "none"
    return TensorType(scores.dtype, labels.shape if whole else ()), scores


def _fourier(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    given = context.integers(node, 2)
    rank = len(x.shape)
    usual = 1 if context.opsets.get("", 20) < 20 else -2
    axis = axis_of(given[0] if given else node.attributes.get("axis", usual if rank > 2 else 0), rank)
    length = context.integers(node, 1)
    size = length[0] if length else x.shape[axis]
    inverse = node.attributes.get("inverse", 0)
    one_sided = node.attributes.get("onesided", 0)
    shape = list(x.shape)
    if one_sided:
        if not inverse and shape[-1] != 1:
            raise ShapeError("a one-sided transform is of real numbers, its last axis of size 1")
        size = size // 2 + 1 if not inverse else size if length else 2 * (size - 1)
    shape[axis] = size
    shape[-1] = 1 if one_sided and inverse else 2
    return (TensorType(x.dtype, tuple(shape)),)


def _short_fourier(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    (step,) = context.integers(node, 1) or (1,)
    window = optional(inputs, 2)
    length = context.integers(node, 3)
    frame = length[0] if length else product(window.shape if window is not None else x.shape[1:2])
    bins = frame // 2 + 1 if node.attributes.get("onesided", 1) else frame
    return (TensorType(x.dtype, (x.shape[0], (x.shape[1] - frame) // step + 1, bins, 2)),)


RULES: dict[str, Rule] = table(
    ("MatMul", product_of(0, 1)),
    ("MatMulInteger", retyped(product_of(0, 1), "int32")),
    ("QLinearMatMul", retyped_as(product_of(0, 3), 7)),
    ("Gemm", gemm(0, 1)),
    ("Einsum", _einsum),
    ("Det", _det),
    ("Attention", _attention),
    ("NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss", _loss),
    ("DFT", _fourier),
    ("STFT", _short_fourier),
)
