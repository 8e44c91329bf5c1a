"""What a kernel family is: the names of its features, what makes them, and the kernels that it describes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nnmeter.kernels.kernel import KernelSignature


def _nothing(_: KernelSignature) -> list[float]:
    return []


def _everything(_: KernelSignature) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Family:
    """One kernel family, as its module of `nnmeter.kernels.features` declares it.

    Attributes:
        name: of the family.
        names: of its own features, which follow the common ones.
        values: makes them from a kernel, in the order of `names`.
        attributes: what `values` and `describes` read of a kernel's attributes; signatures keep these.
        row: the family that the table of operators names for its operators; its own name if "". Several families may
            share the operators of a row, and tell their kernels apart by `describes`.
        describes: whether a kernel of these operators is of the family. Of one row, no two describe one kernel.
    """

    name: str
    names: tuple[str, ...] = ()
    values: Callable[[KernelSignature], list[float]] = _nothing
    attributes: frozenset[str] = frozenset()
    row: str = ""
    describes: Callable[[KernelSignature], bool] = _everything
