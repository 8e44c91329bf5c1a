"""Torch-Pruning: ratios for each layer and the multiple of channels, from the stairs of a device.

>>> pruned = prune_to_budget("model.onnx", predictor, 10.0)
>>> pruner = tp.pruner.BasePruner(module, inputs, importance, **pruner_arguments(pruned, module))
>>> pruner.step()

1. A layer is one of the module's by the name that the exported file has for it (`layer1.0.conv1`). A layer of the file
   that the module does not have is an error, for then the file is of another module.
2. Ratios are exactly those of the widths that were chosen, so that nothing is rounded: Torch-Pruning keeps
   `channels - int(channels * ratio)`. Layers that keep their channels are ignored.
3. Channels of a group go together, in Torch-Pruning as here; its first layer speaks for the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nnmeter.errors import NnmeterError

if TYPE_CHECKING:
    from nnmeter.pruning import Pruned

_MULTIPLES = (4, 8, 16, 32, 64)
_ALIKE = 0.002  # share of the model's time up to which two widths take as long


def pruner_arguments(pruned: Pruned, module: Any) -> dict[str, Any]:
    """What a pruner of Torch-Pruning takes so that it removes the channels that were chosen.

    Args:
        pruned: what `prune_to_budget` or `remove_channels` found for the module's file.
        module: the `torch.nn.Module`.

    Returns:
        `pruning_ratio`, `pruning_ratio_dict`, `max_pruning_ratio` and `ignored_layers`.

    Raises:
        NnmeterError: the module lacks a layer of the file.
    """
    parts = dict(module.named_modules())
    ratios: dict[Any, float] = {}
    for removal in pruned.removals:
        for name in removal.group.names:
            if name not in parts:
                raise NnmeterError(
                    f"the module has no '{name}', which '{pruned.model}' has; export the file from this module, with "
                    "the names of its weights"
                )
            # Half a channel more, so that no rounding of the product leaves one too many.
            ratios[parts[name]] = (removal.removed + 0.5) / removal.group.channels
    prunable = [part for part in parts.values() if _has_channels(part)]
    return {
        "pruning_ratio": 0.0,
        "pruning_ratio_dict": ratios,
        "max_pruning_ratio": 1.0,
        "ignored_layers": [part for part in prunable if part not in ratios],
    }


def removed_channels(groups: Sequence[Any], module: Any) -> dict[str, list[int]]:
    """The channels that groups of Torch-Pruning remove from each layer, as indices.

    Args:
        groups: what a pruner yields with `step(interactive=True)`.
        module: the module.

    Returns:
        By the name of a layer, the output channels that go, to be made masks of (`masks_of`).
    """
    names = {part: name for name, part in module.named_modules()}
    found: dict[str, set[int]] = {}
    for group in groups:
        for dependency, indices in group:
            part = dependency.target.module
            if part in names and _has_channels(part) and _is_of_outputs(dependency):
                found.setdefault(names[part], set()).update(int(index) for index in indices)
    return {name: sorted(indices) for name, indices in found.items()}


def masks_of(removed: Mapping[str, Sequence[int]], module: Any) -> dict[str, Any]:
    """Masks, as `nnmeter.pruning.remove_channels` takes them, of channels that go."""
    import numpy as np

    masks = {}
    for name, indices in removed.items():
        mask = np.ones(int(module.get_submodule(name).weight.shape[0]), np.int64)
        mask[list(indices)] = 0
        masks[name] = mask
    return masks


def round_to(stairs: Sequence[Sequence[tuple[int, float]]], total_ms: float) -> int:
    """The multiple of channels at which a device has its stairs: `round_to` of a pruner.

    Of two neighbouring widths the wider one is a stair's edge where the narrower takes as long. The multiple is the
    largest that most edges have.

    Args:
        stairs: of each layer, widths next to each other and what the model takes with each, in milliseconds.
        total_ms: what the model takes as it is.
    """
    edges: list[int] = []
    for stair in stairs:
        known = sorted(stair)
        for (_, before), (width, taken), (_, after) in zip(known, known[1:], known[2:], strict=False):
            if after - taken > _ALIKE * total_ms >= abs(taken - before):
                edges.append(width)
    votes = Counter(multiple for width in edges for multiple in _MULTIPLES if width % multiple == 0)
    agreed = [multiple for multiple, count in votes.items() if 2 * count > len(edges)]
    return max(agreed, default=1)


def _has_channels(part: Any) -> bool:
    return getattr(part, "weight", None) is not None and (
        hasattr(part, "out_channels") or hasattr(part, "out_features")
    )


def _is_of_outputs(dependency: Any) -> bool:
    return "out" in getattr(dependency.handler, "__name__", "")
