"""The time of predictions by type, operator or module, for the reports of `nnmeter predict --by`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nnmeter.prediction.groups import KernelGroup, first_groups, group_kernels
from nnmeter.prediction.modules import module_name
from nnmeter.prediction.tree import NO_MODULE
from nnmeter.report.sorting import rank_of_groups

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.prediction.priced_kernel import PricedKernel
    from nnmeter.report.registry import Layout

By = Literal["type", "operator", "module"]


@dataclass(frozen=True, slots=True)
class GroupReport:
    """What is reported.

    Attributes:
        predictions: of one model or several.
        by: what the kernels of a group have in common.
        depth: levels of modules to tell apart.
    """

    predictions: Sequence[Prediction]
    by: By
    depth: int = 2

    def groups(self, prediction: Prediction) -> tuple[KernelGroup, ...]:
        """The groups of one prediction, most expensive first."""
        return group_kernels(prediction.kernels, prediction.latency_ms, self._name)

    def shown(self, prediction: Prediction, layout: Layout) -> tuple[KernelGroup, ...]:
        """The groups that a table shows, as it is asked to sort them; the others are summed up in the last."""
        rank = rank_of_groups(layout)
        return first_groups(group_kernels(prediction.kernels, prediction.latency_ms, self._name, rank), layout.top)

    def _name(self, kernel: PricedKernel) -> str:
        """Of the group of a kernel."""
        if self.by == "module":
            return module_name(kernel.place, self.depth)
        return kernel.type if self.by == "type" else kernel.operator

    def label(self, group: KernelGroup) -> str:
        """What a person reads as the group's name."""
        return group.name or NO_MODULE
