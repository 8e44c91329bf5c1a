"""The rules that count FLOPs; the table of operators (`nnmeter.operators.table`) says which operator follows which.

A rule is a sentence, which documents and reports show, and a function of an operator's attributes, the types of its
inputs (None for an absent one) and those of its outputs. Rules 1 and 2 of `nnmeter.operators.cost` say what is counted.
Rules never fail on types that a file may hold: what is missing counts as a scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log2
from typing import Any, NamedTuple

from nnmeter.graph.ir import TensorType

Attributes = Mapping[str, Any]
Types = Sequence[TensorType | None]
Count = Callable[[Attributes, Types, Sequence[TensorType]], float]

SOFTMAX_FLOPS = 13  # an element: maximum, subtraction, exp (10), sum and division, the first two shared


class FlopRule(NamedTuple):
    """How the FLOPs of an operator are counted, in words and as a function."""

    words: str
    evaluate: Count


def shape(types: Types, position: int) -> tuple[int, ...]:
    """The shape of an input; that of a scalar where it is absent."""
    if 0 <= position < len(types):
        tensor = types[position]
        if tensor is not None:
            return tensor.shape
    return ()


def product(sizes: Sequence[int]) -> int:
    """The number of elements of a shape."""
    result = 1
    for size in sizes:
        result *= size
    return result


RANDOM_NUMBER = 100  # operations that drawing one takes as long as: 5 ns, ten times as long as an exponential


def out_elements(outputs: Sequence[TensorType]) -> int:
    """Elements of the first output; 0 where there is none."""
    return outputs[0].elements if outputs else 0


def in_elements(inputs: Types, position: int = 0) -> int:
    """Elements of an input; 0 where it is absent."""
    tensor = inputs[position] if position < len(inputs) else None
    return tensor.elements if tensor is not None else 0


def per_output(count: float) -> FlopRule:
    """A number for each element of the first output."""
    return FlopRule(f"{count:g} an output element", lambda attributes, inputs, outputs: count * out_elements(outputs))


def per_input(count: float, position: int = 0) -> FlopRule:
    """A number for each element of an input."""
    words = f"{count:g} an element of {'the first input' if not position else f'input {position}'}"
    return FlopRule(words, lambda attributes, inputs, outputs: count * in_elements(inputs, position))


def in_training(words: str, count: float) -> FlopRule:
    """A number for each element of the first output in training mode, else none."""
    return FlopRule(
        f"{words} in training mode",
        lambda attributes, inputs, outputs: count * out_elements(outputs) if attributes.get("training") else 0,
    )


def both(words: str, *rules: FlopRule) -> FlopRule:
    """The sum of several rules."""
    return FlopRule(
        words, lambda attributes, inputs, outputs: sum(r.evaluate(attributes, inputs, outputs) for r in rules)
    )


def convolution(weight: int, bias: int = -1, residual: int = -1) -> FlopRule:
    """A convolution whose weights, bias and residual are these inputs."""

    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        additions = sum(1 for position in (bias, residual) if position >= 0 and shape(inputs, position))
        return out_elements(outputs) * (2 * product(shape(inputs, weight)[1:]) + additions)

    return FlopRule("2 x outputs x channels of a group x window, 1 an output for bias and residual", count)


def transposed_convolution(weight: int = 1, bias: int = 2) -> FlopRule:
    """A transposed convolution: every input element is multiplied with a whole filter."""

    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        added = out_elements(outputs) if shape(inputs, bias) else 0
        return 2 * in_elements(inputs) * product(shape(inputs, weight)[1:]) + added

    return FlopRule("2 x inputs x output channels of a group x window, 1 an output for the bias", count)


def _matmul(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    a = shape(inputs, 0)
    if not a:
        return 0.0
    depth = a[-1]
    if attributes.get("transA", 0) and len(a) > 1:
        depth = a[0] if attributes.get("transBatchA", 0) else a[-2]
    return 2 * out_elements(outputs) * depth


def _gemm(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    a = shape(inputs, 0)
    depth = (a[0] if attributes.get("transA", 0) else a[-1]) if a else 0
    return out_elements(outputs) * (2 * depth + (1 if shape(inputs, 2) else 0))


def _blocked_matmul(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return 2 * out_elements(outputs) * int(attributes.get("K") or (shape(inputs, 0) or (0,))[-1])


def _rows(inputs: Types, position: int = 0) -> int:
    """Rows of an input: the product of all dimensions but the last."""
    return product(shape(inputs, position)[:-1])


def _every_output(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Products of the same rows with several matrices: as many columns as all outputs but a residual sum have."""
    depth = int(attributes.get("K") or (shape(inputs, 0) or (0,))[-1])
    gates = 2 if "activation" in attributes else 1
    columns = sum(t.elements for t in outputs[: 1 if gates == 2 else 3])
    return 2 * gates * columns * depth + 9 * in_elements(inputs)


