"""What the weights of a model take while it runs.

1. A constant that a kernel reads is held once, however many read it. What was folded away is not held.
2. ONNX Runtime repacks the right side of a matrix product (`PrePack` of its CPU kernels): columns are rounded up to a
   multiple of 16. The weight as it was is let go if all its readers repack it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import DTYPE_BITS, TensorType

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


def weight_bytes(graph: WorkingGraph, order: Sequence[WorkNode], repacked: bool) -> int:
    """Bytes of the weights while the model runs.

    Args:
        graph: the graph as the runtime runs it.
        order: its kernels.
        repacked: whether the runtime repacks weights as ONNX Runtime does (rule 2).
    """
    as_they_are: dict[str, bool] = defaultdict(bool)  # constant -> whether a kernel reads it as it is
    packed: dict[tuple[str, int], None] = {}
    for node in order:
        for position, name in enumerate(node.inputs):
            if not name or name not in graph.constants or name not in graph.types:
                continue
            if repacked and _PACKED.get(node.kind) == position and len(graph.types[name].shape) == 2:
                transposed = node.kind.endswith("Gemm") and bool(node.attributes.get("transB"))
                packed[name, transposed] = None
                as_they_are[name] |= False
            else:
                as_they_are[name] = True
    plain = sum(graph.types[name].bytes for name, read in as_they_are.items() if read)
    return plain + sum(_packed_bytes(graph.types[name], bool(transposed)) for name, transposed in packed)


def _packed_bytes(kind: TensorType, transposed: bool) -> int:
    rows, columns = reversed(kind.shape) if transposed else kind.shape
    return -(-columns // _COLUMNS) * _COLUMNS * rows * DTYPE_BITS[kind.dtype] // 8
