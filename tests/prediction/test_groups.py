"""Time by type, operator and module: groups hold all kernels, most expensive first."""

from __future__ import annotations

import pytest

from nnmeter import KernelGroup
from nnmeter.prediction.groups import group_kernels, module_tree
from nnmeter.prediction.priced_kernel import PricedKernel

KERNELS = [
    PricedKernel("a", "Conv+Relu", 1.0, "trained", ("a",), 10, 100, 0.0, (), "Conv", "/b1/b1.0/conv/Conv"),
    PricedKernel("b", "Conv", 2.0, "trained", ("b",), 20, 200, 0.0, (), "Conv", "/b1/b1.1/conv/Conv"),
    PricedKernel("c", "Gemm", 5.0, "trained", ("c",), 30, 300, 0.0, (), "Gemm", "/fc/Gemm"),
    PricedKernel("d", "Add", 0.5, "trained", ("d",), 40, 400, 0.0, (), "Add", "/b1/Add"),
    PricedKernel("e", "Reorder", 1.5, "trained", (), 0, 0, 0.0, (), "Reorder", ""),
]


def test_groups_sum_what_is_in_them() -> None:
    found = group_kernels(KERNELS, 20.0, lambda kernel: kernel.operator)
    assert found == (
        KernelGroup("Gemm", 5.0, 0.25, 1, 30, 300),
        KernelGroup("Conv", 3.0, 0.15, 2, 30, 300),
        KernelGroup("Reorder", 1.5, 0.075, 1, 0, 0),
        KernelGroup("Add", 0.5, 0.025, 1, 40, 400),
    )


def test_a_total_of_zero_gives_no_share() -> None:
    (group,) = group_kernels(KERNELS[:1], 0.0, lambda kernel: kernel.type)
    assert group.share == 0.0


@pytest.mark.parametrize(
    ("depth", "lines"),
    [
        (1, [(0, "fc", 5.0), (0, "b1", 3.5), (0, "", 1.5)]),
        (2, [(0, "fc", 5.0), (0, "b1", 3.5), (1, "1", 2.0), (1, "0", 1.0), (0, "", 1.5)]),
        (3, [(0, "fc", 5.0), (0, "b1", 3.5), (1, "1", 2.0), (2, "conv", 2.0), (1, "0", 1.0), (2, "conv", 1.0),
             (0, "", 1.5)]),
    ],
)  # fmt: skip
def test_modules_are_a_tree(depth: int, lines: list[tuple[int, str, float]]) -> None:
    found = [(level, group.name, group.latency_ms) for level, group in module_tree(KERNELS, 10.0, depth)]
    assert found == lines


def test_a_tree_in_the_order_of_the_run_tells_the_first_modules_of_each_apart() -> None:
    tree = module_tree(KERNELS, 10.0, 2, rank=lambda group: 0, most=1)
    assert [(level, group.name, group.latency_ms, group.kernels) for level, group in tree] == [
        (0, "b1", 3.5, 3),
        (1, "0", 1.0, 1),
        (1, "1 more", 2.0, 1),
        (0, "2 more", 6.5, 2),
    ]


def test_parameters_of_groups_and_of_the_whole_are_sums() -> None:
    from dataclasses import replace

    kernels = [replace(kernel, parameters=7) for kernel in KERNELS]
    found = group_kernels(kernels, 20.0, lambda kernel: kernel.operator)
    assert [group.parameters for group in found] == [7, 14, 7, 7]
