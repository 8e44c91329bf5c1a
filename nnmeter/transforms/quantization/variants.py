"""The variants of quantization by name, as a user gives them.

A name is a method and what is particular of it, with dashes between:

- `qdq`, `qoperator`: static. `u8s8`, `s8s8`, `u8u8`, `s8u8` are types of activations and weights; `channel` a scale a
  channel; `symmetric` ranges around zero; `matmul` products and convolutions only; `raw` without pre-processing.
- `dynamic`: activations quantized at run time. `s8`, `u8` are the type of weights; `channel`; `matmul`.
- `fp16`: half precision. With `io`, inputs and outputs stay float32.
- `int4`, `int8`: weights in blocks. `b32` is the block; `zp` zero points; `a4` the accuracy level; `table` tables, too.

`qdq` alone has `u8s8`, as ONNX Runtime's documentation advises for x86, and both static forms are made of the model
that its pre-processing gives; `raw` leaves that out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nnmeter.errors import brief
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.unbound import UnboundModel
from nnmeter.transforms.faults import TransformError
from nnmeter.transforms.quantization.blocks import BlockOptions, quantize_blocks
from nnmeter.transforms.quantization.dynamic import DynamicOptions, quantize_dynamic
from nnmeter.transforms.quantization.half import convert_to_half
from nnmeter.transforms.quantization.prepare import prepare
from nnmeter.transforms.quantization.qdq import StaticOptions, quantize_qdq
from nnmeter.transforms.quantization.qoperator import quantize_qoperator

_LETTERS = {"u": "uint8", "s": "int8"}
_TYPES = ("u8s8", "s8s8", "u8u8", "s8u8")
_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "MatMulNBits"})
_OLDEST_OPSET = 10  # the first with QuantizeLinear
_OLDEST_BY_CHANNEL = 13

Words = Sequence[str]


class UnknownWordError(ValueError):
    """A word of a variant's name that means nothing."""


def quantize(model: UnboundModel, variant: str, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model in another precision.

    Args:
        model: the model in floating point.
        variant: how; see the module.
        sizes: what the model leaves open.

    Raises:
        TransformError: there is no such variant, or the model is quantized already or too old for it.
    """
    method, *words = variant.split("-")
    make = METHODS.get(method)
    if make is None:
        raise TransformError(
            f"{model.source}: there is no precision '{brief(variant, 40)}'; take {', '.join(METHODS)}, "
            "see `nnmeter what-if --help`"
        )
    done = next((node for node in model.nodes if node.op_type in _QUANTIZED), None)
    if done is not None:
        raise TransformError(
            f"{model.source}: is quantized already ('{done.name}' is {done.op_type}); give the model in floating point"
        )
    opset = model.opsets.get("", 1)
    oldest = _OLDEST_BY_CHANNEL if "channel" in words and method == "qdq" else _OLDEST_OPSET
    if method in ("qdq", "qoperator", "dynamic") and opset < oldest:
        raise TransformError(
            f"{model.source}: is of operator set {opset}, '{variant}' needs {oldest}; export it with a newer one"
        )
    try:
        return make(model, words, sizes)
    except UnknownWordError as fault:
        raise TransformError(
            f"{model.source}: '{fault}' means nothing in '{brief(variant, 40)}'; see `nnmeter what-if --help`"
        ) from None


def _static(words: Words) -> tuple[StaticOptions, bool]:
    options, prepared = StaticOptions(), True
    for word in words:
        if word in _TYPES:
            options = replace(options, activation=_LETTERS[word[0]], weight=_LETTERS[word[2]])
        elif word == "channel":
            options = replace(options, per_channel=True)
        elif word == "symmetric":
            options = replace(options, symmetric=True)
        elif word == "matmul":
            options = replace(options, operators=frozenset({"MatMul", "Gemm", "Conv"}))
        elif word == "raw":
            prepared = False
        else:
            raise UnknownWordError(word)
    return options, prepared


def _qdq(model: UnboundModel, words: Words, sizes: InputSizes) -> UnboundModel:
    options, prepared = _static(words)
    return quantize_qdq(prepare(model, sizes) if prepared else model, options, sizes)


def _qoperator(model: UnboundModel, words: Words, sizes: InputSizes) -> UnboundModel:
    options, prepared = _static(words)
    return quantize_qoperator(prepare(model, sizes) if prepared else model, options, sizes)


def _dynamic(model: UnboundModel, words: Words, sizes: InputSizes) -> UnboundModel:
    options = DynamicOptions()
    for word in words:
        if word in ("s8", "u8"):
            options = replace(options, weight=_LETTERS[word[0]])
        elif word == "channel":
            options = replace(options, per_channel=True)
        elif word == "matmul":
            options = replace(options, operators=frozenset({"MatMul", "Gemm"}))
        else:
            raise UnknownWordError(word)
    return quantize_dynamic(model, options, sizes)


def _half(model: UnboundModel, words: Words, sizes: InputSizes) -> UnboundModel:
    if set(words) - {"io"}:
        raise UnknownWordError(next(word for word in words if word != "io"))
    return convert_to_half(model, "io" in words, sizes)


def _blocks(bits: int) -> Callable[[UnboundModel, Words, InputSizes], UnboundModel]:
    def make(model: UnboundModel, words: Words, sizes: InputSizes) -> UnboundModel:
        options = BlockOptions(bits)
        for word in words:
            number = int(word[1:]) if word[1:].isdecimal() and len(word) < 6 else 0
            if word[:1] == "b" and number >= 16 and number & (number - 1) == 0:
                options = replace(options, block=number)
            elif word[:1] == "a" and 0 < number <= 4:
                options = replace(options, accuracy=number)
            elif word == "zp":
                options = replace(options, symmetric=False)
            elif word == "table":
                options = replace(options, tables=True)
            else:
                raise UnknownWordError(word)
        return quantize_blocks(model, options, sizes)

    return make


METHODS: Mapping[str, Callable[[UnboundModel, Words, InputSizes], UnboundModel]] = {
    "qdq": _qdq,
    "qoperator": _qoperator,
    "dynamic": _dynamic,
    "fp16": _half,
    "int4": _blocks(4),
    "int8": _blocks(8),
}
