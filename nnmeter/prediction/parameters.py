"""How many parameters of a model each kernel has, as `torchinfo` and `fvcore` count them.

Rules:

1. A parameter is an element of a constant of floating point, or of one of 4 or 8 bits with two dimensions or more: a
   quantized weight. Numbers (one element) are settings, and other integers are indices, axes and biases that follow
   from weights.
2. Means and variances of a BatchNormalization, scales and zero points of quantizers, and states that a recurrent layer
   begins with are no parameters.
3. A constant counts once: to the kernel of the operator that reads it first, or, where the runtime computes that before
   the run, of the first kernel that depends on it.
4. Constants of graphs in graphs (branches and bodies of loops) are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnmeter.graph.ir import Graph, TensorType
    from nnmeter.kernels.kernel import Kernel

_FLOATS = frozenset({"float32", "float16", "bfloat16", "float64", "float8e4m3fn", "float8e5m2", "float4e2m1"})
_QUANTIZED = frozenset({"int8", "uint8", "int4", "uint4", "int2", "uint2"})

# Rule 2: from which input on, and up to which, operands are no parameters.
_NO_PARAMETERS: dict[str, tuple[int, int]] = {
    "BatchNormalization": (3, 5),
    "QuantizeLinear": (1, 3),
    "DequantizeLinear": (1, 3),
    "LSTM": (4, 7),
    "GRU": (4, 6),
    "RNN": (4, 6),
}


def parameters_of(kernels: Sequence[Kernel], graph: Graph) -> list[int]:
    """The parameters of each kernel, in the order of kernels."""
    counts = [0] * len(kernels)
    kernel_of = {name: at for at, kernel in enumerate(kernels) for name in kernel.nodes}
    if not kernel_of:
        return counts
    counted: set[str] = set()
    followed: dict[str, int] = {}  # of tensors that are computed before the run: parameters that wait for a kernel
    for node in graph.nodes:
        at = kernel_of.get(node.name)
        found = 0
        no_parameters = _NO_PARAMETERS.get(node.op_type, (0, 0))
        for place, name in enumerate(node.inputs):
            if name in graph.initializers:
                if name in counted or no_parameters[0] <= place < no_parameters[1]:
                    continue
                counted.add(name)
                if _is_parameter(graph.types[name]):
                    found += graph.types[name].elements
            elif name in followed:
                found += followed.pop(name)
        if not found:
            continue
        if at is not None:
            counts[at] += found
        elif node.outputs:
            followed[node.outputs[0]] = followed.get(node.outputs[0], 0) + found
    return counts


def _is_parameter(kind: TensorType) -> bool:
    """Rule 1."""
    if kind.elements < 2:
        return False
    return kind.dtype in _FLOATS or (kind.dtype in _QUANTIZED and len(kind.shape) > 1)
