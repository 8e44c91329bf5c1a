"""From masks and shares to the channels that stay in each layer.

1. A mask is of a layer: a value a channel, or the masks of its weight and bias as pruners have them, with channels as
   the first axis. A channel goes where all of its values are 0.
2. Layers whose channels go together keep every channel that one of them keeps: their results are added, and a channel
   that one still writes is still read. A depthwise convolution writes what it reads, so it keeps what the layers before
   it keep, but for what its own mask takes away; a layer without a mask keeps all.
3. A share is of the channels that go. It becomes whole channels, rounded down, and whole blocks where channels go so.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnmeter.errors import NnmeterError, brief
from nnmeter.files import open_regular
from nnmeter.pruning.groups import PrunableGroup, PrunableModel
from nnmeter.transforms import TransformError

Kept = np.ndarray[Any, Any]  # a whole number a channel: 1 where it stays, 0 where it goes


def kept_by_masks(model: PrunableModel, masks: Mapping[str, Any]) -> dict[str, Kept]:
    """What stays in the first layer of each group that loses channels.

    Args:
        model: the model.
        masks: by the name of a layer, its mask: an array or tensor of a value a channel, a mapping from `weight` and
            `bias` to arrays or tensors, as `ModelSpeedup` of NNI takes it, or the same under `layer.weight` for a key.

    Raises:
        NnmeterError: a mask does not fit its layer.
        TransformError: there is no such layer, or masks of layers do not go together.
    """
    given: dict[str, Kept] = {}
    for name, mask in _by_layer(masks).items():
        layer = model.layer(name)
        given[layer] = _of_channels(mask, model.graph.width(layer), name)
    found: dict[str, Kept] = {}
    for group in dict.fromkeys(model.group_of(layer) for layer, kept in given.items() if not kept.all()):
        kept = _together(model, group, given)
        if not kept.all():
            if not kept.any():
                raise TransformError(
                    f"{model.graph.source}: masks leave nothing of '{group.name}'; keep a channel of it"
                )
            found[group.layers[0]] = kept
    return found


def kept_by_shares(model: PrunableModel, shares: Mapping[str, float]) -> dict[str, int]:
    """How many channels stay in the first layer of each group that loses some.

    Args:
        model: the model.
        shares: by the name of a layer, the share of its channels that goes. Of layers of one group, the least counts.

    Raises:
        NnmeterError: a share is not from 0 on and below 1.
        TransformError: there is no such layer, or none of its channels can go.
    """
    least: dict[PrunableGroup, float] = {}
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise NnmeterError(f"the share {share:g} of '{brief(name, 80)}' is not from 0 on and below 1")
        group = model.group_of(name)
        least[group] = min(least.get(group, 1.0), share)
    found = {}
    for group, share in least.items():
        gone = int(share * group.channels + 1e-9) // group.block * group.block
        if gone:
            found[group.layers[0]] = group.channels - gone
    return found


def read_masks(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Masks of a `.npz` archive of NumPy, an array a layer or a `layer.weight`; no pickle is opened.

    Raises:
        NnmeterError: it is no such archive.
    """
    source = os.fspath(path)
    remedy = "write it with numpy.savez(FILE, **{'layer.weight': mask})"
    try:
        with open_regular(path) as stream, np.load(stream, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise NnmeterError(f"{source}: is one array, not an archive of masks; {remedy}")
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as fault:
        raise NnmeterError(f"{source}: no masks can be read ({brief(fault)}); {remedy}") from fault


def _by_layer(masks: Mapping[str, Any]) -> dict[str, Any]:
    """Masks by layer, where some come as `layer.weight` and `layer.bias`."""
    found: dict[str, Any] = {}
    for name, mask in masks.items():
        stem, _, part = name.rpartition(".")
        if stem and part in ("weight", "bias") and not isinstance(mask, Mapping):
            found.setdefault(stem, {})[part] = mask
        else:
            found[name] = mask
    return found


def _of_channels(mask: Any, channels: int, name: str) -> Kept:
    """What a mask keeps (rule 1)."""
    parts = list(mask.values()) if isinstance(mask, Mapping) else [mask]
    kept = np.zeros(channels, np.int64)
    weights = [part for key, part in mask.items() if key == "weight"] if isinstance(mask, Mapping) else []
    for part in weights or [part for part in parts if part is not None]:
        array = np.asarray(part.detach().cpu() if hasattr(part, "detach") else part)
        if array.ndim == 0 or array.shape[0] != channels:
            shape = "x".join(map(str, array.shape)) or "a number"
            raise NnmeterError(
                f"the mask of '{brief(name, 80)}' is {shape}; the layer has {channels} channels, its first axis"
            )
        kept |= (array.reshape(channels, -1) != 0).any(1)
    return kept


def _together(model: PrunableModel, group: PrunableGroup, given: Mapping[str, Kept]) -> Kept:
    """What stays of a group (rule 2)."""
    own: list[Kept] = []
    follow: list[Kept] = []
    for layer in group.layers:
        width = model.graph.width(layer)
        if width != group.channels:
            if layer in given and not given[layer].all():
                raise TransformError(
                    f"{model.graph.source}: '{layer}' has {width} channels and goes with '{group.layers[0]}' of "
                    f"{group.channels}; give a share of the channels in place of masks"
                )
            continue
        mask = given.get(layer)
        if _is_depthwise(model, layer):
            follow += [mask] if mask is not None else []
        else:
            own.append(np.ones(width, np.int64) if mask is None else mask)
    kept = np.maximum.reduce(own) if own else np.ones(group.channels, np.int64)
    for mask in follow:
        kept = kept & mask
    return kept


def _is_depthwise(model: PrunableModel, layer: str) -> bool:
    node = model.graph.nodes[layer]
    return node.op_type == "Conv" and node.attributes.get("group", 1) == model.graph.width(layer) > 1
