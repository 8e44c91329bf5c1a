"""Kernels of a network at any batch, from those at two batches.

Sizes of tensors are linear in the batch, so two batches tell them for all: tables of GPUs have hundreds of networks at
a dozen batches, and to detect the kernels of each anew would take an hour.

Rules:

1. Batches of 2 and 3 tell the others; a batch of 1 is detected itself, for axes of size 1 are another case to a
   runtime.
2. Kernels at both must be the same but for sizes: type, operator, attributes, constants and ranks. Where they are not,
   the batch is detected itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature

FIRST, SECOND = 2, 3

Kernels = tuple[KernelSignature, ...]


def are_alike(first: Kernels, second: Kernels) -> bool:
    """Whether the kernels at two batches are the same but for sizes (rule 2)."""
    return len(first) == len(second) and all(map(_is_alike, first, second))


def at_batch(first: Kernels, second: Kernels, batch: int) -> Kernels:
    """The kernels at another batch, from those at `FIRST` and `SECOND`, which are alike."""
    known: dict[tuple[KernelSignature, KernelSignature], KernelSignature] = {}
    found = []
    for one, other in zip(first, second, strict=True):
        made = known.get((one, other))
        if made is None:
            made = known[one, other] = replace(
                one,
                inputs=tuple(_tensor(a, b, batch) for a, b in zip(one.inputs, other.inputs, strict=True)),
                outputs=tuple(
                    TensorType(a.dtype, _sizes(a.shape, b.shape, batch))
                    for a, b in zip(one.outputs, other.outputs, strict=True)
                ),
            )
        found.append(made)
    return tuple(found)


def _tensor(first: TensorType | None, second: TensorType | None, batch: int) -> TensorType | None:
    if first is None or second is None:
        return None
    return TensorType(first.dtype, _sizes(first.shape, second.shape, batch))


def _sizes(first: Sequence[int], second: Sequence[int], batch: int) -> tuple[int, ...]:
    steps = SECOND - FIRST
    return tuple(a + (b - a) // steps * (batch - FIRST) for a, b in zip(first, second, strict=True))


def _is_alike(first: KernelSignature, second: KernelSignature) -> bool:
    return (
        (first.type, first.op_type, first.domain, first.attributes, first.constants)
        == (second.type, second.op_type, second.domain, second.attributes, second.constants)
        and _ranks(first.inputs) == _ranks(second.inputs)
        and _ranks(first.outputs) == _ranks(second.outputs)
    )


def _ranks(types: Sequence[TensorType | None]) -> list[int | None]:
    return [None if kind is None else len(kind.shape) for kind in types]
