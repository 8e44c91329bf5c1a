"""Where the data of a kernel are when it runs: how far down the memory they have sunk since they were last touched.

A kernel whose weights and data are in a cache close to the core takes less time than the same kernel in a network that
has driven them out. How much less, a device's measurements tell; what is known beforehand is how many bytes lie between.

Rules:

1. The *footprint* of an inference is what it touches before it comes round again: all its weights, and the most data
   that one kernel reads and writes, for runtimes use the memory of data again. It is the distance of reuse of every
   weight.
2. The *distance* of a kernel's data is the number of bytes that kernels have touched since the largest of its computed
   inputs was written or last read. What no kernel wrote, the inputs of the network, comes from the last inference.
3. Kernels are given as signatures in the order of execution, which name no tensors. An input is taken to be the latest
   tensor of as many bytes: views change shapes, not sizes, and of several alike the latest is nearly always meant.
4. Both count in coarse steps, half powers of two, so that a kernel has few prices and they can be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import NamedTuple

from nnmeter.kernels.kernel import KernelSignature

RESIDENCY_NAMES = ("log_footprint", "log_distance")
_STEPS = 2  # of a doubling (rule 4)
_NEAREST = 13  # powers of two of the bytes within which all is near: 8 KiB


class Residency(NamedTuple):
    """Footprint and distance as features: powers of two of the bytes, in steps (rule 4)."""

    log_footprint: float
    log_distance: float


def residencies(signatures: Sequence[KernelSignature]) -> list[Residency]:
    """The residency of each kernel of one inference, the kernels being in the order of execution."""
    sizes = [_sizes(signature) for signature in signatures]
    footprint = sum(weights for weights, _, _ in sizes)
    footprint += max((sum(read) + sum(written) for _, read, written in sizes), default=0)
    log_footprint = _step(footprint)
    steps: dict[int, float] = {}
    touched = 0
    last: dict[int, int] = {}  # bytes of a tensor -> bytes that had been touched when one of that size last was
    found = []
    for weights, read, written in sizes:
        largest = max(read, default=0)
        distance = touched - last[largest] if largest in last else footprint
        step = steps.get(distance)
        if step is None:
            step = steps[distance] = _step(min(distance, footprint))
        found.append(Residency(log_footprint, step))
        touched += weights + sum(read) + sum(written)
        for size in (*read, *written):
            last[size] = touched
    return found


def _step(size: int) -> float:
    """A size as a power of two, rounded to a step."""
    return max(round(_STEPS * log2(1 + size)) / _STEPS, float(_NEAREST))


def _sizes(signature: KernelSignature) -> tuple[int, list[int], list[int]]:
    """Bytes of a kernel's weights, and of each tensor that it reads and writes."""
    weights = 0
    read = []
    for tensor, constant in zip(signature.inputs, signature.constants, strict=True):
        if tensor is None:
            continue
        if constant:
            weights += tensor.bytes
        else:
            read.append(tensor.bytes)
    return weights, read, [tensor.bytes for tensor in signature.outputs]
