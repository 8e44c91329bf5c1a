"""A model with fewer channels on a device: what goes, what that gains, and which removals gain nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.pruning.groups import PrunableGroup

if TYPE_CHECKING:
    from nnmeter.comparison.comparison import Comparison
    from nnmeter.graph.unbound import UnboundModel
    from nnmeter.prediction.prediction import Prediction

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Removal:
    """Channels of a group that go.

    Attributes:
        group: the layers.
        width: how many channels stay.
        gain_ms: what the pruned model would take more if they all stayed.
        enough: the widest that takes as long as `width`: what goes beyond gains nothing.
        loss: what is lost, in the unit of the sensitivities; None where nobody asked.
    """

    group: PrunableGroup
    width: int
    gain_ms: float
    enough: int
    loss: float | None = None

    @property
    def removed(self) -> int:
        """How many channels go."""
        return self.group.channels - self.width

    @property
    def idle(self) -> int:
        """How many of them gain nothing."""
        return self.enough - self.width

    def to_dict(self) -> dict[str, Any]:
        """The removal as JSON has it."""
        return {
            **self.group.to_dict(),
            "width": self.width,
            "removed": self.removed,
            "removed_share": self.removed / self.group.channels,
            "gain_ms": self.gain_ms,
            "enough": self.enough,
            "idle": self.idle,
            "loss": self.loss,
        }


@dataclass(frozen=True)
class Pruned:
    """A model before and after channels went.

    Attributes:
        model: its path or name.
        comparison: of the model after with the model before.
        removals: what goes, in the order of the layers.
        useless: groups none of whose channels gain anything, where a search looked for it.
        changed: the model after, without weights.
        budget_ms: what was to be reached; None where removals were given.
        tried: how many models were predicted.
    """

    model: str
    comparison: Comparison
    removals: tuple[Removal, ...]
    useless: tuple[PrunableGroup, ...]
    changed: UnboundModel
    budget_ms: float | None
    tried: int

    @property
    def before(self) -> Prediction:
        """What the model takes as it is."""
        return self.comparison.before

    @property
    def after(self) -> Prediction:
        """What it takes with the channels that stay."""
        return self.comparison.after

    @property
    def gain(self) -> float:
        """The share of the time that is gained."""
        return -self.comparison.difference_ms / self.before.latency_ms if self.before.latency_ms else 0.0

    @property
    def loss(self) -> float | None:
        """What is lost in all; None where nobody asked."""
        losses = [removal.loss for removal in self.removals]
        return None if None in losses else float(sum(loss for loss in losses if loss is not None))

    def shares(self) -> dict[str, float]:
        """The share of the channels that goes, by what the framework calls each layer: ratios for a pruner."""
        return {
            name: removal.removed / removal.group.channels for removal in self.removals for name in removal.group.names
        }

    def to_dict(self) -> dict[str, Any]:
        """The pruned model as JSON has it, schema version 1."""
        low, high = self.comparison.difference_interval_ms
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "device": self.before.device,
            "budget_ms": self.budget_ms,
            "before_ms": self.before.latency_ms,
            "before_interval_ms": list(self.before.interval_ms),
            "after_ms": self.after.latency_ms,
            "after_interval_ms": list(self.after.interval_ms),
            "gain_ms": -self.comparison.difference_ms,
            "gain_interval_ms": [-high, -low],
            "gain_share": self.gain,
            "loss": self.loss,
            "removals": [removal.to_dict() for removal in self.removals],
            "useless": [group.to_dict() for group in self.useless],
            "models_tried": self.tried,
        }
