"""Features that families gained after packs had been made: what they tell apart."""

from __future__ import annotations

import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.features import FEATURE_NAMES, kernel_features
from nnmeter.kernels.kernel import KernelSignature


def kernel(
    operator: str, inputs: list[tuple[int, ...]], output: tuple[int, ...], **attributes: int | str | tuple[int, ...]
) -> dict[str, float]:
    types = tuple(TensorType("float32", shape) for shape in inputs)
    outputs = (TensorType("float32", output),)
    signature = KernelSignature(
        operator, operator, "", types, (False,) * len(types), outputs, tuple(sorted(attributes.items()))
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