def _low_rank_matmul(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    a = shape(inputs, 0)
    rank, columns = (shape(inputs, 3) or (0,))[0], (outputs[0].shape or (0,))[-1] if outputs else 0
    return 2 * _rows(inputs) * (a[-1] * columns + rank * (a[-1] + columns)) if a else 0.0


def einsum_terms(attributes: Attributes, inputs: Types) -> list[list[str]]:
    """The labels of the axes of each operand of an Einsum."""
    left = str(attributes.get("equation", "")).replace(" ", "").partition("->")[0]
    return [
        _labels(term, len(tensor.shape) if tensor is not None else 0)
        for term, tensor in zip(left.split(","), inputs, strict=False)
    ]


def einsum_result(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> list[str]:
    """The labels of the axes of an Einsum's result; where the equation does not say them, those that are read once."""
    _, arrow, right = str(attributes.get("equation", "")).replace(" ", "").partition("->")
    if arrow:
        return _labels(right, len(outputs[0].shape) if outputs else 0)
    every = [label for labels in einsum_terms(attributes, inputs) for label in labels]
    return sorted({label for label in every if every.count(label) == 1 or label.startswith(".")})


def einsum_sizes(attributes: Attributes, inputs: Types) -> dict[str, int]:
    """The size of each label of an Einsum; one that is broadcast has the larger."""
    sizes: dict[str, int] = {}
    for labels, tensor in zip(einsum_terms(attributes, inputs), inputs, strict=False):
        for label, size in zip(labels, tensor.shape if tensor is not None else (), strict=False):
            sizes[label] = max(size, sizes.get(label, 1))
    return sizes


def _einsum(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Operands are contracted from left to right; a label that nobody reads any more is summed away."""
    sizes, terms = einsum_sizes(attributes, inputs), einsum_terms(attributes, inputs)
    kept = set(einsum_result(attributes, inputs, outputs))
    if not terms:
        return float(out_elements(outputs))
    if len(terms) == 1:
        return float(product([sizes[label] for label in sizes]))
    total, held = 0.0, set(terms[0])
    for position, labels in enumerate(terms[1:], 1):
        held |= set(labels)
        total += 2 * product([sizes.get(label, 1) for label in held])
        later = kept.union(*terms[position + 1 :])
        held &= later
    return total


def _labels(term: str, rank: int) -> list[str]:
    """The labels of an operand's axes; those of an ellipsis are counted from its end."""
    head, dots, tail = term.partition("...")
    if not dots:
        return list(head)
    hidden = max(rank - len(head) - len(tail), 0)
    return [*head, *(f".{number}" for number in range(hidden, 0, -1)), *tail]


def _pool(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return out_elements(outputs) * product(attributes.get("kernel_shape") or (1,))


def _variadic(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return max(len(inputs) - 1, 1) * out_elements(outputs)


_TAPS: dict[str, int] = {"nearest": 0, "linear": 8, "cubic": 32}


def _resize(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return _TAPS.get(attributes.get("mode", "nearest"), _TAPS["linear"]) * out_elements(outputs)


def recurrent(gates: int) -> FlopRule:
    """A recurrent layer with so many gates."""

    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        x, r = shape(inputs, 0), shape(inputs, 2)
        if len(x) < 3 or len(r) < 3:
            return float(out_elements(outputs))
        hidden = min(r[1:])  # DynamicQuantizeLSTM has its weights the other way round
        steps, batch = (x[1], x[0]) if attributes.get("layout", 0) == 1 else (x[0], x[1])
        steps = int(attributes.get("steps", steps))
        return steps * batch * r[0] * gates * hidden * (2 * (x[2] + hidden) + 10)

    words = f"steps x batch x directions x {gates} gates x hidden x (2 x (input + hidden) + 10 for the activation)"
    return FlopRule(words, count)


def _causal_convolution(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    bias = 1 if shape(inputs, 2) else 0
    activation = 11 if attributes.get("activation") not in (None, "", "none") else 0
    return out_elements(outputs) * (2 * product(shape(inputs, 1)[1:]) + bias + activation)


def _sorting(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    elements = in_elements(inputs)
    return elements * max(1.0, log2(max(elements, 2)))


def sorted_at(words: str, cost: float) -> FlopRule:
    """Sorting whose comparisons cost so much."""
    return FlopRule(words, lambda attributes, inputs, outputs: cost * _sorting(attributes, inputs, outputs))


def _selection(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Boxes of a class are sorted by their scores; each is compared with an eighth of those that can be selected."""
    scores = in_elements(inputs, 1)
    boxes = (shape(inputs, 1) or (1,))[-1]
    return scores * (log2(max(boxes, 2)) + _OVERLAP_FLOPS * min(selectable(attributes, inputs), _USUAL) / 8)


def selectable(attributes: Attributes, inputs: Types) -> int:
    """Boxes of a class that a NonMaxSuppression may select at most."""
    boxes = (shape(inputs, 1) or (1,))[-1]
    return min(int(attributes.get("max_output_boxes", boxes)), boxes)


def _every_overlap(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return in_elements(inputs, 1) * _OVERLAP_NS * selectable(attributes, inputs)


_OVERLAP_FLOPS = 14  # areas, overlap and ratio of two boxes
_USUAL = 200  # boxes of a class that real images have at most
# Measured with ONNX Runtime 1.32, one thread: 205 ms where 8,400 boxes do not overlap and all are selected.
_OVERLAP_NS = 6


def _cubic(factor: float) -> Count:
    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        return factor * in_elements(inputs) * (shape(inputs, 0) or (1,))[-1]

    return count


def _distances(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return 3 * out_elements(outputs) * (shape(inputs, 0) or (1,))[-1]


def _word_convolution(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return 2 * in_elements(inputs) * in_elements(inputs, 1)


def _position_gates(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    heads = int(attributes.get("num_heads", 1))
    return 2 * _rows(inputs) * heads * in_elements(inputs, 3) + 2 * out_elements(outputs)


def _stream_mixing(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    mixing = (shape(inputs, 3) or (0,))[-1]
    return 2 * out_elements(outputs) * (mixing + 1)


def _low_rank_streams(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    weights = sum(in_elements(inputs, position) for position in (2, 3, 4))
    return 2 * _rows(inputs) * weights + 9 * in_elements(inputs)


def _experts(positions: tuple[int, ...]) -> Count:
    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        packed = 8 // max(int(attributes.get("expert_weight_bits", 8)), 1)
        weights = 0.0
        for position in positions:
            experts = (shape(inputs, position) or (1,))[0]
            weights += in_elements(inputs, position) * packed / max(experts, 1)
        return _rows(inputs) * int(attributes.get("k", 1)) * (2 * weights)

    return count


def experts(*positions: int) -> FlopRule:
    """A mixture of experts whose weights are these inputs, each with one row of matrices for every expert."""
    return FlopRule("rows x experts chosen x 2 x weights of one expert", _experts(positions))


def _state_space(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    state = int(attributes.get("d_state", 1))
    return out_elements(outputs) * (6 * state + 2 * (shape(inputs, 3) or (1,))[-1] + 20)


MATMUL = FlopRule("2 x outputs x depth", _matmul)
GEMM = FlopRule("2 x outputs x depth, 1 an output for the addend", _gemm)
BLOCKED_MATMUL = FlopRule(
    "2 x outputs x depth, which the attribute K or the input's last dimension gives", _blocked_matmul
)
EVERY_OUTPUT = FlopRule("2 x outputs of all products x depth, 9 an input element for the normalization", _every_output)
LOW_RANK_MATMUL = FlopRule("2 x rows x (depth x columns + rank x (depth + columns))", _low_rank_matmul)
EINSUM = FlopRule("operands contracted in pairs, 2 for each combination of a pair's labels", _einsum)
POOL = FlopRule("1 for each output and position of the window", _pool)
VARIADIC = FlopRule("1 for each output and input after the first", _variadic)
RESIZE = FlopRule("0 (nearest), 8 (linear) or 32 (cubic) an output element", _resize)
CAUSAL_CONVOLUTION = FlopRule("2 x outputs x window of a channel, 1 for the bias, 11 for SiLU", _causal_convolution)
SORTING = FlopRule("n log2 n comparisons of n input elements", _sorting)
SELECTION = FlopRule(
    "for each score log2 of the boxes, and 14 for an eighth of the boxes that can be selected", _selection
)
EVERY_OVERLAP = FlopRule("6 ns for each score and box that can be selected", _every_overlap)
DETERMINANT = FlopRule("2/3 n^3 for each matrix of n rows (elimination)", _cubic(2 / 3))
INVERSE = FlopRule("2 n^3 for each matrix of n rows", _cubic(2.0))
DISTANCES = FlopRule("3 x pairs x width", _distances)
WORD_CONVOLUTION = FlopRule("2 x letters x weights", _word_convolution)
POSITION_GATES = FlopRule("2 x rows x heads x weights of the gates, 2 an output element", _position_gates)
STREAM_MIXING = FlopRule("2 for each output and stream that is mixed into it, 2 for the block's output", _stream_mixing)
LOW_RANK_STREAMS = FlopRule("2 x rows x weights, 9 an input element for the normalization", _low_rank_streams)
STATE_SPACE = FlopRule("for each output 6 a state, 2 a tap of the convolution, 20 for gate and norm", _state_space)
NESTED = FlopRule("what the nested graphs cost, times the trips", per_output(1).evaluate)
IMAGE = FlopRule(
    "12 an output element: two 8-point transforms of 40 for 8 samples, and colours", per_output(12).evaluate
)
