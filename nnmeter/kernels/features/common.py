"""What all features are made with: sizes as logarithms, shapes of inputs, and the features that every kernel has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import log2, prod

from nnmeter.graph.ir import DTYPE_BITS, TensorType
from nnmeter.kernels.family import Family
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.operators.cost import Cost
from nnmeter.operators.table import GENERIC

# Code of what is fused behind the anchor; ordered roughly by what it costs, 0 is nothing, -1 is not in the table.
_FUSED_CODES: dict[str, int] = {
    "": 0, "Relu": 1, "LeakyRelu": 2, "Clip": 3, "HardSigmoid": 4, "HardSwish": 5, "Sigmoid": 6, "Tanh": 7, "Gelu": 8,
}  # fmt: skip

# What an element of the result costs in each operator fused behind the anchor, in vector instructions, about: those
# made of an exponential or a polynomial cost ten times a comparison. Trees need the order of it, not the numbers.
_FUSED_WORK: dict[str, int] = {
    "Add": 1, "Sub": 1, "Mul": 1, "Relu": 1, "Clip": 2, "LeakyRelu": 2, "PRelu": 2, "HardSigmoid": 3, "HardSwish": 4,
    "Div": 4, "Sqrt": 5, "Exp": 10, "Elu": 12, "Sigmoid": 12, "Swish": 13, "Tanh": 15, "Erf": 18, "Gelu": 20,
    "Softplus": 20, "Mish": 30,
}  # fmt: skip
_FUSED_WORK_ELSE = 3
FUSED_NAMES = ("fused_work", "fused_share")

COMMON_NAMES = (
    "anchor", "log_flops", "log_in_bytes", "log_constant_bytes", "log_out_bytes", "log_out_elements", "log_intensity",
    "item_bits", "inputs", "outputs", "rank", "log_batch", "fused", "adds",
)  # fmt: skip


def log_size(size: float) -> float:
    """A size as the logarithm that features use (rule 2); one below nothing, which only nonsense has, is nothing."""
    return log2(1.0 + max(size, 0))


def common(signature: KernelSignature, cost: Cost) -> list[float]:
    """The features that every kernel has, in the order of `COMMON_NAMES`."""
    constant = activation = present = 0
    first: TensorType | None = None
    for tensor, is_constant in zip(signature.inputs, signature.constants, strict=True):
        if tensor is None:
            continue
        first = first or tensor
        present += 1
        if is_constant:
            constant += tensor.bytes
        else:
            activation += tensor.bytes
    outputs = signature.outputs
    out_bytes = elements = 0
    for result in outputs:
        out_bytes += result.bytes
        elements += result.elements
    first = first or (outputs[0] if outputs else TensorType("float32", ()))
    shape = outputs[0].shape if outputs else ()
    flops, moved = max(cost.flops, 0), max(cost.bytes_read + cost.bytes_written, 0)  # less than none is nonsense
    return [
        -1.0,
        log2(1.0 + flops),
        log2(1.0 + activation),
        log2(1.0 + constant),
        log2(1.0 + out_bytes),
        log2(1.0 + elements),
        log2((1.0 + flops) / (1.0 + moved)),
        float(DTYPE_BITS[first.dtype]),
        float(present),
        float(len(outputs)),
        float(len(shape)),
        log2(1.0 + (shape[0] if shape else 1)),
        *_fused_codes(signature.type),
    ]


@lru_cache(maxsize=1024)
def _fused_codes(kernel_type: str) -> tuple[float, float]:
    """The features "fused" and "adds" of a kernel's type; a device has few types."""
    parts = kernel_type.split("+")[1:]
    fused = parts[-1] if parts and parts[-1] != "Add" else ""
    return float(_FUSED_CODES.get(fused, -1)), float("Add" in parts)


def fused(kernel_type: str, products: int) -> tuple[float, float]:
    """In the order of `FUSED_NAMES`: what fused operators cost an element of the result, and that beside its products.

    Args:
        kernel_type: anchor and what is fused to it, joined by "+".
        products: how many products the anchor sums up for an element of its result.
    """
    work = _work_of(kernel_type)
    return work, log2((1.0 + work) / (1.0 + max(products, 0)))


@lru_cache(maxsize=1024)
def _work_of(kernel_type: str) -> float:
    return float(sum(_FUSED_WORK.get(part, _FUSED_WORK_ELSE) for part in kernel_type.split("+")[1:]))


def at(values: Sequence[int] | None, index: int, default: int) -> int:
    """An item of a list that may be absent or short."""
    return values[index] if values is not None and -len(values) <= index < len(values) else default


def shape_of(signature: KernelSignature, position: int) -> tuple[int, ...]:
    """The shape of an input; empty where it is absent."""
    if position < len(signature.inputs):
        tensor = signature.inputs[position]
        if tensor is not None:
            return tensor.shape
    return ()


def result_of(signature: KernelSignature) -> tuple[int, ...]:
    """The shape of the first result; empty where there is none."""
    return signature.outputs[0].shape if signature.outputs else ()


def result_bits(signature: KernelSignature) -> int:
    """Width of an item of the first result; -1 where there is none."""
    return DTYPE_BITS[signature.outputs[0].dtype] if signature.outputs else -1


def channels_first(signature: KernelSignature) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of data and result as N, C, spatial axes, whichever order the kernel has them in."""
    x, y = shape_of(signature, 0), result_of(signature)
    if not (x and y):
        return x, y
    if signature.attribute("channels_last", 0) or signature.op_type.startswith("Nhwc"):
        x, y = (x[0], x[-1], *x[1:-1]), (y[0], y[-1], *y[1:-1])
    return x, y


def product(sizes: Sequence[int]) -> int:
    """The number of elements of a shape."""
    return prod(sizes)


FAMILIES = (Family("view"), Family(GENERIC))  # with no features of their own
