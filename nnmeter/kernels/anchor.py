"""What kernels are sampled by: the operator with its element type, and the family that describes it.

Rules:

1. An *anchor* is an operator as the runtime names it (`nchwc.Conv`, `Gemm`, `acme.MatMul`) and the type of its first
   input's elements. It says nothing of families: those are nnmeter's own, and may change.
2. Quantized products by unsigned weights are other anchors than those by signed ones (`uint8*uint8`): machines have
   instructions for unsigned by signed bytes alone. (MatMulInteger of 256 x 512 x 512 in ONNX Runtime 1.32 with one
   thread of a CPU with AVX-512 VNNI: 0.33 ms by signed, 0.82 ms by unsigned weights.)
3. A *kind* is the kernels of one anchor that one family describes. Most anchors have one kind; convolutions have up to
   three, for dense, grouped and depthwise ones are other code. Kinds are what training ranks, and what errs together.
"""

from __future__ import annotations

from typing import NamedTuple

from nnmeter.kernels.kernel import KernelSignature

# Quantized products and convolutions: the position of their weights.
_QUANTIZED_WEIGHT: dict[str, int] = {
    "QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3, "MatMulInteger": 1, "ConvInteger": 1, "MatMulIntegerToFloat": 1,
    "DynamicQuantizeMatMul": 1, "DynamicQuantizeLSTM": 1,
}  # fmt: skip


class Anchor(NamedTuple):
    """An operator as the runtime names it, and its element type (rules 1 and 2)."""

    operator: str
    element_type: str

    def __str__(self) -> str:
        """As JSON has it: `nchwc.Conv|float32`."""
        return f"{self.operator}|{self.element_type}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """The anchor that `str` wrote; ValueError where a part is missing."""
        operator, bar, element_type = text.rpartition("|")
        if not (operator and bar and element_type):
            raise ValueError(f"'{text}' is no operator and element type, such as 'Conv|float32'")
        return cls(operator, element_type)


class Kind(NamedTuple):
    """The kernels of an anchor that one family describes (rule 3)."""

    family: str
    anchor: Anchor

    def __str__(self) -> str:
        """As people read it, and as kinds are sorted: `convolution:nchwc.Conv|float32`."""
        return f"{self.family}:{self.anchor}"

    @classmethod
    def parse(cls, text: str) -> Kind:
        """The kind that `str` wrote; ValueError where a part is missing."""
        family, colon, anchor = text.partition(":")
        if not (family and colon):
            raise ValueError(f"'{text}' has no family, such as 'convolution:Conv|float32' has")
        return cls(family, Anchor.parse(anchor))


def anchor_of(signature: KernelSignature) -> Anchor:
    """The anchor of a kernel (rules 1 and 2)."""
    first = next((t.dtype for t in signature.inputs if t is not None), "none")
    unsigned = "*uint8" if _has_unsigned_weight(signature) else ""
    return Anchor(signature.type.partition("+")[0], first + unsigned)


def _has_unsigned_weight(signature: KernelSignature) -> bool:
    position = _QUANTIZED_WEIGHT.get(signature.op_type)
    if position is None or len(signature.inputs) <= position:
        return False
    weight = signature.inputs[position]
    return weight is not None and weight.dtype == "uint8"
