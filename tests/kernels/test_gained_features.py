"""Features that families gained after packs had been made: what they tell apart."""

from __future__ import annotations

import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.features import FEATURE_NAMES, kernel_features
from nnmeter.kernels.kernel import KernelSignature


def kernel(
    kind: str, inputs: list[tuple[int, ...]], output: tuple[int, ...], **attributes: int | str | tuple[int, ...]
) -> dict[str, float]:
    types = tuple(TensorType("float32", shape) for shape in inputs)
    outputs = (TensorType("float32", output),)
    signature = KernelSignature(
        kind, kind.partition("+")[0], "", types, (False,) * len(types), outputs, tuple(sorted(attributes.items()))
    )
    features = kernel_features(signature)
    return dict(zip(FEATURE_NAMES[features.family], features.values, strict=True))


@pytest.mark.parametrize(
    ("equation", "inputs", "output", "free", "summed", "turned"),
    [
        ("bhqd,bhkd->bhqk", [(1, 4, 15, 63), (1, 4, 31, 63)], (1, 4, 15, 31), (4.0, 5.0), 6.0, 0.0),
        ("bhqk,bhkd->bhqd", [(1, 4, 15, 31), (1, 4, 31, 63)], (1, 4, 15, 63), (4.0, 6.0), 5.0, 1.0),
        ("ibe,ehd->ibhd", [(7, 1, 127), (127, 3, 5)], (7, 1, 3, 5), (3.0, 4.0), 7.0, 1.0),
    ],
)
def test_einsum_is_a_product_whose_sizes_its_equation_tells(
    equation: str,
    inputs: list[tuple[int, ...]],
    output: tuple[int, ...],
    free: tuple[float, float],
    summed: float,
    turned: float,
) -> None:
    found = kernel("Einsum", inputs, output, equation=equation)
    assert (found["log_free_a"], found["log_free_b"], found["log_summed"]) == (*free, summed)
    assert found["turned"] == turned


@pytest.mark.parametrize("equation", ["ii->i", "...ij,jk->...ik", "ij,jk,kl->il", "ij,jk", ""])
def test_another_equation_has_no_such_sizes(equation: str) -> None:
    assert kernel("Einsum", [(3, 4), (4, 5)], (3, 5), equation=equation)["log_summed"] == -1.0


def test_a_resize_knows_its_filter_and_what_it_resizes() -> None:
    plain = kernel("Resize", [(1, 3, 8, 8)], (1, 3, 16, 16), mode="cubic")
    smooth = kernel("Resize", [(1, 3, 8, 8)], (1, 3, 16, 16), mode="cubic", antialias=1)
    same = kernel("Resize", [(1, 3, 8, 8)], (1, 3, 8, 8), mode="cubic")
    assert (plain["antialias"], smooth["antialias"]) == (0.0, 1.0)
    assert (plain["resized_axes"], same["resized_axes"]) == (2.0, 0.0)


def test_a_scatter_knows_how_much_it_writes() -> None:
    few = kernel("ScatterND", [(100, 4), (3, 1), (3, 4)], (100, 4))
    many = kernel("ScatterND", [(100, 4), (100, 1), (100, 4)], (100, 4))
    assert few["log_second_elements"] < many["log_second_elements"]


def fused(kind: str, channels: int) -> tuple[float, float]:
    found = kernel(kind, [(1, channels, 8, 8), (32, channels, 1, 1)], (1, 32, 8, 8), kernel_shape=(1, 1), group=1)
    return found["fused_work"], found["fused_share"]


def test_what_is_fused_costs_more_the_fewer_products_stand_beside_it() -> None:
    """A sigmoid for every 16 products is half of the work; for every 512 it is nothing."""
    assert fused("Conv", 16)[0] == 0.0
    assert fused("Conv+Relu", 16)[0] < fused("Conv+HardSwish", 16)[0] < fused("Conv+Swish", 16)[0]
    assert fused("Conv+Add+Swish", 16)[0] == fused("Conv+Swish", 16)[0] + 1
    assert fused("Conv+Swish", 512)[0] == fused("Conv+Swish", 16)[0]
    assert fused("Conv+Swish", 512)[1] < fused("Conv+Swish", 16)[1] - 4
    assert fused("Conv+Unheard", 16)[0] > 0


def test_a_product_of_matrices_and_a_chain_of_elements_know_what_is_fused_to_them() -> None:
    gemm, gelu = (kernel(kind, [(8, 64), (64, 32)], (8, 32)) for kind in ("Gemm", "Gemm+Gelu"))
    assert gelu["fused_work"] > gemm["fused_work"] == 0.0
    assert gelu["fused_share"] > gemm["fused_share"]
    alone, chain = (kernel(kind, [(8, 64), (8, 64)], (8, 64)) for kind in ("Add", "Add+Sigmoid"))
    assert chain["fused_work"] > alone["fused_work"] == 0.0


def test_a_reorder_knows_whether_its_channels_fill_blocks() -> None:
    assert kernel("ReorderOutput", [(1, 21, 8, 8)], (1, 21, 8, 8))["channels_mod_16"] == 5.0
    assert kernel("Transpose", [(1, 21, 8, 8)], (1, 8, 8, 21), perm=(0, 2, 3, 1))["channels_mod_16"] == -1.0


def test_a_sum_knows_whether_one_number_is_added_element_by_element() -> None:
    columns = (1, 172, 309, 1)
    assert kernel("Add", [columns, (1,)], columns)["by_element"] == 1.0
    assert kernel("Add", [columns, (1, 1)], columns)["by_element"] == 0.0
