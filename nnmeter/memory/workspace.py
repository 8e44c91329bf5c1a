"""Working memory of single kernels, beside what they read and write: where ONNX Runtime's code says how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from nnmeter.fusion.engine.rewriting import WorkNode
from nnmeter.graph.ir import TensorType

Types = Mapping[str, TensorType]

_PER_THREAD = 64 * 1024 * 4  # bytes of MLAS's buffer for a convolution (`MLAS_CONV_WORKING_BUFFER_SIZE_PER_THREAD`)


def workspace_bytes(node: WorkNode, types: Types, threads: int = 1) -> int:
    """Bytes that a kernel takes while it runs; 0 where nothing is known."""
    known = _WORKSPACES.get(node.kind)
    return known(node, types, threads) if known is not None else 0


def _unfolded_windows(node: WorkNode, types: Types, threads: int) -> int:
    """MLAS unfolds the windows of a convolution piece by piece, unless they are single pixels."""
    weights = types.get(node.inputs[1])
    if weights is None or len(weights.shape) < 3 or prod(weights.shape[2:]) == 1:
        return 0
    written = types[node.outputs[0]]
    whole = prod(weights.shape[1:]) * prod(written.shape[2:]) * 4
    return min(whole, _PER_THREAD * threads)


_WORKSPACES: dict[str, Callable[[WorkNode, Types, int], int]] = {
    "Conv": _unfolded_windows,
    "com.microsoft.FusedConv": _unfolded_windows,
}
