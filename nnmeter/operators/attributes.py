"""What kind of value the attributes of operators have.

In all of ai.onnx, ai.onnx.ml and com.microsoft an attribute of one name has one kind (but for a few, which are not
here), so that one table tells a file that gives a word for a number. Only those are here that rules of shapes, costs,
features or fusion read; they may then rely on the kind.

`WORDS` has, by operator of ai.onnx, the values that some attributes may have: ONNX Runtime 1.32 refuses a model with
another one. An empty word is there where the runtime takes it for the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.graph.ir import Node
from nnmeter.operators.table import KNOWN_DOMAINS

_NAMES: dict[type, str] = {
    int: (
        "K N Nkv Nq accuracy_level align_corners allowzero antialias axis batch_axis batch_dims bits "
        "block_dim block_size blocksize broadcast ceil_mode center_point_box channels channels_last "
        "count_include_pad d_state dim do_rotary dtype end exclude_outside exclusive expert_weight_bits fmod "
        "gather_axis group hidden_size interleaved inverse is_causal k keepdims kv_num_heads largest layout "
        "linear_before_reset local_window_size max_gram_length max_map max_skip_count n_targets new_axis "
        "noop_with_empty_axes num_branches num_groups num_heads num_outputs num_scan_inputs offset_group "
        "onesided output_datatype output_dtype output_height output_width packed_type positive q_num_heads "
        "quantize_axis reverse rotary_embedding_dim router_size sample_size sampling_ratio select_last_index "
        "size sorted sparse_block_size start stash_type step storage_order targets time_axis transA transB "
        "transBatchA transBatchB unidirectional upper window"
    ),
    tuple: (
        "axes classlabels_int64s classlabels_ints dilations ends "
        "inputdimensions int64_vocabulary kernel_shape ngram_indexes nodes_treeids output_padding "
        "output_shape paddings pads perm pooled_shape qkv_hidden_sizes scan_input_axes scan_output_axes shape "
        "split starts strides tree_roots vectors_per_class"
    ),
    str: (
        "approximate auto_pad cast_to coordinate_transformation_mode direction equation "
        "keep_aspect_ratio_policy map_form mode nearest_mode padding_mode reduction update_rule"
    ),
}  # fmt: skip

KINDS: dict[str, type] = {name: kind for kind, names in _NAMES.items() for name in names.split()}

_WINDOWS = {"auto_pad": frozenset({"", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"})}
_DIRECTIONS = {"direction": frozenset({"forward", "reverse", "bidirectional"})}
_FLAG = frozenset({0, 1})

WORDS: Mapping[str, Mapping[str, frozenset[str] | frozenset[int]]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "ConvInteger", "QLinearConv"), _WINDOWS),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _WINDOWS),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _DIRECTIONS),
    "BitShift": {"direction": frozenset({"LEFT", "RIGHT"})},
    "CumSum": {"exclusive": _FLAG, "reverse": _FLAG},
    "DepthToSpace": {"mode": frozenset({"DCR", "CRD"})},
    "Gelu": {"approximate": frozenset({"none", "tanh"})},
    "GridSample": {
        "mode": frozenset({"linear", "bilinear", "nearest", "cubic", "bicubic"}),
        "padding_mode": frozenset({"zeros", "border", "reflection"}),
    },
    "Pad": {"mode": frozenset({"constant", "reflect", "edge", "wrap"})},
    "Resize": {
        "mode": frozenset({"nearest", "linear", "cubic"}),
        "nearest_mode": frozenset({"", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}),
        "coordinate_transformation_mode": frozenset(
            {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
             "tf_half_pixel_for_nn", "tf_crop_and_resize"}
        ),
        "keep_aspect_ratio_policy": frozenset({"stretch", "not_larger", "not_smaller"}),
    },
    "RoiAlign": {"mode": frozenset({"avg", "max"})},
    "Upsample": {"mode": frozenset({"nearest", "linear", "cubic"})},
}  # fmt: skip

_WORDS: dict[type, str] = {int: "a whole number", tuple: "a list of whole numbers", str: "a word"}


def wrong_attribute(node: Node) -> str | None:
    """What is wrong with a node's attributes, or None where nothing is; own operators have own kinds."""
    if node.domain not in KNOWN_DOMAINS:
        return None
    for name, value in node.attributes.items():
        wrong = wrong_value(name, value)
        if wrong is not None:
            return wrong
    return wrong_word(node)


def wrong_word(node: Node) -> str | None:
    """What is wrong with a word that must be one of a few, or None where nothing is."""
    if node.domain:
        return None
    for name, allowed in WORDS.get(node.op_type, {}).items():
        value = node.attributes.get(name)
        if value is None or value in allowed:
            continue
        if name == "nearest_mode" and node.attributes.get("mode", "nearest") != "nearest":
            continue  # nobody reads it
        shown = repr(value)
        few = ", ".join(str(word) for word in sorted(allowed) if word != "")
        return f"attribute {name} is {shown[:40]}{'...' * (len(shown) > 40)}, not one of {few}"
    return None


def wrong_value(name: str, value: Any) -> str | None:
    """What is wrong with the value of an attribute, or None where nothing is or nothing is known."""
    kind = KINDS.get(name)
    if value is not None and (kind is None or _is(kind, value)):
        return None
    if kind is None or value is None:
        return f"attribute {name} has no value"
    shown = repr(value)
    return f"attribute {name} is {shown[:40]}{'...' * (len(shown) > 40)}, not {_WORDS[kind]}"


_WHOLE = frozenset({int, bool})


def _is(kind: type, value: Any) -> bool:
    if type(value) is tuple:
        return kind is tuple and _WHOLE.issuperset(map(type, value))  # a generator takes three times as long
    return isinstance(value, kind) and not isinstance(value, tuple)
