"""What operators take that ONNX Runtime runs element by element, on one core of a usual server.

Bytes and operations tell next to nothing of such a loop: a remainder takes as long as ten sums, and a map that sorts as
long as a hundred. The generic price of a kernel that training did not have knows bytes and operations alone, so that it
is far too low; it is at least what is here.

Rules:
1. `LOOPS` has nanoseconds by operator, as a rule like those of FLOPs. Where data decide how much is done, it is what
   usual data take; `nnmeter.operators.worst` has the worst.
2. All were measured with ONNX Runtime 1.32 and one thread of a Zen 3 server (`benchmarks/fallback_operators.py`). Of
   three pools of int8 in a network on Zen 4 it says 0.40, 0.10 and 0.05 ms; they took 0.47, 0.11 and 0.06.
3. What holds of some element types only says so; nothing is told of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nnmeter.graph.ir import TensorType
from nnmeter.operators.flops import (
    Attributes,
    FlopRule,
    Types,
    einsum_terms,
    in_elements,
    in_training,
    per_input,
    per_output,
    product,
    selectable,
    shape,
    sorted_at,
)  # fmt: skip
from nnmeter.operators.flops_signal import FOURIER, SHORT_FOURIER
from nnmeter.operators.table import KNOWN_DOMAINS

_Takes = Callable[[str], bool]


def loop_ns(op_type: str, domain: str, attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Nanoseconds that an operator takes that is run element by element; 0 where nothing is told (rules 1 and 3)."""
    if domain not in KNOWN_DOMAINS:
        return 0.0
    rule = LOOPS.get(op_type)
    return 0.0 if rule is None else rule.evaluate(attributes, inputs, outputs)


def _scaled(factor: float, rule: FlopRule) -> FlopRule:
    """So many nanoseconds for each operation of another rule."""
    return FlopRule(
        f"{factor:g} ns an operation",
        lambda attributes, inputs, outputs: factor * rule.evaluate(attributes, inputs, outputs),
    )


def _of_types(rule: FlopRule, takes: _Takes) -> FlopRule:
    """A rule for some element types of the first input (rule 3)."""

    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        first = inputs[0] if inputs else None
        return rule.evaluate(attributes, inputs, outputs) if first is not None and takes(first.dtype) else 0.0

    return FlopRule(rule.words, count)


def _is_double(dtype: str) -> bool:
    return dtype == "float64"


def _is_no_float(dtype: str) -> bool:
    return dtype != "float32"


def _windows(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return 2 * (outputs[0].elements if outputs else 0) * product(attributes.get("kernel_shape") or (1,))


def _selection(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return in_elements(inputs, 1) * (14 + 2 * min(selectable(attributes, inputs), _USUALLY_SELECTED) / 8)


def _eliminated(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    rows = (shape(inputs, 0) or (1,))[-1]
    matrices = in_elements(inputs) / max(rows * rows, 1)
    return matrices * (300 + 0.25 * rows**3)


def _sampled(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return (45 if len(shape(inputs, 0)) > 4 else 15) * (outputs[0].elements if outputs else 0)


def _deformed(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    x, w, y = shape(inputs, 0), shape(inputs, 1), outputs[0].shape if outputs else ()
    return 2.5 * product(x[:2]) * product(w[2:]) * product(y[2:])


def _running(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Each sum waits for the one before, unless whole rows are added."""
    x, axes = shape(inputs, 0), attributes.get("axes") or (-1,)
    lanes = product(x[int(axes[0]) % len(x) + 1 :]) if x else 1
    return in_elements(inputs) * (4 if lanes == 1 else 2 if lanes < _LANES else 0.4)


def _contracted(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Of one operand, what is read; of two without a sum, a product of matrices of one element for each result."""
    terms = einsum_terms(attributes, inputs)
    if len(terms) == 1:
        return 0.5 * product(list(dict(zip(terms[0], shape(inputs, 0), strict=False)).values()))  # of a diagonal, that
    if len(terms) == 2 and set(terms[0]) == set(terms[1]) and outputs:
        return 130.0 * outputs[0].elements if len(outputs[0].shape) == len(set(terms[0])) else 0.0
    return 0.0


def _classical(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return 0.3 * float(attributes.get("nested_flops", 0))


_USUALLY_SELECTED = 200  # boxes of a class that real images have at most
_LANES = 16  # of a vector register, more or less

_TRANSCENDENTAL = "Exp Log Tanh Softplus Elu Selu Celu Softmax LogSoftmax"

LOOPS: dict[str, FlopRule] = {
    "NonMaxSuppression": FlopRule("14 ns a score, 2 for an eighth of the boxes that can be selected", _selection),
    "Unique": sorted_at("8 ns a comparison", 8),
    "NonZero": per_input(4),
    "TopK": per_input(4),
    "Compress": per_input(3),
    "Multinomial": per_input(6),
    **dict.fromkeys(("RandomUniform", "RandomUniformLike"), per_output(4.5)),
    **dict.fromkeys(("RandomNormal", "RandomNormalLike"), per_output(11)),
    "Dropout": in_training("5 ns an element", 5),
    **dict.fromkeys(("Det", "Inverse"), FlopRule("300 ns a matrix, 0.25 n^3", _eliminated)),
    "MaxRoiPool": per_output(8),
    "CropAndResize": per_output(4),
    "GridSample": FlopRule("15 ns an element of pictures, 45 of volumes", _sampled),
    "DeformConv": FlopRule("2.5 ns for each input element of each window", _deformed),
    "MaxPool": _of_types(FlopRule("2 ns for each element of each window", _windows), _is_no_float),
    "Mod": per_output(6),
    "Pow": _of_types(per_output(15), _is_no_float),
    "BitShift": per_output(0.5),
    "CumSum": FlopRule("4 ns a sum, 0.4 where whole rows are added", _running),
    "DFT": _scaled(0.3, FOURIER),
    "STFT": _scaled(0.3, SHORT_FOURIER),
    "Einsum": FlopRule("0.5 ns an element of one operand, 130 a product of two without a sum", _contracted),
    **dict.fromkeys(("StringConcat", "StringSplit"), per_input(150)),
    **dict.fromkeys(("RegexFullMatch", "StringNormalizer", "Tokenizer"), per_input(110)),
    "Normalizer": per_input(6),
    "Binarizer": per_input(5.5),
    "Scaler": per_input(3),
    **dict.fromkeys(("SVMClassifier", "SVMRegressor"), FlopRule("0.3 ns a FLOP", _classical)),
    "UnfoldTensor": per_output(6.5),
    "OneHot": per_output(2),
    "LayerNormalization": _of_types(per_input(7), _is_double),
    **dict.fromkeys(("Sin", "Cos", "Tan", "Sigmoid"), _of_types(per_output(10), _is_double)),
    **{name: _of_types(per_output(5), _is_double) for name in _TRANSCENDENTAL.split()},
}  # fmt: skip
