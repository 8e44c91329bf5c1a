"""What of a kernel makes a runtime run other code, in words."""

from typing import Any

import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.paths import code_path, rare_path

IMAGE = (1, 8, 16, 16)


def kernel(op_type: str, shape: tuple[int, ...], out: tuple[int, ...] | None = None, **attributes: Any):
    kinds = (TensorType("float32", shape),)
    result = (TensorType("float32", out or shape),)
    return KernelSignature(op_type, op_type, "", kinds, (False,), result, tuple(sorted(attributes.items())))


@pytest.mark.parametrize(
    ("signature", "path", "rare"),
    [
        (kernel("Conv", IMAGE), "", ""),
        (kernel("Conv", (1, 8, 4, 16, 16)), "3-D", "3-D"),
        (kernel("ConvTranspose", (1, 8, 16)), "1-D", "1-D"),
        (kernel("MaxPool", IMAGE, ceil_mode=1, dilations=(2, 2)), "ceil_mode, dilated", "dilated"),
        (kernel("AveragePool", IMAGE, count_include_pad=1, pads=(1, 1, 1, 1)), "count_include_pad", ""),
        (kernel("AveragePool", IMAGE, count_include_pad=1, pads=(0, 0, 0, 0)), "", ""),
        (kernel("Softmax", (2, 8, 64), axis=-1), "", ""),
        (kernel("Softmax", (2, 8, 64), axis=1), "inner axis", ""),
        (kernel("Softmax", (2, 8, 1), axis=1), "", ""),
        (kernel("ReduceMean", IMAGE, axes=(2, 3)), "", ""),
        (kernel("ReduceMean", (2, 8, 16, 16), axes=(-3,)), "axes KRK", ""),
        (kernel("ReduceMean", (1, 8, 16, 16), axes=(0, 1)), "axes RK", ""),
        (kernel("Resize", IMAGE, (1, 8, 32, 32), mode="linear"), "linear by half_pixel", ""),
        (
            kernel("Resize", IMAGE, (1, 8, 32, 32), mode="cubic", antialias=1),
            "cubic, antialias, cubic by half_pixel",
            "cubic, antialias",
        ),
        (kernel("Resize", (1, 8, 4, 8, 8), (1, 8, 8, 16, 16)), "3-D, nearest by half_pixel", "3-D"),
        (kernel("Resize", (1, 16, 16, 8), (1, 32, 32, 8)), "channels scaled, nearest by half_pixel", "channels scaled"),
        (kernel("DFT", (1, 400, 1), axis=1), "no power of two", "no power of two"),
        (kernel("DFT", (1, 400, 1), axis=1, dft_length=512), "", ""),
        (kernel("ScatterND", IMAGE, reduction="add"), "add", ""),
        (kernel("LSTM", (10, 4, 8), layout=1), "layout 1", "layout 1"),
        (kernel("Einsum", (8, 8), equation="bij,bjk->bik"), "", ""),
        (kernel("Einsum", (8, 8), equation="...ij, jk -> ...ik"), "", ""),
        (kernel("Einsum", (8, 8), equation="ij,ji->ij"), "element by element", "element by element"),
        (kernel("Einsum", (8, 8), (8,), equation="bi,bi->b"), "", ""),
        (kernel("Einsum", (8, 8), equation="ij->ji"), "one operand", "one operand"),
        (kernel("Einsum", (8, 8), (8,), equation="...ii->...i"), "one operand, diagonal", "one operand, diagonal"),
        (kernel("Einsum", (8, 8), (8,), equation="ii,ij->j"), "diagonal", "diagonal"),
        (kernel("Einsum", (8, 8), equation="ij,jk,kl"), "several operands", "several operands"),
        (kernel("Relu", IMAGE), "", ""),
    ],
)
def test_the_path_of_a_kernel(signature: KernelSignature, path: str, rare: str) -> None:
    assert code_path(signature) == path
    assert rare_path(signature) == rare


def choice(dtype: str) -> KernelSignature:
    inputs = (TensorType("bool", IMAGE), TensorType(dtype, IMAGE), TensorType(dtype, IMAGE))
    return KernelSignature("Where", "Where", "", inputs, (False,) * 3, (TensorType(dtype, IMAGE),))


def test_the_path_of_a_choice_tells_what_is_chosen_where_no_pack_sampled_it() -> None:
    assert [code_path(choice(dtype)) for dtype in ("float32", "int64", "uint8")] == ["", "", ""]
    assert [rare_path(choice(dtype)) for dtype in ("float64", "int8", "string")] == [
        "of float64", "of int8", "of string",
    ]  # fmt: skip


def test_the_path_of_a_power_tells_whether_there_is_one_exponent() -> None:
    x = TensorType("float32", IMAGE)
    for exponent, path in ((TensorType("float32", ()), ""), (x, "an exponent for each element")):
        found = KernelSignature("Pow", "Pow", "", (x, exponent), (False, False), (x,))
        assert code_path(found) == rare_path(found) == path


def test_the_path_of_a_sum_tells_that_it_goes_element_by_element() -> None:
    x, number = TensorType("float32", (1, 172, 309, 1)), TensorType("float32", (1,))
    for inputs, path in (((x, number), "element by element"), ((x, x), "")):
        found = KernelSignature("Add", "Add", "", inputs, (False, False), (x,))
        assert code_path(found) == rare_path(found) == path
