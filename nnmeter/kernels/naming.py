"""The names of kernels: one function turns an executed operator into its kernel signature.

Both ways to find kernels end here: the detector, which foresees what a runtime will run, and the reader of a runtime's
own dump. So their types, shapes and attributes agree, and a measured kernel teaches the price of a detected one.

Rules of the names:
1. An operator of a blocked layout (domain `com.microsoft.nchwc`) has the prefix `nchwc.`: `nchwc.MaxPool`. The reorders
   that lead into and out of that layout exist nowhere else and have none: `ReorderInput`, `ReorderOutput`.
2. An operator that the runtime calls `Fused<X>` is an `<X>` with an activation: the anchor is `X` (domain ""), its name
   is `X`, and rules 3 and 4 add what is fused: `FusedConv` -> `Conv+Relu`, `FusedGemm` -> `Gemm+Relu`. A product with
   fused transposes is another kernel and keeps its name (`FusedMatMul`).
3. A residual input of a convolution (its fourth input) adds `+Add`.
4. An activation, and only then, adds `+<activation>`: `nchwc.Conv+Add+Relu`.
5. All others are named by their operator. Absent inputs at the end do not count.
6. Attributes are kept where cost may depend on them; those that only change values (epsilon, alpha of a product, the
   parameters of an activation) are dropped. Axes of a reduction that arrive as a constant input are kept as `axes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import Attribute, KernelSignature

BLOCKED_DOMAIN = "com.microsoft.nchwc"
_REORDERS = frozenset({"ReorderInput", "ReorderOutput"})
_UNFUSED: dict[str, str] = {"FusedConv": "Conv", "FusedGemm": "Gemm"}
_RESIDUAL_INPUT: dict[str, int] = {"Conv": 3}

COST_ATTRIBUTES: frozenset[str] = frozenset(
    "kernel_shape strides pads dilations group auto_pad output_padding ceil_mode count_include_pad storage_order p "
    "transA transB transBatchA transBatchB axis axes perm keepdims mode activation activations channels channels_last "
    "blocksize num_heads q_num_heads kv_num_heads num_groups unidirectional is_causal do_rotary local_window_size "
    "to direction hidden_size linear_before_reset layout bits block_size accuracy_level K N equation exclusive reverse "
    "largest sorted select_last_index select_first_index batch_dims batch_axis time_axis approximate reduction upper "
    "coordinate_transformation_mode nearest_mode antialias exclude_outside align_corners padding_mode output_height "
    "output_width sampling_ratio num_outputs interleaved rotary_embedding_dim size offset_group gather_axis "
    "quantize_axis stash_type nested_flops nested_bytes_read nested_bytes_written".split()
)

_DEFAULTS: dict[str, Any] = {
    "auto_pad": "NOTSET", "transA": 0, "transB": 0, "transBatchA": 0, "transBatchB": 0, "ceil_mode": 0,
    "count_include_pad": 0, "storage_order": 0, "channels_last": 0, "stash_type": 1, "antialias": 0,
    "exclude_outside": 0, "batch_dims": 0, "select_last_index": 0, "exclusive": 0, "reverse": 0,
}  # fmt: skip

_AXES_INPUT: dict[str, int] = dict.fromkeys(
    "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
    "ReduceSumSquare CumSum TopK".split(),
    1,
)


def kernel_signature(
    op_type: str,
    domain: str,
    attributes: Mapping[str, Any],
    inputs: Sequence[TensorType | None],
    constants: Sequence[bool],
    outputs: Sequence[TensorType],
    values: Sequence[np.ndarray | None] = (),
) -> KernelSignature:
    """The signature of one executed operator.

    Args:
        op_type: the runtime's operator (`FusedConv`, `Conv`, `ReorderInput`).
        domain: its domain, "" for ai.onnx.
        attributes: its attributes as the reader gives them.
        inputs: types of its inputs in order, None for an absent optional one.
        constants: for each input, whether it is known before the run.
        outputs: types of the outputs that it computes.
        values: for each input, its value where it is a known small constant; may be shorter than `inputs`.

    Returns:
        The signature, named by the rules of this module.
    """
    anchor = _UNFUSED.get(op_type, op_type)
    if anchor != op_type:
        domain = ""
    name = f"nchwc.{anchor}" if domain == BLOCKED_DOMAIN and anchor not in _REORDERS else anchor
    residual = _RESIDUAL_INPUT.get(anchor)
    if residual is not None and len(inputs) > residual and inputs[residual] is not None:
        name += "+Add"
    activation = attributes.get("activation")
    if activation and isinstance(activation, str):
        name += f"+{activation}"
    kept: list[tuple[str, Attribute]] = []
    for key, value in attributes.items():
        if key in COST_ATTRIBUTES and value != _DEFAULTS.get(key):
            kept.append((key, value))
    position = _AXES_INPUT.get(anchor)
    if position is not None and len(values) > position and values[position] is not None:
        axes = values[position]
        if axes is not None:
            kept.append(("k" if anchor == "TopK" else "axes", tuple(int(v) for v in axes.ravel())))
    kept.sort()
    count = len(inputs)
    while count and inputs[count - 1] is None:
        count -= 1
    inputs, constants = inputs[:count], constants[:count]
    return KernelSignature(name, anchor, domain, tuple(inputs), tuple(constants), tuple(outputs), tuple(kept))
