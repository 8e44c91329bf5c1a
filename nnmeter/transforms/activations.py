"""Replacing an activation, however the exporter wrote it.

An activation is what lies between one tensor and the next: operators on single elements that read that tensor, each
other and constants, and whose last result alone is read by others. It is named by the operators that it is made of
(`_MADE_OF`), so that GELU in five operators and in one are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import pi, sqrt
from typing import Any

from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import UnboundModel
from nnmeter.transforms.draft import Draft
from nnmeter.transforms.faults import TransformError

_ELEMENTWISE = frozenset(
    {
        "Add", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Max", "Min",
        "Mish", "Mul", "Neg", "PRelu", "Pow", "Relu", "Selu", "Sigmoid", "Softplus", "Sqrt", "Sub", "Swish", "Tanh",
    }
)  # fmt: skip
_LARGEST = 12  # operators of an activation

# What an activation is made of, without Add, Sub, Mul and Div -> its name; with whether a product with its input
# belongs to it.
_MADE_OF: Mapping[tuple[tuple[str, ...], bool], str] = {
    (("Relu",), False): "relu",
    (("Clip",), False): "relu6",
    (("LeakyRelu",), False): "leakyrelu",
    (("PRelu",), False): "prelu",
    (("Elu",), False): "elu",
    (("Selu",), False): "selu",
    (("Sigmoid",), False): "sigmoid",
    (("HardSigmoid",), False): "hardsigmoid",
    (("Tanh",), False): "tanh",
    (("Softplus",), False): "softplus",
    (("Gelu",), False): "gelu",
    (("Mish",), False): "mish",
    (("HardSwish",), False): "hardswish",
    (("Swish",), False): "silu",
    (("Erf",), True): "gelu",
    (("Tanh",), True): "gelu-tanh",
    (("Pow", "Tanh"), True): "gelu-tanh",
    (("Sigmoid",), True): "silu",
    (("HardSigmoid",), True): "hardswish",
    (("Clip",), True): "hardswish",
    (("Relu", "Min"), True): "hardswish",
    (("Softplus", "Tanh"), True): "mish",
}
_PLAIN = frozenset({"Add", "Sub", "Mul", "Div"})


@dataclass(frozen=True)
class Activation:
    """An activation in a model.

    Attributes:
        kind: its name, a key of `MAKERS` or one that can only be replaced.
        source: the tensor that it reads.
        result: the tensor that it writes.
        nodes: names of its operators.
    """

    kind: str
    source: str
    result: str
    nodes: tuple[str, ...]


def find_activations(draft: Draft) -> list[Activation]:
    """The activations of a model, in its order."""
    writers, readers = draft.writers(), draft.readers()
    order = {node.name: at for at, node in enumerate(draft.nodes)}
    outputs = {declared.name for declared in draft.outputs}
    taken: set[str] = set()
    found = []
    for node in reversed(draft.nodes):
        if node.name in taken or node.op_type not in _ELEMENTWISE or node.domain:
            continue
        activation = _ending_at(node, draft, writers, readers, order, outputs)
        if activation is not None:
            taken.update(activation.nodes)
            found.append(activation)
    return found[::-1]


def _ending_at(
    last: Node,
    draft: Draft,
    writers: Mapping[str, Node],
    readers: Mapping[str, list[Node]],
    order: Mapping[str, int],
    outputs: set[str],
) -> Activation | None:
    inside = {last.name: last}
    while True:
        reads = {name for node in inside.values() for name in node.inputs if name and name not in draft.constants} - {
            name for node in inside.values() for name in node.outputs
        }
        kind = _kind(inside, reads)
        if kind is not None:
            nodes = sorted(inside, key=lambda name: order[name])
            return Activation(kind, next(iter(reads)), last.outputs[0], tuple(nodes))
        if len(inside) >= _LARGEST:
            return None
        grown = [
            writers[name]
            for name in reads
            if name in writers
            and writers[name].op_type in _ELEMENTWISE
            and name not in outputs
            and all(reader.name in inside for reader in readers[name])
        ]
        if not grown:
            return None
        chosen = max(grown, key=lambda node: order[node.name])
        inside[chosen.name] = chosen


def _kind(inside: Mapping[str, Node], reads: set[str]) -> str | None:
    if len(reads) != 1:
        return None
    source = next(iter(reads))
    made_of = tuple(sorted(n.op_type for n in inside.values() if n.op_type not in _PLAIN))
    gated = sum(source in node.inputs for node in inside.values()) > 1
    for (operators, product), kind in _MADE_OF.items():
        if gated == product and made_of == tuple(sorted(operators)) and (product or len(inside) == 1):
            return kind
    return None


def replace_activation(model: UnboundModel, old: str, new: str, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model with one kind of activation in the place of another.

    Args:
        model: the model; it is not changed.
        old: a kind that the model has, or `all`. One may stand in the place of itself, written as `MAKERS` writes it.
        new: a key of `MAKERS`.
        sizes: what the model leaves open.

    Raises:
        TransformError: the model has none of the old, or the new is not known.
    """
    if new not in MAKERS:
        raise TransformError(f"{model.source}: '{new}' is no activation; take {', '.join(MAKERS)}")
    draft = Draft(model, sizes)
    found = find_activations(draft)
    chosen = [a for a in found if old == a.kind or (old == "all" and a.kind != new)]
    if not chosen:
        kinds = ", ".join(sorted({a.kind for a in found})) or "none that is known"
        raise TransformError(f"{model.source}: has no activation '{old}' to replace; it has {kinds}")
    made: dict[str, list[Node]] = {}
    gone = {name for activation in chosen for name in activation.nodes}
    for activation in chosen:
        made[activation.nodes[-1]] = MAKERS[new](draft, activation.source, activation.result)
    nodes: list[Node] = []
    for node in draft.nodes:
        nodes += made.get(node.name, [] if node.name in gone else [node])
    draft.nodes = nodes
    return draft.finish(same_shapes=True)


