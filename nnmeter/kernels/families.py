"""Kernel families: which kernels share one trained function.

A family is a group of operators that run the same kind of loop, so that samples of one teach the price of another.
Every operator belongs to exactly one, which the table of operators names (`nnmeter.operators.table`); one that is not
in that table, or of a domain that is not, belongs to `generic`, which is described by bytes, elements and FLOPs alone.
To add a family, name it here, give it to its operators there, and add its features to `nnmeter/kernels/features/`.
"""

from __future__ import annotations

from nnmeter.kernels.kernel import KernelSignature
from nnmeter.operators.table import GENERIC, KNOWN_DOMAINS, OPERATORS

FAMILY_OF_OPERATOR: dict[str, str] = {name: operator.family for name, operator in OPERATORS.items()}

_CONVOLUTIONS = frozenset(name for name, family in FAMILY_OF_OPERATOR.items() if family == "convolution")

FAMILIES: tuple[str, ...] = (
    "convolution",
    "grouped_convolution",
    "depthwise_convolution",
    "blockwise_matmul",
    "matmul",
    "pooling",
    "normalization",
    "softmax",
    "elementwise",
    "reduction",
    "transpose",
    "movement",
    "view",
    "resize",
    "recurrent",
    "attention",
    GENERIC,
)


def kernel_family(signature: KernelSignature) -> str:
    """The family of a kernel: a key of `FAMILIES`; convolutions are told apart by their groups."""
    if is_own(signature):
        return GENERIC
    if signature.op_type in _CONVOLUTIONS:
        groups = signature.attribute("group", 1)
        if groups == 1:
            return "convolution"
        weight = _weight(signature)
        if weight is not None and len(weight.shape) > 1 and weight.shape[1] == 1:
            return "depthwise_convolution"
        return "grouped_convolution"
    return FAMILY_OF_OPERATOR.get(signature.op_type, GENERIC)


def is_own(signature: KernelSignature) -> bool:
    """Whether a kernel is of somebody's own operator, which is named by its domain (`nnmeter.kernels.naming`).

    A kernel of a runtime that calls its domain otherwise, and its operators as the standard does, is not.
    """
    domain = signature.domain
    return domain not in KNOWN_DOMAINS and signature.type.startswith(f"{domain}.")


def _weight(signature: KernelSignature):  # type: ignore[no-untyped-def]
    position = 3 if signature.op_type in ("QLinearConv", "QLinearConvTranspose") else 1
    return signature.inputs[position] if len(signature.inputs) > position else None
