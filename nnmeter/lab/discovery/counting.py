"""Verdicts from kernels: those that the runtime says it executes, or those that fusion rules foresee.

1. Kernels are counted in the same models whose times are compared (`decision`, rule 1). Joining saves
   `head + tail - joined - middle` kernels, per branch: one or more if the tail became part of a kernel of the head.
2. Conversions between the runtime's own layouts of a tensor, and views of one, are not counted: they belong to no
   operator, and joining may save or cost some without any fusion.
3. Where the tail, or the head, alone is no kernel at all (the runtime drops it, or a view does for it), there is
   nothing to be fused: no verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.discovery.decision import ROLES, Verdict
from nnmeter.operators.table import OPERATORS

_VIEWS = frozenset(name for name, operator in OPERATORS.items() if operator.family == "view")
_CONVERSIONS = ("ReorderInput", "ReorderOutput", "Reorder")


@dataclass(frozen=True)
class KernelCount:
    """What the kernels of a test's models say.

    Attributes:
        saved: kernels that joining saves in one branch.
        head: kernels of the head in one branch.
        tail: kernels of the tail in one branch.
        kernels: types of the joined model's kernels, as often as they come for head and tail in one branch.
    """

    saved: float
    head: float
    tail: float
    kernels: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """By rules 1 and 3."""
        if min(self.head, self.tail) < 0.5:
            return Verdict.FREE
        return Verdict.FUSED if self.saved > 0.5 else Verdict.SEPARATE


def compare_kernels(types: Mapping[str, Sequence[str]], branches: int) -> KernelCount:
    """What joining saves, from the types of the kernels of each model.

    Args:
        types: for each of `ROLES` what `kernel_types` gives.
        branches: branches of the models.
    """
    joined, head, tail, empty, middle = (len(types[role]) / branches for role in ROLES)
    own = Counter(types["joined"])
    own.subtract(Counter(types["empty"]))
    listed = [kind for kind, count in own.items() for _ in range(round(count / branches))]
    return KernelCount(head + tail - joined - middle, head - empty, tail - middle, tuple(listed))


def kernel_types(kernels: Iterable[Kernel]) -> list[str]:
    """Types of the kernels that count (rule 2)."""
    return [k.type for k in kernels if not _is_conversion(k) and k.signature.op_type not in _VIEWS]


def _is_conversion(kernel: Kernel) -> bool:
    return kernel.signature.op_type in _CONVERSIONS
