"""Turns a float network under construction into one of half precision, as converters to float16 write it.

1. All float32 inputs, weights, constants and results become float16; constants are clipped to +-10000. Casts to float32
   become casts to float16. Sizes that Resize reads stay float32.
2. Operators that converters leave in float32 (`_WIDE`) stand between casts.
3. In some networks inputs and outputs stay float32, with a cast behind each input and before each output.

ONNX Runtime's CPU provider has kernels of float16 for operators that only move data, for LayerNormalization and for
MatMulNBits, and runs all others in float32, with casts between: its float16 networks sample these casts.
"""

from __future__ import annotations

import onnx
from onnx import helper

from nnmeter.lab.campaign.recipes.builder import FLOAT, FLOAT16, NetworkBuilder, Tensor

_WIDE = frozenset({"TopK", "Range", "CumSum", "Min", "Max", "NonMaxSuppression", "RoiAlign", "Upsample"})
_FLOAT_INPUTS: dict[str, tuple[int, ...]] = {"Resize": (1, 2)}  # inputs that are float32 in any case
_KEPT_ENDS = 0.4

SOURCES = {
    "plain": 2.0, "residual_basic": 5.0, "residual_bottleneck": 5.0, "residual_grouped": 3.0, "reparameterised": 1.0,
    "separable": 2.0, "inverted_residual": 6.0, "fused_inverted_residual": 1.0, "ghost": 1.0, "shuffle_split": 1.5,
    "dense": 1.5, "fire": 1.0, "inception": 1.5, "aggregation": 1.5, "multi_resolution": 1.0, "chain": 1.0,
    "feature_pyramid": 1.0, "atrous": 1.0, "encoder_decoder": 1.0, "super_resolution": 1.0, "convnext": 3.0,
    "metaformer": 1.0, "plain_vit": 5.0, "windowed": 3.0, "token_mixer": 2.0, "encoder": 6.0, "decoder": 4.0,
    "sequence_to_sequence": 1.0, "token_layers": 2.0, "audio": 2.0, "perceptron": 1.0, "recurrent": 1.0, "signal": 1.0,
    "speech": 1.0, "text_lines": 1.0, "gated_decoder": 2.0, "characters": 1.0,
    "time_frequency": 1.0,
}  # fmt: skip
"""Families that are converted, with their weights."""


def convert_to_half(b: NetworkBuilder) -> None:
    """Rewrites the builder's network into half precision."""
    kept = {
        node.input[i]
        for node in b.nodes
        for i in _FLOAT_INPUTS.get(node.op_type, ())
        if i < len(node.input) and node.input[i]
    }
    ends = b.rng.random() < _KEPT_ENDS
    if ends:
        kept |= b.input_names
    results = {name for node in b.nodes for name in node.output}
    b.as_half(kept)
    wide_ends = b.input_names if ends else set()
    read = {name for node in b.nodes for name in node.input}
    returned = results - read if ends else set()
    nodes, b.nodes = b.nodes, []
    narrowed: dict[str, str] = {}
    for node in nodes:
        _retype(node)
        for position, name in enumerate(node.input):
            if name in wide_ends and b.tensors[name].dtype == FLOAT:
                if name not in narrowed:
                    narrowed[name] = _cast(b, b.tensors[name], FLOAT16).name
                node.input[position] = narrowed[name]
        if node.op_type in _WIDE:
            _widen(b, node)
        else:
            b.nodes.append(node)
        for name in node.output:
            if name in returned and b.tensors[name].dtype == FLOAT16:
                _cast(b, b.tensors[name], FLOAT)


def _retype(node: onnx.NodeProto) -> None:
    """Rule 1, for what a node says of types itself."""
    for attribute in node.attribute:
        if attribute.name == "to" and attribute.i == FLOAT:
            attribute.i = FLOAT16
        if attribute.HasField("t") and attribute.t.data_type == FLOAT:
            values = onnx.numpy_helper.to_array(attribute.t).astype("float16")
            attribute.t.CopyFrom(onnx.numpy_helper.from_array(values, attribute.t.name))


def _widen(b: NetworkBuilder, node: onnx.NodeProto) -> None:
    """Rule 2: the node between casts; what it writes keeps its names behind them."""
    for position, name in enumerate(node.input):
        if name and b.tensors[name].dtype == FLOAT16:
            node.input[position] = _cast(b, b.tensors[name], FLOAT).name
    b.nodes.append(node)
    for position, name in enumerate(node.output):
        tensor = b.tensors[name]
        if tensor.dtype == FLOAT16:
            wide = tensor._replace(name=f"{name}_wide", dtype=FLOAT)
            b.tensors[wide.name] = wide
            node.output[position] = wide.name
            b.nodes.append(helper.make_node("Cast", [wide.name], [name], name=f"node_{wide.name}", to=FLOAT16))


def _cast(b: NetworkBuilder, x: Tensor, dtype: int) -> Tensor:
    return b.node("Cast", [x], x.shape, dtype=dtype, to=dtype)
