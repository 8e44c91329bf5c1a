"""What a model takes with other widths of its groups: each set of widths is a whole model, predicted once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from nnmeter.advice.trial import Workbench
from nnmeter.errors import ModelError
from nnmeter.pruning.groups import PrunableGroup, PrunableModel
from nnmeter.transforms import TransformError
from nnmeter.transforms.channels.relations import Resizing

if TYPE_CHECKING:
    from nnmeter.graph.unbound import UnboundModel

Widths = tuple[int, ...]  # of each group, in the order of `PruningBench.groups`


class PruningBench:
    """A model on a device, to try widths on.

    Args:
        bench: the model on the device.
        progress: told how many models were predicted, after each.

    Attributes:
        groups: the groups of layers whose channels can go.
        own: their widths as they are.
    """

    def __init__(self, bench: Workbench, progress: Callable[[int], None] | None = None) -> None:
        self.bench = bench
        self.prunable = PrunableModel(bench.model, bench.sizes)
        self.groups = self.prunable.groups
        self.own: Widths = tuple([group.channels for group in self.groups])
        self._progress = progress
        self._changes: dict[tuple[str, int], Resizing] = {}
        self._known: dict[Widths, float | None] = {}

    def latency_ms(self, widths: Widths) -> float | None:
        """What the model takes with some widths; None where it cannot have them together."""
        if widths not in self._known:
            try:
                self._known[widths] = self.bench.predict(self.model(widths)).latency_ms
            except (TransformError, ModelError):
                self._known[widths] = None
            if self._progress is not None:
                self._progress(len(self._known))
        return self._known[widths]

    def model(self, widths: Widths) -> UnboundModel:
        """The model with some widths.

        Raises:
            TransformError: it cannot have them together.
        """
        changed = {g.layers[0]: w for g, w in zip(self.groups, widths, strict=True) if w != g.channels}
        return self.model_of([self._change(layer, width) for layer, width in changed.items()], changed)

    def model_of(self, changes: Sequence[Resizing], layers: Mapping[str, object]) -> UnboundModel:
        """The model with some changes together; errors name the layers."""
        if not changes:
            return self.bench.model
        graph = self.prunable.graph
        label = next(iter(layers)) if len(layers) == 1 else f"{len(layers)} layers"
        return graph.resized(changes[0] if len(changes) == 1 else graph.join(changes), label)

    def _change(self, layer: str, width: int) -> Resizing:
        key = (layer, width)
        if key not in self._changes:
            self._changes[key] = self.prunable.graph.resize(layer, width)
        return self._changes[key]

    @property
    def tried(self) -> int:
        """How many models were predicted."""
        return len(self._known)

    def place(self, group: PrunableGroup) -> int:
        """The place of a group among the widths."""
        return self.groups.index(group)


def with_width(widths: Widths, place: int, width: int) -> Widths:
    """The widths where one is another."""
    return (*widths[:place], width, *widths[place + 1 :])
