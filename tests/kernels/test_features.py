"""Every family's features are named, finite, and move with what the price depends on."""

from __future__ import annotations

import math

import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.anchor import Anchor
from nnmeter.kernels.features import FAMILIES, FEATURE_NAMES, kernel_family, kernel_features
from nnmeter.kernels.kernel import KernelSignature


def _kernel(
    type_: str, inputs: list[tuple[int, ...]], output: tuple[int, ...], constants: int = 0, dtype: str = "float32",
    **attributes: object,
) -> KernelSignature:  # fmt: skip
    """A kernel whose last `constants` inputs are constant."""
    anchor = type_.split("+")[0].split(".")[-1]
    return KernelSignature(
        type_,
        anchor,
        "com.microsoft.nchwc" if type_.startswith("nchwc.") else "",
        tuple(TensorType(dtype, shape) for shape in inputs),
        tuple(i >= len(inputs) - constants for i in range(len(inputs))),
        (TensorType(dtype, output),),
        tuple(sorted(attributes.items())),  # type: ignore[arg-type]
    )


def _conv(batch: int = 1, width: int = 14, groups: int = 1, dtype: str = "float32", type_: str = "nchwc.Conv+Relu"):  # type: ignore[no-untyped-def]
    return _kernel(
        type_, [(batch, 64, 14, width), (64, 64 // groups, 3, 3), (64,)], (batch, 64, 14, width), 2, dtype,
        kernel_shape=(3, 3), pads=(1, 1, 1, 1), group=groups, strides=(1, 1),
    )  # fmt: skip


EXAMPLES = {
    "convolution": _conv(),
    "grouped_convolution": _conv(groups=4),
    "depthwise_convolution": _conv(groups=64),
    "blockwise_matmul": _kernel(
        "MatMulNBits", [(1, 32, 128), (64, 4, 16), (64, 4)], (1, 32, 64), 2, K=128, N=64, bits=4, block_size=32
    ),
    "matmul": _kernel("Gemm", [(32, 128), (128, 64), (64,)], (32, 64), 2),
    "pooling": _kernel("MaxPool", [(1, 64, 14, 14)], (1, 64, 7, 7), kernel_shape=(2, 2), strides=(2, 2)),
    "normalization": _kernel("LayerNormalization", [(1, 49, 96), (96,), (96,)], (1, 49, 96), 2, axis=-1),
    "softmax": _kernel("Softmax", [(1, 4, 49, 49)], (1, 4, 49, 49), axis=-1),
    "elementwise": _kernel("Mul", [(1, 64, 14, 14), (1, 64, 1, 1)], (1, 64, 14, 14)),
    "reduction": _kernel("ReduceMean", [(1, 64, 7, 7)], (1, 64, 1, 1), axes=(2, 3), keepdims=1),
    "transpose": _kernel("Transpose", [(1, 49, 4, 24)], (1, 4, 49, 24), perm=(0, 2, 1, 3)),
    "movement": _kernel("Concat", [(1, 32, 14, 14), (1, 16, 14, 14)], (1, 48, 14, 14), axis=1),
    "view": _kernel("Reshape", [(1, 64, 7, 7), (2,)], (1, 3136), 1),
    "resize": _kernel("Resize", [(1, 64, 7, 7)], (1, 64, 14, 14), mode="nearest"),
    "recurrent": _kernel("LSTM", [(10, 1, 32), (1, 256, 32), (1, 256, 64)], (10, 1, 1, 64), 2, hidden_size=64),
    "attention": _kernel("Attention", [(1, 49, 96), (96, 288), (288,)], (1, 49, 96), 2, num_heads=4),
    "generic": _kernel("Frobnicate", [(1, 64)], (1, 64)),
}


def test_every_family_has_an_example() -> None:
    assert set(EXAMPLES) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_names_and_values_agree_and_are_finite(family: str) -> None:
    features = kernel_features(EXAMPLES[family])
    assert kernel_family(EXAMPLES[family]) == features.family == family
    assert len(features.values) == len(FEATURE_NAMES[family])
    assert len(set(FEATURE_NAMES[family])) == len(FEATURE_NAMES[family])
    assert all(math.isfinite(v) for v in features.values)


def _named(signature: KernelSignature) -> dict[str, float]:
    features = kernel_features(signature)
    return dict(zip(FEATURE_NAMES[features.family], features.values, strict=True))


def test_batch_width_and_element_type_change_the_features() -> None:
    base = _named(_conv())
    for other in (_conv(batch=4), _conv(width=28), _conv(dtype="float16"), _conv(type_="nchwc.Conv+Add+Relu")):
        assert _named(other) != base
    assert kernel_features(_conv(dtype="float16")).anchor != kernel_features(_conv()).anchor


def test_groups_divide_the_flops() -> None:
    assert kernel_features(_conv(groups=4)).cost.flops < kernel_features(_conv()).cost.flops / 3


def test_the_inner_loop_of_a_broadcast_is_seen() -> None:
    per_channel = _named(EXAMPLES["elementwise"])
    per_row = _named(_kernel("Mul", [(1, 64, 14, 14), (1, 1, 14, 14)], (1, 64, 14, 14)))
    alike = _named(_kernel("Mul", [(1, 64, 14, 14)] * 2, (1, 64, 14, 14)))
    assert per_channel["log_span"] == per_row["log_span"] == math.log2(1 + 196)
    assert alike["log_spans"] == 1.0
    assert per_channel["broadcast"] == 1.0


def test_axes_that_stay_together_move_as_one_in_a_transpose() -> None:
    swap = _named(_kernel("Transpose", [(1, 64, 14, 14)], (1, 14, 14, 64), perm=(0, 2, 3, 1)))
    assert swap["merged_rank"] == 2.0
    heads = _named(EXAMPLES["transpose"])
    assert heads["log_block"] == math.log2(1 + 24 * 4)  # rows of 24 floats are copied whole


def test_a_product_with_one_weight_counts_all_rows_together() -> None:
    merged = _named(_kernel("MatMul", [(8, 16, 32), (32, 64)], (8, 16, 64), 1))
    assert merged["log_m"] == math.log2(1 + 128)
    assert merged["log_batch_of_matrices"] == 1.0


def test_signatures_survive_json() -> None:
    for signature in EXAMPLES.values():
        assert KernelSignature.from_json(signature.to_json()) == signature


def _integer_product(weight: str) -> KernelSignature:
    types = [
        TensorType("uint8", (4, 64)),
        TensorType(weight, (64, 32)),
        TensorType("uint8", ()),
        TensorType(weight, ()),
    ]
    fixed = (False, True, False, True)
    output = (TensorType("int32", (4, 32)),)
    return KernelSignature("MatMulInteger", "MatMulInteger", "", tuple(types), fixed, output, ())


def test_products_by_unsigned_weights_are_another_anchor() -> None:
    assert kernel_features(_integer_product("int8")).anchor == Anchor("MatMulInteger", "uint8")
    assert kernel_features(_integer_product("uint8")).anchor == Anchor("MatMulInteger", "uint8*uint8")


def test_blocks_of_a_quantized_matrix_are_seen() -> None:
    def product(block: int, accuracy: int, zero_points: bool) -> dict[str, float]:
        blocks = -(-128 // block)
        shapes = [(1, 32, 128), (64, blocks, block // 2), (64, blocks), *([(64, 1)] if zero_points else [])]
        sizes = {"K": 128, "N": 64, "bits": 4, "block_size": block, "accuracy_level": accuracy}
        return _named(_kernel("MatMulNBits", shapes, (1, 32, 64), 2, **sizes))

    plain = product(32, 0, False)
    assert (plain["bits"], plain["blocks"], plain["accuracy_level"], plain["zero_points"]) == (4, 4, 0, 0)
    assert product(64, 0, False)["log_block_size"] > plain["log_block_size"]
    assert product(32, 4, False)["accuracy_level"] == 4
    assert product(32, 0, True)["zero_points"] == 1
