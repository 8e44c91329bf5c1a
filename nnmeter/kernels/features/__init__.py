"""What a trained function sees of a kernel: the features of each kernel family.

Rules:

1. Every feature is a finite number made from the signature alone, whatever ranks and lengths it has; an absent quantity
   is -1.
2. Sizes enter as log2(1 + size), because latency is a power law of sizes nearly everywhere.
3. Every family has the common features first (FLOPs, bytes, elements, type), then its own.
4. What matters to a vector unit enters as it is: widths and remainders by the register blocking of 4 x 16.
5. The order is the schema. `FEATURE_NAMES` is stored with a predictor and compared when it is loaded.

To add a family: write a function from signature to a list of numbers in a module of this package, declare it there in
`FAMILIES`, and name the family in the rows of its operators (`nnmeter.operators.table`); see
`docs/adding-a-kernel-family.md`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from nnmeter.kernels.anchor import Anchor, Kind, anchor_of
from nnmeter.kernels.features.common import COMMON_NAMES, common
from nnmeter.kernels.features.families import (
    FAMILIES,
    FEATURE_NAMES,
    family_among,
    is_own,
    kernel_family,
)
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.operators.cost import Cost, operator_cost

__all__ = [
    "COMMON_NAMES",
    "FAMILIES",
    "FEATURE_NAMES",
    "KernelFeatures",
    "family_among",
    "kernel_family",
    "kernel_features",
    "signature_cost",
]


class KernelFeatures(NamedTuple):
    """Kind and features of one kernel, with its cost."""

    kind: Kind
    values: tuple[float, ...]  # in the order of FEATURE_NAMES[family]; the first, "anchor", is filled by the predictor
    cost: Cost

    @property
    def family(self) -> str:
        """Kernel family that the features are of."""
        return self.kind.family

    @property
    def anchor(self) -> Anchor:
        """Operator and element type."""
        return self.kind.anchor


def signature_cost(signature: KernelSignature) -> Cost:
    """FLOPs and bytes of a kernel: its anchor's, and one FLOP an output element for each operator fused to it."""
    domain = signature.domain if is_own(signature) else ""
    cost = operator_cost(signature.op_type, domain, dict(signature.attributes), signature.inputs, signature.outputs)
    fused = signature.type.count("+")
    if not fused or not signature.outputs:
        return cost
    return Cost(cost.flops + fused * signature.outputs[0].elements, cost.bytes_read, cost.bytes_written)


@lru_cache(maxsize=65536)
def kernel_features(signature: KernelSignature, family: str | None = None) -> KernelFeatures:
    """The features of a kernel, `FEATURE_NAMES[family]` naming them one by one.

    Args:
        signature: of the kernel.
        family: a key of `FAMILIES` to describe it by; that of the table of operators if not given.
    """
    described_by = FAMILIES[family or kernel_family(signature)]
    cost = signature_cost(signature)
    values = common(signature, cost) + described_by.values(signature)
    return KernelFeatures(Kind(described_by.name, anchor_of(signature)), tuple(values), cost)
