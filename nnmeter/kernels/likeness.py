"""Kernels that run the loop of another one, and are priced like that where both were sampled.

A sum along an axis that is not the last adds whole rows: the loop of `Add`, which fills the vector registers, and not
the one along the last axis, where each sum waits for the one before. Of 94 such kernels of the campaigns of the Zen 3
pack, with rows of 16 elements or more, the pack's price of that Add was 0.7 to 0.9 times the measured one (medians of
rows of 16, 64, and 256 elements on), and that by the family of sums, most of whose kernels run along the last axis, 1.3
to 1.9 times. At 4 x 2^17 elements, more than were sampled, that family's was 16 times the measured one.
"""

from __future__ import annotations

from math import prod

from nnmeter.kernels.kernel import KernelSignature

_ROW = 16  # elements from which on rows are added by vectors


def like(signature: KernelSignature) -> KernelSignature | None:
    """The kernel that is priced in the place of this one; None where it is priced for itself."""
    if signature.op_type != "CumSum" or not signature.inputs or len(signature.outputs) != 1:
        return None
    x, axes = signature.inputs[0], signature.attribute("axes")
    if x is None or not axes or not x.shape or not -len(x.shape) <= axes[0] < len(x.shape):
        return None
    if prod(x.shape[axes[0] % len(x.shape) + 1 :]) < _ROW:
        return None
    return KernelSignature("Add", "Add", "", (x, x), (False, False), signature.outputs)
