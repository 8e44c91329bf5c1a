"""Element-wise kernels, described by how their operands are broadcast."""

from __future__ import annotations

from nnmeter.graph.ir import DTYPE_BITS
from nnmeter.kernels.family import Family
from nnmeter.kernels.features.common import FUSED_NAMES, fused, log_size, product, result_bits, result_of
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.operators.broadcasts import is_by_element

ELEMENTWISE_NAMES = (
    "log_span", "log_spans", "scalar_operand", "constant_operands", "broadcast", "second_item_bits", "out_item_bits",
    "log_last", FUSED_NAMES[0], "by_element",
)  # fmt: skip


def elementwise(s: KernelSignature) -> list[float]:
    """In the order of `ELEMENTWISE_NAMES`."""
    y = result_of(s)
    # The span: trailing elements over which no input is broadcast in another way than throughout, which is the loop
    # that a runtime vectorises; a product of [1, C, H, W] and [1, C, 1, 1] has spans of H*W and one scalar operand.
    span = 1
    broadcast = 0
    scalar = 0
    shapes = [t.shape for t in s.inputs if t is not None]
    for shape in shapes:
        if product(shape) == 1 and product(y) > 1:
            scalar += 1
        elif product(shape) != product(y):
            broadcast += 1
    full = [s for s in shapes if product(s) != 1]
    kinds: tuple[bool, ...] | None = None
    for position in range(1, len(y) + 1):
        size = y[-position]
        if size == 1:
            continue
        kind = tuple(len(shape) >= position and shape[-position] == size for shape in full)
        if kinds is None:
            kinds = kind
        elif kind != kinds:
            break
        span *= size
    total = product(y)
    types = [t for t in s.inputs if t is not None]
    return [
        log_size(span),
        log_size(total // max(span, 1)),
        float(scalar),
        float(sum(s.constants)),
        float(broadcast),
        float(DTYPE_BITS[types[1].dtype] if len(types) > 1 else -1),
        float(result_bits(s)),
        log_size(y[-1] if y else 1),
        fused(s.type, 0)[0],
        float(is_by_element(s.inputs)),
    ]


FAMILIES = (Family("elementwise", ELEMENTWISE_NAMES, elementwise),)
