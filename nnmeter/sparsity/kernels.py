"""What a runtime makes of a kernel whose weight has zeros: the best implementation that it has.

`SPARSE` is a table from a runtime to its kernels for sparse weights, each with its source. Where there is none, zeros
are numbers like any other: 0 % is gained. Where there is one that no pack was measured with, no gain is claimed either,
and it is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nnmeter.sparsity.patterns import Kind, Pattern


@dataclass(frozen=True, slots=True)
class SparseKernel:
    """An implementation for sparse weights.

    Attributes:
        name: what the runtime calls it.
        operators: what it computes.
        kinds: patterns of zeros that it makes use of.
        least: share of zeros from which on it is used.
        dtypes: element types of the weight.
        flag: what the processor must have; "" for nothing.
        window: rows and columns of a convolution that it takes; () for any.
        source: where it is documented.
    """

    name: str
    operators: frozenset[str]
    kinds: frozenset[Kind]
    least: float
    dtypes: frozenset[str]
    source: str
    flag: str = ""
    window: tuple[int, ...] = ()


_ANY: frozenset[Kind] = frozenset({"unstructured", "n:m", "block", "channel"})

SPARSE: Mapping[str, tuple[SparseKernel, ...]] = {
    "onnxruntime": (),
    "openvino": (
        SparseKernel(
            "sparse weight decompression", frozenset({"MatMul", "Gemm", "FullyConnected"}), _ANY, 0.8,
            frozenset({"int8"}), "docs.openvino.ai, CPU device: CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE", flag="amx_int8",
        ),
    ),
    "tflite": (
        SparseKernel(
            "XNNPACK's sparse inference", frozenset({"Conv"}), _ANY, 2 / 3, frozenset({"float32"}),
            "tensorflow/lite/delegates/xnnpack/README.md, Sparse Inference", window=(1, 1),
        ),
    ),
    "tflite-gpu": (),
    "tensorrt": (
        SparseKernel(
            "structured sparsity", frozenset({"Conv", "MatMul", "Gemm"}), frozenset({"n:m"}), 0.5,
            frozenset({"float16", "int8"}), "docs.nvidia.com/deeplearning/tensorrt, Sparsity", flag="ampere",
        ),
    ),
}  # fmt: skip

EXECUTES_ZEROS = "executes zeros: 0 % gained"


def implementation_of(
    runtime: str, flags: Iterable[str], operator: str, pattern: Pattern, dtype: str, window: tuple[int, ...] = ()
) -> str:
    """In words: how a runtime executes a kernel with this weight, and what its zeros bring.

    Args:
        runtime: of the device, as its card has it.
        flags: what its processor has.
        operator: that the kernel computes.
        pattern: how the zeros of its weight lie.
        dtype: element type of the weight.
        window: rows and columns of a convolution's window.
    """
    if pattern.kind == "dense":
        return "dense"
    known = set(flags)
    for kernel in SPARSE.get(runtime, ()):
        fits = operator in kernel.operators and pattern.kind in kernel.kinds and pattern.zeros >= kernel.least
        if (
            fits
            and dtype in kernel.dtypes
            and kernel.window in ((), window)
            and (not kernel.flag or kernel.flag in known)
        ):
            return f"{kernel.name}, not measured: no gain claimed"
    return EXECUTES_ZEROS
