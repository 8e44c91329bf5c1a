"""The groups of layers of a model whose channels can go, and the names that people know the layers by.

1. A layer is known by the name of its operator in the file, by that of its weight without `.weight`, and by the path of
   its module: `/layer1/layer1.0/conv1/Conv`, `layer1.0.conv1`.
2. A layer none of whose channels can go (the last one, whose channels are the model's output) is in no group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nnmeter.errors import brief
from nnmeter.graph.modules import module_name
from nnmeter.transforms import TransformError
from nnmeter.transforms.channels.resizing import DependencyGraph

if TYPE_CHECKING:
    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.graph.unbound import UnboundModel

_WEIGHT = ".weight"
_NAMED = 5


@dataclass(frozen=True)
class PrunableGroup:
    """Layers whose channels go together.

    Attributes:
        layers: names of their operators, in the order of the file.
        names: what their framework calls them, as far as the file tells; else as in `layers`.
        channels: how many channels the first of them has.
        block: how many channels go at least.
    """

    layers: tuple[str, ...]
    names: tuple[str, ...]
    channels: int
    block: int

    @property
    def name(self) -> str:
        """What to call it: the name of its first layer."""
        return self.names[0]

    def to_dict(self) -> dict[str, Any]:
        """The group as JSON has it."""
        return {
            "layers": list(self.layers),
            "names": list(self.names),
            "channels": self.channels,
            "block": self.block,
        }


class PrunableModel:
    """A model with the groups of its layers.

    Args:
        model: the model.
        sizes: what it leaves open.

    Raises:
        ModelError: dimensions remain free.
    """

    def __init__(self, model: UnboundModel, sizes: InputSizes) -> None:
        self.model = model
        self.graph = DependencyGraph(model, sizes)

    @cached_property
    def groups(self) -> tuple[PrunableGroup, ...]:
        """All groups, in the order of their first layers."""
        found: list[PrunableGroup] = []
        seen: set[str] = set()
        for layer in self.graph.layers():
            if layer in seen:
                continue
            try:
                group = self.graph.group(layer)
            except TransformError:
                continue  # rule 2
            seen.update(group.layers)
            first = group.layers[0]
            names = tuple([self.name_of(one) for one in group.layers])
            found.append(PrunableGroup(group.layers, names, self.graph.width(first), group.block))
        return tuple(found)

    def name_of(self, layer: str) -> str:
        """What its framework calls a layer, as far as the file tells; else the name of its operator."""
        node = self.graph.nodes[layer]
        weight = node.inputs[1] if len(node.inputs) > 1 else ""
        if weight.endswith(_WEIGHT):
            return weight.removesuffix(_WEIGHT)
        return module_name(node.scope) or module_name(layer) or layer

    @cached_property
    def _known(self) -> dict[str, list[str]]:
        """The operators of each name that a layer is known by (rule 1)."""
        known: dict[str, list[str]] = {}
        for layer in self.graph.layers():
            node = self.graph.nodes[layer]
            names = (layer, self.name_of(layer), module_name(node.scope), module_name(layer))
            for name in dict.fromkeys(names):
                if name:
                    known.setdefault(name, []).append(layer)
        return known

    def layer(self, name: str) -> str:
        """The operator of a layer, by any of its names.

        Raises:
            TransformError: there is none, or several.
        """
        found = self._known.get(name, [])
        if len(found) == 1 or name in found:
            return name if name in found else found[0]
        if found:
            several = ", ".join(brief(one, 60) for one in found[:_NAMED])
            raise TransformError(
                f"{self.graph.source}: '{brief(name, 80)}' is {len(found)} layers; name one by its operator: {several}"
            )
        from difflib import get_close_matches

        like = get_close_matches(name, self._known, _NAMED, 0.3) or list(self._known)[:_NAMED]
        raise TransformError(
            f"{self.graph.source}: there is no layer '{brief(name, 80)}' with channels; there are, for instance, "
            f"{', '.join(brief(one, 60) for one in like)}"
        )

    def group_of(self, name: str) -> PrunableGroup:
        """The group of a layer, by any of its names.

        Raises:
            TransformError: there is no such layer, or none of its channels can go.
        """
        layer = self.layer(name)
        for group in self.groups:
            if layer in group.layers:
                return group
        self.graph.group(layer)  # says why
        raise TransformError(f"{self.graph.source}: no channel of '{brief(name, 80)}' can go; name another layer")


def widths_to_try(group: PrunableGroup, narrowest: float, multiple: int, most: int = 10) -> tuple[int, ...]:
    """Widths of a group, the widest first: its own, and narrower ones.

    Args:
        group: the group.
        narrowest: share of the channels that stays at least.
        multiple: of which widths are multiples, where blocks allow.
        most: how many widths there are at most.
    """
    own, block = group.channels, group.block
    least = max(block, int(narrowest * own))
    possible = [width for width in range(own - block, 0, -block) if width >= least]
    even = [width for width in possible if width % multiple == 0]
    chosen = even or possible
    return (own, *_spread(chosen, most - 1))


def _spread(widths: Sequence[int], count: int) -> list[int]:
    """At most `count` of some widths, spread evenly, the first and the last among them."""
    if len(widths) <= count:
        return list(widths)
    places = {round(place * (len(widths) - 1) / (count - 1)) for place in range(count)}
    return [widths[place] for place in sorted(places)]
