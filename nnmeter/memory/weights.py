"""What the weights of a model take while it runs.

1. A constant that a kernel reads is held once, however many read it. What was folded away is not held.
2. ONNX Runtime repacks the right side of a matrix product (`PrePack` of its CPU kernels): columns are rounded up to a
   multiple of 16. The weight as it was is let go if all its readers repack it.
3. So it does with the weights of convolutions of integers, group by group, each with a sum a column; those of depthwise
   and symmetric ones (`nnmeter.memory.workspace`) keep their size.
4. What it packs out of another order than it is stored in, it brings into that order first: the transposed weights of a
   product of integers, and those of a convolution of integers, a group at a time. That scratch is taken from the arena,
   which keeps it for activations.
5. OpenVINO packs the weights of products and convolutions too, but keeps them as they are in the file beside it: what
   the models of `data/zoo` take is their weights twice, but for tables that `Gather` reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import DTYPE_BITS, TensorType
from nnmeter.memory.workspace import is_depthwise, is_symmetric

_COLUMNS = 16  # that a packed panel has

# Kind of node -> position of the input that it repacks (rule 2).
_PACKED: dict[str, int] = {
    "MatMul": 1,
    "Gemm": 1,
    "com.microsoft.FusedMatMul": 1,
    "com.microsoft.FusedGemm": 1,
    "com.microsoft.DynamicQuantizeMatMul": 1,
    "com.microsoft.MatMulIntegerToFloat": 1,
    "com.microsoft.QGemm": 3,
    "MatMulInteger": 1,
    "QLinearMatMul": 3,
    "com.microsoft.MatMulNBits": 1,
}

# Kinds of OpenVINO's kernels that hold a packed copy of their second input (rule 5).
_COPIED = frozenset({"Conv", "ConvTranspose", "Gemm"})

_INTEGER_CONVOLUTIONS = frozenset({"QLinearConv", "com.microsoft.QLinearConv"})


@dataclass(frozen=True, slots=True)
class Packed:
    """A weight in the form that a kernel packs it into.

    Attributes:
        bytes: its size in that form.
        scratch: bytes that packing takes for a while (rule 4).
    """

    bytes: int
    scratch: int = 0


def held_weights(graph: WorkingGraph, order: Sequence[WorkNode], runtime: str) -> tuple[int, list[Packed]]:
    """Bytes of the weights that are held as they are stored while the model runs, and those that are packed, in order.

    Args:
        graph: the graph as the runtime runs it.
        order: its kernels.
        runtime: ONNX Runtime and OpenVINO pack weights (rules 2 and 5), others hold them as they are.
    """
    as_they_are: dict[str, bool] = defaultdict(bool)  # constant -> whether a kernel reads it as it is
    packed: dict[tuple[str, str], Packed] = {}  # by constant and form
    for node in order:
        for position, name in enumerate(node.inputs):
            if not name or name not in graph.constants or name not in graph.types:
                continue
            form = _packed_form(node, position, name, graph) if runtime == "onnxruntime" else None
            if runtime == "openvino" and position == 1 and node.kind in _COPIED:
                packed[name, "copy"] = Packed(graph.types[name].bytes)
            if form is None:
                as_they_are[name] = True
            else:
                packed[name, form[0]] = form[1]
                as_they_are[name] |= False
    plain = sum(graph.types[name].bytes for name, read in as_they_are.items() if read)
    return plain, list(packed.values())


def _packed_form(node: WorkNode, position: int, name: str, graph: WorkingGraph) -> tuple[str, Packed] | None:
    """The form that a kernel packs an input into; None where it reads the input as it is."""
    kind = graph.types[name]
    if _PACKED.get(node.kind) == position and len(kind.shape) == 2:
        transposed = node.kind.endswith("Gemm") and bool(node.attributes.get("transB"))
        scratch = kind.bytes if transposed and node.kind == "com.microsoft.QGemm" else 0
        return f"product, transposed: {transposed}", Packed(_packed_bytes(kind, transposed), scratch)
    if node.kind in _INTEGER_CONVOLUTIONS and position == 3 and len(kind.shape) > 2:
        group = int(node.attributes.get("group", 1))
        if is_depthwise(node, kind.shape):
            return "depthwise", Packed(kind.bytes)
        columns = _rounded(kind.shape[0] // max(group, 1))
        if is_symmetric(node, graph):
            return "symmetric", Packed(columns * prod(kind.shape[1:]))
        size = group * columns * (_rounded(prod(kind.shape[1:]), 4) + 4)
        return f"{group} groups", Packed(size, kind.bytes // max(group, 1))
    return None


def _packed_bytes(kind: TensorType, transposed: bool) -> int:
    rows, columns = reversed(kind.shape) if transposed else kind.shape
    return _rounded(columns) * rows * DTYPE_BITS[kind.dtype] // 8


def _rounded(size: int, to: int = _COLUMNS) -> int:
    return -(-size // to) * to