def _one(op_type: str, **attributes: Any) -> Callable[[Draft, str, str], list[Node]]:
    return lambda draft, source, result: [draft.node(op_type, (source,), (result,), **attributes)]


def _relu6(draft: Draft, source: str, result: str) -> list[Node]:
    if draft.opset < 11:
        return [draft.node("Clip", (source,), (result,), min=0.0, max=6.0)]
    dtype = draft.types[source].dtype
    low, high = draft.constant("zero", 0.0, dtype), draft.constant("six", 6.0, dtype)
    return [draft.node("Clip", (source, low, high), (result,))]


def _gate(op_type: str, **attributes: Any) -> Callable[[Draft, str, str], list[Node]]:
    """X times a function of x."""

    def make(draft: Draft, source: str, result: str) -> list[Node]:
        gate = draft.fresh(f"{result}_gate")
        return [
            draft.node(op_type, (source,), (gate,), **attributes),
            draft.node("Mul", (source, gate), (result,)),
        ]

    return make


def _hardswish(draft: Draft, source: str, result: str) -> list[Node]:
    if draft.opset >= 14:
        return _one("HardSwish")(draft, source, result)
    return _gate("HardSigmoid", alpha=1 / 6, beta=0.5)(draft, source, result)


def _gelu(draft: Draft, source: str, result: str) -> list[Node]:
    if draft.opset >= 20:
        return _one("Gelu")(draft, source, result)
    return _chain(draft, source, result, (("Div", sqrt(2.0)), ("Erf", None), ("Add", 1.0), ("Mul", "x"), ("Mul", 0.5)))


def _gelu_tanh(draft: Draft, source: str, result: str) -> list[Node]:
    steps = (
        ("Pow", 3.0), ("Mul", 0.044715), ("Add", "x"), ("Mul", sqrt(2.0 / pi)), ("Tanh", None), ("Add", 1.0),
        ("Mul", "x"), ("Mul", 0.5),
    )  # fmt: skip
    return _chain(draft, source, result, steps)


def _chain(draft: Draft, source: str, result: str, steps: tuple[tuple[str, float | str | None], ...]) -> list[Node]:
    """Operators one behind another; `x` is the source, a number a constant."""
    nodes, data = [], source
    for number, (op_type, operand) in enumerate(steps):
        output = result if number == len(steps) - 1 else draft.fresh(f"{result}_{number}")
        inputs = [data]
        if operand == "x":
            inputs.append(source)
        elif operand is not None:
            inputs.append(draft.constant(f"{result}_constant", operand, draft.types[source].dtype))
        nodes.append(draft.node(op_type, inputs, (output,)))
        data = output
    return nodes


MAKERS: Mapping[str, Callable[[Draft, str, str], list[Node]]] = {
    "elu": _one("Elu"),
    "gelu": _gelu,
    "gelu-tanh": _gelu_tanh,
    "hardsigmoid": _one("HardSigmoid"),
    "hardswish": _hardswish,
    "hardswish-gate": _gate("HardSigmoid", alpha=1 / 6, beta=0.5),
    "identity": _one("Identity"),
    "leakyrelu": _one("LeakyRelu", alpha=0.01),
    "relu": _one("Relu"),
    "relu6": _relu6,
    "sigmoid": _one("Sigmoid"),
    "silu": _gate("Sigmoid"),
    "tanh": _one("Tanh"),
}
