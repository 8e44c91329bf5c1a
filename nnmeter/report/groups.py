"""The time of predictions by type, operator or module, for the reports of `nnmeter predict --by`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nnmeter.prediction.tree import NO_MODULE

if TYPE_CHECKING:
    from nnmeter.prediction.groups import KernelGroup
    from nnmeter.prediction.prediction import Prediction

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
        if self.by == "module":
            return prediction.by_module(self.depth)
        return prediction.by_type() if self.by == "type" else prediction.by_operator()

    def label(self, group: KernelGroup) -> str:
        """What a person reads as the group's name."""
        return group.name or NO_MODULE
