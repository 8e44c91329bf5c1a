"""Working memory of single kernels, beside what they read and write: where ONNX Runtime's code says how much.

Rules, of `core/mlas/lib/convolve.cpp` and `core/providers/cpu/quantization/{qlinearconv,convinteger}.cc`:

1. MLAS unfolds the windows of a float convolution piece by piece, unless they are single pixels.
2. A convolution of integers that is no *symmetric* one sums up in a buffer of 32-bit numbers, one for each result, and
   unfolds the windows of the whole map of one image, unless they are single pixels without strides and padding.
3. A symmetric one, and a depthwise one, has a table of pointers in place of unfolded windows, one for each element of
   a window and each pixel of the result.
4. One whose channels do not come last copies its input and its result into that order.
5. Symmetric is one of unsigned data and signed weights whose zero points are 0, with channels in multiples that the
   kernel takes: there is a kernel of its own for it (`mlas/lib/convsym.cpp`), on x86 of unsigned data only. Zero points
   that a graph without weights does not tell are taken for 0: so quantizers write them beside signed weights.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode

_PER_THREAD = 64 * 1024 * 4  # bytes of MLAS's buffer for a convolution (`MLAS_CONV_WORKING_BUFFER_SIZE_PER_THREAD`)
_OVERRUN = 30  # bytes that the integer kernels may read behind a buffer (`MLAS_SYMM_QGEMM_BUF_OVERRUN`)
_POINTER = 8
_PACKED = 16  # channels that a symmetric convolution's weights, or a depthwise one's groups, come in


def workspace_chunks(node: WorkNode, graph: WorkingGraph, threads: int = 1) -> tuple[int, ...]:
    """Bytes of each buffer that a kernel takes while it runs; none where nothing is known."""
    known = _WORKSPACES.get(node.kind)
    return tuple([size for size in known(node, graph, threads) if size]) if known is not None else ()


def _unfolded_windows(node: WorkNode, graph: WorkingGraph, threads: int) -> list[int]:
    """Rule 1."""
    weights = graph.types.get(node.inputs[1])
    if weights is None or len(weights.shape) < 3 or prod(weights.shape[2:]) == 1:
        return []
    written = graph.types[node.outputs[0]]
    whole = prod(weights.shape[1:]) * prod(written.shape[2:]) * 4
    return [min(whole, _PER_THREAD * threads)]


def _integer_convolution(node: WorkNode, graph: WorkingGraph, threads: int) -> list[int]:
    """Rules 2 to 5."""
    data, weights, written = (graph.types[name] for name in (node.inputs[0], node.inputs[3], node.outputs[0]))
    if len(weights.shape) < 3:
        return []
    last = bool(node.attributes.get("channels_last"))
    pixels = prod(written.shape[1:-1] if last else written.shape[2:])
    window = prod(weights.shape[2:])
    results = weights.shape[0] * pixels
    depthwise = is_depthwise(node, weights.shape)
    symmetric = is_symmetric(node, graph)
    chunks = [] if symmetric else [4 * results]
    if not last:
        chunks += [prod(data.shape[1:]) + _OVERRUN, results]
    if depthwise or (symmetric and not _is_pointwise(node, window)):
        chunks.append(_POINTER * window * pixels)
    elif not symmetric and not _is_pointwise(node, window):
        chunks.append(weights.shape[1] * window * pixels + _OVERRUN)
    return chunks


def _plain_integer_convolution(node: WorkNode, graph: WorkingGraph, threads: int) -> list[int]:
    """Of ConvInteger, which writes 32-bit numbers itself: the unfolded windows."""
    weights, written = graph.types[node.inputs[1]], graph.types[node.outputs[0]]
    window = prod(weights.shape[2:])
    if len(weights.shape) < 3 or _is_pointwise(node, window):
        return []
    return [weights.shape[1] * window * prod(written.shape[2:])]


def _is_pointwise(node: WorkNode, window: int) -> bool:
    pads, strides = node.attributes.get("pads", ()), node.attributes.get("strides", ())
    return window == 1 and not any(pads) and all(stride == 1 for stride in strides)


def is_depthwise(node: WorkNode, weights: tuple[int, ...]) -> bool:
    """Whether a convolution of integers has one channel in and out a group."""
    group = int(node.attributes.get("group", 1))
    return weights[1] == 1 and weights[0] == group


def is_symmetric(node: WorkNode, graph: WorkingGraph) -> bool:
    """Rule 5, of a QLinearConv."""
    data, weights = graph.types[node.inputs[0]], graph.types[node.inputs[3]]
    zeros = graph.values.get(node.inputs[5])
    if data.dtype != "uint8" or weights.dtype != "int8" or (zeros is not None and zeros.any()):
        return False
    if not {node.inputs[2], node.inputs[3], node.inputs[5]} <= graph.constants:
        return False
    group = int(node.attributes.get("group", 1))
    if group > 1:
        return is_depthwise(node, weights.shape) and group % _PACKED == 0
    align = 8 if graph.parameters.get("block") == 8 else 4  # without and with AVX-512
    return weights.shape[0] >= _PACKED and weights.shape[1] % 4 == 0 and weights.shape[0] % align == 0


_WORKSPACES: dict[str, Callable[[WorkNode, WorkingGraph, int], list[int]]] = {
    "Conv": _unfolded_windows,
    "com.microsoft.FusedConv": _unfolded_windows,
    "QLinearConv": _integer_convolution,
    "com.microsoft.QLinearConv": _integer_convolution,
    "ConvInteger": _plain_integer_convolution,
}
