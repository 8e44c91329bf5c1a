"""Footprint and distance of reuse are read off the order of execution, in coarse steps."""

from __future__ import annotations

from math import log2

import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.residency import RESIDENCY_NAMES, Residency, residencies

MIB = 2**20


def _kernel(read: tuple[float, ...], written: float, weights: float = 0.0) -> KernelSignature:
    """A kernel that reads, writes and has as weights so many MiB."""
    kinds = [TensorType("float32", (round(size * MIB / 4),)) for size in (*read, *([weights] if weights else []), written)]
    constants = (*(False,) * len(read), *((True,) if weights else ()))
    return KernelSignature("K", "K", "acme", tuple(kinds[:-1]), constants, (kinds[-1],))


def _mib(power: float) -> float:
    return 2**power / MIB


def test_footprint_is_all_weights_and_the_most_data_of_one_kernel() -> None:
    kernels = [_kernel((1,), 2, 8), _kernel((2,), 4, 16), _kernel((4,), 1, 2)]
    found = residencies(kernels)
    assert {residency.log_footprint for residency in found} == {log2(32 * MIB)}  # 8 + 16 + 2, and 2 + 4: 32


def test_distance_is_what_was_touched_since_data_were_written_or_read() -> None:
    chain = [_kernel((1,), 2, 8), _kernel((2,), 4, 8), _kernel((4,), 4, 8), _kernel((2,), 0.5)]
    distance = [_mib(residency.log_distance) for residency in residencies(chain)]
    footprint = 24 + 8
    assert distance[0] == pytest.approx(footprint)  # the network's input comes from the last inference
    assert distance[1] == distance[2] == pytest.approx(2**13 / MIB)  # just written: as near as the least step says
    assert distance[3] == pytest.approx(16)  # read by the second kernel, the third touched 4 + 4 + 8


def test_no_distance_exceeds_the_footprint() -> None:
    kernels = [_kernel((1,), 2), *(_kernel((2,), 2) for _ in range(50)), _kernel((1,), 1)]
    found = residencies(kernels)
    assert max(residency.log_distance for residency in found) == found[0].log_footprint == log2(4 * MIB)


def test_a_view_in_between_is_seen_through() -> None:
    image, tokens = TensorType("float32", (1, 64, 16, 16)), TensorType("float32", (1, 256, 64))
    first = KernelSignature("K", "K", "acme", (image,), (False,), (image,))
    second = KernelSignature("K", "K", "acme", (tokens,), (False,), (tokens,))
    assert residencies([first, second])[1].log_distance == 13


def test_steps_are_coarse_and_features_are_two() -> None:
    found = [residencies([_kernel((1,), 1, weights)])[0] for weights in (100, 101, 102, 150)]
    assert len(set(found)) == 2
    assert RESIDENCY_NAMES == Residency._fields
    assert residencies([]) == []
