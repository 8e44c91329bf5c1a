from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnmeter import read_model
from nnmeter.errors import NnmeterError
from nnmeter.graph.input_sizes import AS_DECLARED
from nnmeter.pruning.groups import PrunableModel, widths_to_try
from nnmeter.pruning.removals import kept_by_masks, kept_by_shares, read_masks
from nnmeter.transforms import TransformError
from tests.pruning.conftest import WIDTH


@pytest.fixture(scope="module")
def model(network: Path) -> PrunableModel:
    return PrunableModel(read_model(network), AS_DECLARED)


def ones(size: int, gone: range) -> np.ndarray[Any, Any]:
    mask = np.ones(size, np.int64)
    mask[list(gone)] = 0
    return mask


def test_groups_and_their_names(model: PrunableModel) -> None:
    assert [group.names for group in model.groups] == [
        ("conv1",),
        ("block.conv2", "block.conv3", "dw"),
        ("pw",),
    ]
    assert [group.channels for group in model.groups] == [WIDTH, WIDTH, 2 * WIDTH]
    assert model.layer("node_3") == model.layer("block.conv2") == "node_3"
    with pytest.raises(TransformError, match=r"no layer 'block.conv9'.*block.conv2"):
        model.layer("block.conv9")
    with pytest.raises(TransformError, match="'output' of the model would change"):
        model.group_of("fc")


def test_widths_are_multiples_and_blocks(model: PrunableModel) -> None:
    group = model.groups[0]
    assert widths_to_try(group, 0.25, 8) == (64, 56, 48, 40, 32, 24, 16)
    assert widths_to_try(group, 0.25, 8, most=4) == (64, 56, 40, 16)


def test_a_channel_of_a_sum_goes_where_both_masks_take_it(model: PrunableModel) -> None:
    masks = {"block.conv2": ones(WIDTH, range(20)), "block.conv3": ones(WIDTH, range(10, 30))}
    kept = kept_by_masks(model, masks)
    assert list(kept) == ["node_3"]
    assert np.flatnonzero(kept["node_3"] == 0).tolist() == list(range(10, 20))
    # Without a mask, the other summand keeps all.
    assert kept_by_masks(model, {"block.conv2": ones(WIDTH, range(20))}) == {}
    # A depthwise convolution takes away more by its own mask.
    more = kept_by_masks(model, {**masks, "dw": ones(WIDTH, range(30, 34))})["node_3"]
    assert np.flatnonzero(more == 0).tolist() == [*range(10, 20), *range(30, 34)]


def test_masks_as_pruners_have_them(model: PrunableModel, tmp_path: Path) -> None:
    weight = np.ones((WIDTH, 16, 3, 3), np.float32)
    weight[5:9] = 0
    weight[10, 3] = 0  # a part of a channel is no channel
    bias = ones(WIDTH, range(5, 9))
    flat = {"conv1.weight": weight, "conv1.bias": bias}
    place = tmp_path / "masks.npz"
    np.savez(place, **flat)
    for masks in ({"conv1": {"weight": weight, "bias": bias}}, flat, read_masks(place)):
        kept = kept_by_masks(model, masks)["node_1"]
        assert np.flatnonzero(kept == 0).tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"conv1": np.ones(60)}, "is 60; the layer has 64 channels"),
        ({"conv1": np.float32(0)}, "is a number"),
        ({"conv1": np.zeros(WIDTH)}, "leave nothing of 'conv1'"),
        ({"fc": ones(10, range(2))}, "would change"),
    ],
)
def test_masks_that_do_not_fit(model: PrunableModel, masks: Any, message: str) -> None:
    with pytest.raises(NnmeterError, match=message):
        kept_by_masks(model, masks)


def test_no_pickle_is_opened(tmp_path: Path) -> None:
    place = tmp_path / "masks.npz"
    np.savez(place, a=np.array([{"a": 1}], object))
    with pytest.raises(NnmeterError, match="no masks can be read"):
        read_masks(place)
    (tmp_path / "not.npz").write_bytes(b"PK\x03\x04 not one")
    with pytest.raises(NnmeterError, match="no masks can be read"):
        read_masks(tmp_path / "not.npz")


def test_shares_become_whole_channels(model: PrunableModel) -> None:
    assert kept_by_shares(model, {"conv1": 0.25, "pw": 0.001}) == {"node_1": 48}
    assert kept_by_shares(model, {"block.conv2": 0.5, "block.conv3": 0.25}) == {"node_3": 48}
    with pytest.raises(NnmeterError, match="not from 0 on and below 1"):
        kept_by_shares(model, {"conv1": 1.0})
