"""Products of matrices, and what runtimes build of them: attention and recurrent layers in one kernel."""

from __future__ import annotations

from nnmeter.graph.ir import DTYPE_BITS
from nnmeter.kernels.family import Family
from nnmeter.kernels.features.common import FUSED_NAMES, at, fused, log_size, product, result_of, shape_of
from nnmeter.kernels.kernel import KernelSignature

MATMUL_NAMES = (
    "log_batch_of_matrices", "log_m", "log_n", "log_k", "m", "n_mod_16", "k_mod_16", "m_mod_12", "transposed_a",
    "transposed_b", "constant_b", "log_b_bytes", "log_a_bytes", "batched_b", "transposed_batch", "log_free_a",
    "log_free_b", "log_summed", "turned", *FUSED_NAMES,
)  # fmt: skip


def matmul(s: KernelSignature) -> list[float]:
    """In the order of `MATMUL_NAMES`."""
    second = {"QLinearMatMul": 3, "QGemm": 3, "QOrderedMatMul": 2}.get(s.op_type, 1)
    a, b, y = shape_of(s, 0), shape_of(s, second), result_of(s)
    transposed_a = s.attribute("transA", 0)
    transposed_b = s.attribute("transB", 0)
    batch_transposed = s.attribute("transBatchA", 0) + s.attribute("transBatchB", 0)
    n = y[-1] if y else 1
    k = (a[-2] if transposed_a and len(a) > 1 else a[-1]) if a else 1
    m = y[-2] if len(y) > 1 else 1
    batch = product(y[:-2])
    batched_b = len(b) > 2 and product(b[:-2]) > 1
    if not batched_b and not transposed_a:  # one product of all the rows, which is how runtimes execute it
        m, batch = m * batch, 1
    return [
        log_size(batch),
        log_size(m),
        log_size(n),
        log_size(k),
        float(min(m, 512)),
        float(n % 16),
        float(k % 16),
        float(m % 12),
        float(transposed_a),
        float(transposed_b),
        float(len(s.constants) > second and s.constants[second]),
        log_size(product(b) * 4),
        log_size(product(a) * 4),
        float(batched_b),
        float(batch_transposed),
        *_contraction(s),
        *fused(s.type, k),
    ]


def _contraction(s: KernelSignature) -> tuple[float, float, float, float]:
    """Of Einsum what is free in one operand alone, and what is summed over; and operands with summed axes not last.

    Runtimes turn such operands first. -1 for all other operators, whose sizes the features before these have.
    """
    left, right, result = _terms(s)
    if not (left and right):
        return -1.0, -1.0, -1.0, -1.0
    lengths = {**dict(zip(left, shape_of(s, 0), strict=False)), **dict(zip(right, shape_of(s, 1), strict=False))}
    free = [
        product([lengths[c] for c in own if c in result and c not in other])
        for own, other in ((left, right), (right, left))
    ]
    summed = [c for c in lengths if c not in result]
    turned = sum(not own.endswith("".join(c for c in own if c in summed)) for own in (left, right))
    return log_size(free[0]), log_size(free[1]), log_size(product([lengths[c] for c in summed])), float(turned)


def _terms(s: KernelSignature) -> tuple[str, str, str]:
    """The subscripts of an Einsum of two operands and of its result; empty for anything else."""
    equation = s.attribute("equation", "") if s.op_type == "Einsum" else ""
    operands, _, result = str(equation).replace(" ", "").partition("->")
    terms = operands.split(",")
    shapes = [shape_of(s, i) for i in range(2)]
    if len(terms) != 2 or not result or any(len(t) != len(x) for t, x in zip(terms, shapes, strict=True)):
        return "", "", ""
    return terms[0], terms[1], result


BLOCKWISE_NAMES = (
    "log_m", "log_n", "log_k", "m", "n_mod_16", "bits", "log_block_size", "blocks", "accuracy_level", "zero_points",
    "scale_bits", "bias", "log_weight_bytes", "log_a_bytes",
)  # fmt: skip


def blockwise_matmul(s: KernelSignature) -> list[float]:
    """In the order of `BLOCKWISE_NAMES`: x, packed weights, scales, zero points, group indices, bias."""
    x, y = shape_of(s, 0), result_of(s)
    n = s.attribute("N", y[-1] if y else 1)
    k = s.attribute("K", x[-1] if x else 1)
    block = max(1, s.attribute("block_size", 32))
    m = product(y[:-1])
    weight, scales = (s.inputs[i] if i < len(s.inputs) else None for i in (1, 2))
    return [
        log_size(m),
        log_size(n),
        log_size(k),
        float(min(m, 512)),
        float(n % 16),
        float(s.attribute("bits", 4)),
        log_size(block),
        float(min(-(-k // block), 512)),
        float(s.attribute("accuracy_level", 0)),
        float(len(s.inputs) > 3 and s.inputs[3] is not None),
        float(DTYPE_BITS[scales.dtype] if scales is not None else -1),
        float(len(s.inputs) > 5 and s.inputs[5] is not None),
        log_size(weight.bytes if weight is not None else 0),
        log_size(product(x) * 4),
    ]


RECURRENT_NAMES = ("log_sequence", "log_hidden", "log_input", "directions")


def recurrent(s: KernelSignature) -> list[float]:
    """In the order of `RECURRENT_NAMES`."""
    x, r = shape_of(s, 0), shape_of(s, 2)
    hidden = (
        min(r[1:]) if len(r) > 2 else 1
    )  # beside gates x hidden, in either order: quantized layers have it transposed
    steps = s.attribute("steps", at(x, 1 if s.attribute("layout", 0) == 1 else 0, 1))
    return [log_size(steps), log_size(hidden), log_size(at(x, 2, 1)), float(at(r, 0, 1))]


ATTENTION_NAMES = ("log_sequence", "log_hidden", "heads")


def attention(s: KernelSignature) -> list[float]:
    """In the order of `ATTENTION_NAMES`."""
    x = shape_of(s, 0)
    return [log_size(at(x, 1, 1)), log_size(x[-1] if x else 1), float(s.attribute("num_heads", -1))]


FAMILIES = (
    Family("matmul", MATMUL_NAMES, matmul, frozenset({"transA", "transB", "transBatchA", "transBatchB", "equation"})),
    Family(
        "blockwise_matmul",
        BLOCKWISE_NAMES,
        blockwise_matmul,
        frozenset({"N", "K", "block_size", "bits", "accuracy_level"}),
    ),
    Family("recurrent", RECURRENT_NAMES, recurrent, frozenset({"steps", "layout"})),
    Family("attention", ATTENTION_NAMES, attention, frozenset({"num_heads"})),
)
