"""The operators that have a colour of their own on a page: those that take most of the time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.page.markup import CATEGORIES

if TYPE_CHECKING:
    from nnmeter.prediction.priced_kernel import PricedKernel
    from nnmeter.report.page.content import Subject


class Colours:
    """Which operator has which colour: the same in all pictures of a page."""

    def __init__(self, subjects: Sequence[Subject]) -> None:
        """Choose by the time that operators take in all predictions together, as shares."""
        shares: dict[str, float] = {}
        for subject in subjects:
            total = subject.prediction.latency_ms or 1.0
            for kernel in subject.prediction.kernels:
                shares[kernel.operator] = shares.get(kernel.operator, 0.0) + kernel.latency_ms / total
        self.operators = sorted(shares, key=lambda name: (-shares[name], name))[:CATEGORIES]
        self._classes = {name: f"c{number}" for number, name in enumerate(self.operators)}

    def of(self, kernel: PricedKernel) -> str:
        """The class of a kernel's colour."""
        return self._classes.get(kernel.operator, "cx")
