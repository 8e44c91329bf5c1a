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
6. Where the attribute `fused` tells the operators fused behind the anchor (`Add+Relu`), it takes the place of rules 3
   and 4. A kernel of element-wise operators alone has the costliest of them for its anchor, the others in order of
   their names behind it (`elementwise_name`): so the name does not depend on the order in which they were found.
7. Attributes are kept where cost may depend on them; those that only change values (epsilon, alpha of a product, the
   parameters of an activation) are dropped. Axes of a reduction that arrive as a constant input are kept as `axes`.
8. An operator of a domain that the table of operators does not have is somebody's own: its name has the domain in
   front (`acme.MatMul`), so that it is not taken for another of that name, and all its numbers and words are kept.
9. The keys of an `Attention` of ai.onnx are described by rows, though a runtime may be given them by columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnmeter.errors import ModelError, brief
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.features.families import FAMILIES
from nnmeter.kernels.kernel import Attribute, KernelSignature
from nnmeter.operators.attributes import wrong_value
from nnmeter.operators.cost import operator_cost
from nnmeter.operators.noted import NOTING, noted
from nnmeter.operators.table import KNOWN_DOMAINS

BLOCKED_DOMAIN = "com.microsoft.nchwc"
_LONGEST_LIST = 256
_PLAIN = (int, float, str, tuple, type(None))
_REORDERS = frozenset({"ReorderInput", "ReorderOutput"})
_UNFUSED: dict[str, str] = {"FusedConv": "Conv", "FusedGemm": "Gemm"}
_RESIDUAL_INPUT: dict[str, int] = {"Conv": 3}

# What FLOPs and the runtimes' choice of code depend on beside what the features of families read.
_COST_ATTRIBUTES = (
    "auto_pad output_padding ceil_mode storage_order p keepdims activation activations channels blocksize "
    "q_num_heads kv_num_heads num_groups unidirectional is_causal do_rotary local_window_size to direction "
    "hidden_size linear_before_reset layout equation exclusive reverse largest sorted select_last_index "
    "select_first_index batch_dims batch_axis time_axis approximate reduction upper nearest_mode antialias "
    "exclude_outside align_corners padding_mode output_height output_width sampling_ratio num_outputs interleaved "
    "rotary_embedding_dim size offset_group gather_axis quantize_axis stash_type nested_flops nested_bytes_read "
    "nested_bytes_written k expert_weight_bits update_rule window d_state total_sequence_length training "
    "max_output_boxes dft_length"
)

COST_ATTRIBUTES: frozenset[str] = frozenset(_COST_ATTRIBUTES.split()).union(
    *(family.attributes for family in FAMILIES.values())
)

# Attributes that a runtime gives in a kind of its own: OpenVINO says by a word in which order data lie.
_RUNTIMES_OWN = frozenset({"layout"})

_DEFAULTS: dict[str, Any] = {
    "auto_pad": "NOTSET", "transA": 0, "transB": 0, "transBatchA": 0, "transBatchB": 0, "ceil_mode": 0,
    "count_include_pad": 0, "storage_order": 0, "channels_last": 0, "stash_type": 1, "antialias": 0,
    "exclude_outside": 0, "batch_dims": 0, "select_last_index": 0, "exclusive": 0, "reverse": 0,
}  # fmt: skip

_AXES_INPUT: dict[str, int] = dict.fromkeys(
    "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
    "ReduceSumSquare CumSum CumProd TopK".split(),
    1,
)


# Signatures by all that they are made of, where no value of an input is: candidates of a search have most of their
# kernels in common, and equal signatures that are one object are compared at once wherever they are looked up.
_made: dict[tuple[Any, ...], KernelSignature] = {}
_MOST_MADE = 20_000
_OF_VALUES = NOTING | frozenset(_AXES_INPUT)


