"""What a trained function sees of a kernel: the features of each kernel family.

Rules:

1. Every feature is a finite number made from the signature alone; an absent quantity is -1.
2. Sizes enter as log2(1 + size), because latency is a power law of sizes nearly everywhere.
3. Every family has the common features first (FLOPs, bytes, elements, type), then its own.
4. What matters to a vector unit enters as it is: widths and remainders by the register blocking of 4 x 16.
5. The order is the schema. `FEATURE_NAMES` is stored with a predictor and compared when it is loaded.
6. Quantized products by unsigned weights are other anchors than those by signed ones: machines have instructions for
   unsigned by signed bytes alone (MatMulInteger of 256 x 512 x 512 in ONNX Runtime 1.32 with one thread of a CPU with
   AVX-512 VNNI: 0.33 ms by signed, 0.82 ms by unsigned weights).

To add a family: write a function from signature to a list of numbers in a module of this package, and enter it with the
names of its numbers in `_OWN`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from nnmeter.kernels.checked import checked_kernel
from nnmeter.kernels.families import FAMILIES, is_own, kernel_family
from nnmeter.kernels.features.common import COMMON_NAMES, common
from nnmeter.kernels.features.convolution import CONVOLUTION_NAMES, convolution
from nnmeter.kernels.features.elementwise import ELEMENTWISE_NAMES, elementwise
from nnmeter.kernels.features.matrix import (
    ATTENTION_NAMES,
    BLOCKWISE_NAMES,
    MATMUL_NAMES,
    RECURRENT_NAMES,
    attention,
    blockwise_matmul,
    matmul,
    recurrent,
)
from nnmeter.kernels.features.movement import MOVEMENT_NAMES, TRANSPOSE_NAMES, movement, transpose
from nnmeter.kernels.features.rows import REDUCTION_NAMES, ROW_NAMES, reduction, rows
from nnmeter.kernels.features.windows import POOLING_NAMES, RESIZE_NAMES, pooling, resize
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.operators.cost import Cost, operator_cost

__all__ = ["COMMON_NAMES", "FEATURE_NAMES", "KernelFeatures", "kernel_features", "signature_cost"]


class KernelFeatures(NamedTuple):
    """Family, anchor (vocabulary key: family, operator and element type) and features of one kernel, with its cost."""

    family: str
    anchor: str
    values: tuple[float, ...]  # in the order of FEATURE_NAMES[family]; the first, "anchor", is filled by the predictor
    cost: Cost


def signature_cost(signature: KernelSignature) -> Cost:
    """FLOPs and bytes of a kernel: its anchor's, and one FLOP an output element for each operator fused to it."""
    domain = signature.domain if is_own(signature) else ""
    cost = operator_cost(signature.op_type, domain, dict(signature.attributes), signature.inputs, signature.outputs)
    fused = signature.type.count("+")
    if not fused or not signature.outputs:
        return cost
    return Cost(cost.flops + fused * signature.outputs[0].elements, cost.bytes_read, cost.bytes_written)


@lru_cache(maxsize=65536)
def kernel_features(signature: KernelSignature) -> KernelFeatures:
    """The features of a kernel, `FEATURE_NAMES[family]` naming them one by one.

    Raises:
        ModelError: inputs or attributes of the kernel are not what its operator has.
    """
    with checked_kernel(signature):
        return _features(signature)


def _features(signature: KernelSignature) -> KernelFeatures:
    family = kernel_family(signature)
    cost = signature_cost(signature)
    own = _OWN.get(family)
    values = common(signature, cost)
    if own is not None:
        values += own[1](signature)
    anchor = signature.type.partition("+")[0]
    dtype = next((t.dtype for t in signature.inputs if t is not None), "none")
    return KernelFeatures(family, f"{family}:{anchor}|{dtype}{_weight_kind(signature)}", tuple(values), cost)


# Quantized products and convolutions: the position of their weights.
_QUANTIZED_WEIGHT: dict[str, int] = {
    "QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3, "MatMulInteger": 1, "ConvInteger": 1, "MatMulIntegerToFloat": 1,
    "DynamicQuantizeMatMul": 1, "DynamicQuantizeLSTM": 1,
}  # fmt: skip


def _weight_kind(signature: KernelSignature) -> str:
    """Rule 6: what an anchor says of unsigned weights; nothing of signed ones."""
    position = _QUANTIZED_WEIGHT.get(signature.op_type)
    if position is None or len(signature.inputs) <= position:
        return ""
    weight = signature.inputs[position]
    return "*uint8" if weight is not None and weight.dtype == "uint8" else ""


_OWN: Mapping[str, tuple[tuple[str, ...], Callable[[KernelSignature], list[float]]]] = {
    "convolution": (CONVOLUTION_NAMES, convolution),
    "grouped_convolution": (CONVOLUTION_NAMES, convolution),
    "depthwise_convolution": (CONVOLUTION_NAMES, convolution),
    "blockwise_matmul": (BLOCKWISE_NAMES, blockwise_matmul),
    "matmul": (MATMUL_NAMES, matmul),
    "pooling": (POOLING_NAMES, pooling),
    "normalization": (ROW_NAMES, rows),
    "softmax": (ROW_NAMES, rows),
    "elementwise": (ELEMENTWISE_NAMES, elementwise),
    "reduction": (REDUCTION_NAMES, reduction),
    "transpose": (TRANSPOSE_NAMES, transpose),
    "movement": (MOVEMENT_NAMES, movement),
    "resize": (RESIZE_NAMES, resize),
    "recurrent": (RECURRENT_NAMES, recurrent),
    "attention": (ATTENTION_NAMES, attention),
}

FEATURE_NAMES: dict[str, tuple[str, ...]] = {
    family: COMMON_NAMES + (_OWN[family][0] if family in _OWN else ()) for family in FAMILIES
}