def known_signature(
    op_type: str,
    domain: str,
    attributes: Mapping[str, Any],
    inputs: Sequence[TensorType | None],
    constants: Sequence[bool],
    outputs: Sequence[TensorType],
    values: Sequence[np.ndarray | None] = (),
) -> KernelSignature:
    """As `kernel_signature`; equal operators get the same object."""
    if domain not in KNOWN_DOMAINS or _UNFUSED.get(op_type, op_type) in _OF_VALUES:
        return kernel_signature(op_type, domain, attributes, inputs, constants, outputs, values)
    key: list[Any] = [op_type, domain, len(inputs), *constants]
    for kind in (*inputs, *outputs):
        if kind is None:
            key.append(None)
        else:
            key += (kind.dtype, kind.shape)
    for item in attributes.items():
        if isinstance(item[1], tuple | str) and len(item[1]) > _LONGEST_LIST:
            return kernel_signature(op_type, domain, attributes, inputs, constants, outputs, values)
        key.append(item)
    whole = tuple(key)
    try:
        found = _made.get(whole)
    except TypeError:  # an attribute that is an array
        return kernel_signature(op_type, domain, attributes, inputs, constants, outputs, values)
    if found is None:
        if len(_made) >= _MOST_MADE:
            _made.clear()
        found = _made[whole] = kernel_signature(op_type, domain, attributes, inputs, constants, outputs, values)
    return found


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

    Raises:
        ModelError: an attribute that is kept has a value of another kind than its operator's.
    """
    anchor = _UNFUSED.get(op_type, op_type) if domain in KNOWN_DOMAINS else op_type
    if anchor != op_type:
        domain = ""
    own = domain not in KNOWN_DOMAINS
    if values and not own:
        told = noted(anchor, attributes, inputs, lambda i: values[i] if i < len(values) else None).attributes
        attributes = {**attributes, **told} if told else attributes
    name = f"nchwc.{anchor}" if domain == BLOCKED_DOMAIN and anchor not in _REORDERS else anchor
    if own:
        name = f"{domain}.{anchor.replace('+', '_')}"
    name += _fused_suffix(anchor, attributes, inputs)
    kept: list[tuple[str, Attribute]] = []
    for key, value in attributes.items():
        if own:
            if _is_plain(value) and not (isinstance(value, tuple) and len(value) > _LONGEST_LIST):
                kept.append((key, value))
        elif key in COST_ATTRIBUTES and value is not None and value != _DEFAULTS.get(key):
            wrong = None if key in _RUNTIMES_OWN else wrong_value(key, value)
            if wrong is not None or not _is_plain(value):
                raise ModelError(
                    f"kernel '{brief(name, 200)}': {wrong or f'attribute {key} is no number, word or list of these'};"
                    " check the model, or the fusion rules that made the kernel"
                )
            kept.append((key, value))
    position = _AXES_INPUT.get(anchor)
    if position is not None and len(values) > position and values[position] is not None:
        axes = values[position]
        if axes is not None and axes.dtype.kind in "iu":
            kept = [item for item in kept if item[0] not in ("k", "axes")]
            kept.append(("k" if anchor == "TopK" else "axes", tuple(int(v) for v in axes.ravel())))
    kept.sort(key=lambda item: item[0])
    count = len(inputs)
    while count and inputs[count - 1] is None:
        count -= 1
    inputs, constants = inputs[:count], constants[:count]
    if anchor == "Attention" and not domain:
        inputs = _keys_by_rows(inputs)
    return KernelSignature(name, anchor, domain, tuple(inputs), tuple(constants), tuple(outputs), tuple(kept))


_NUMBERS_AND_WORDS = frozenset({int, bool, float, str})


def _is_plain(value: Any) -> bool:
    """Whether an attribute is a number, a word, or a list of these."""
    if isinstance(value, tuple):
        return _NUMBERS_AND_WORDS.issuperset(map(type, value))
    return isinstance(value, int | float | str)


def _fused_suffix(anchor: str, attributes: Mapping[str, Any], inputs: Sequence[TensorType | None]) -> str:
    """Rules 3, 4 and 6: what is fused behind an anchor, each with a plus sign before it."""
    fused = attributes.get("fused")
    if isinstance(fused, str):
        return f"+{fused}" if fused else ""
    suffix = ""
    residual = _RESIDUAL_INPUT.get(anchor)
    if residual is not None and len(inputs) > residual and inputs[residual] is not None:
        suffix += "+Add"
    activation = attributes.get("activation")
    if activation and isinstance(activation, str):
        suffix += f"+{activation}"
    return suffix


def elementwise_name(operators: Sequence[str]) -> str:
    """The name of a kernel of element-wise operators (rule 6): `Sigmoid+Add+Mul`."""
    element = TensorType("float32", (1,))

    def rank(operator: str) -> tuple[int, str]:
        return -operator_cost(operator, "", {}, [element, element], [element]).flops, operator

    return "+".join(sorted(operators, key=rank))


def _keys_by_rows(inputs: Sequence[TensorType | None]) -> Sequence[TensorType | None]:
    """Rule 9: the keys of an attention with one row a key, in whichever order they lie."""
    if len(inputs) < 3 or inputs[0] is None or inputs[1] is None:
        return inputs
    keys, width = inputs[1].shape, inputs[0].shape[-1:]
    if len(keys) < 2 or not width or keys[-1] == width[0] or keys[-2] != width[0]:
        return inputs
    return [inputs[0], TensorType(inputs[1].dtype, (*keys[:-2], keys[-1], keys[-2])), *inputs[2:]]


def operand_order(kind: TensorType, constant: bool) -> tuple[Any, ...]:
    """The key by which operands of a kernel are sorted whose runtime gives them no order of their own.

    Computed ones come first, large ones before small ones.
    """
    return constant, -kind.elements, kind.dtype, kind.shape


def without_leading_ones(kind: TensorType) -> TensorType:
    """A type without the leading dimensions of 1 that broadcasting adds; a scalar of rank 1 stays."""
    shape = kind.shape
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return kind if shape == kind.shape else TensorType(kind.dtype, shape)


def perceptron_attributes(
    operators: Sequence[str], weights: Sequence[TensorType], read: Sequence[TensorType], written: TensorType
) -> dict[str, Attribute]:
    """The attributes of a kernel of several products with weights, one behind the other.

    Args:
        operators: what runs in it, products included, in any order.
        weights: the weights of each product, of shape (width of its results, width of its data).
        read: everything that it reads.
        written: its result, of as many rows as the data.
    """
    rows = written.elements // max(written.shape[-1], 1)
    products = [operator for operator in operators if operator == "Gemm"]
    others = sorted(operator for operator in operators if operator != "Gemm")
    return {
        "transB": 1,
        "fused": "+".join([*products[1:], *others]),
        "nested_flops": sum(2 * rows * weight.elements for weight in weights),
        "nested_bytes_read": sum(tensor.bytes for tensor in read),
        "nested_bytes_written": written.bytes,
    }
