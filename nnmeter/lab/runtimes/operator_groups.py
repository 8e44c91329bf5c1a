"""Signatures of kernels that do the work of several ONNX operators, for runtimes that name those but tell no shapes.

1. A kernel of one operator has the signature of that operator.
2. A kernel of element-wise operators is named by what they are together where that has a name (`ACTIVATIONS`), else by
   all of them, the costliest first. Its inputs are what they read of other kernels, then constants of more than one
   element.
3. A product with a constant matrix is a `Gemm` of any rank whose weights lie transposed; a product or convolution has
   its weights, a bias where it has one, and behind them what its fused operators read of other kernels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.naming import elementwise_name, kernel_signature

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_FIRST_BEHIND = 3  # place of the first input that a fused operator reads
# What a decomposed activation is, by operators that it has; the first that fits.
ACTIVATIONS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"Mul", "Erf"}), "Gelu"),
    (frozenset({"Mul", "Tanh", "Pow"}), "Gelu"),
    (frozenset({"Mul", "Softplus", "Tanh"}), "Mish"),
    (frozenset({"Mul", "Sigmoid"}), "Swish"),
    (frozenset({"Mul", "HardSigmoid"}), "HardSwish"),
    (frozenset({"Mul", "Clip", "Add"}), "HardSwish"),
)


def activation_of(kinds: Iterable[str]) -> str:
    """The activation that operators are together; "" where it is none that has a name."""
    known = set(kinds)
    return next((name for parts, name in ACTIVATIONS if parts <= known), "")


def constant_tensors(graph: Graph, known: Collection[str] = ()) -> set[str]:
    """Tensors that follow from initializers and from those that are known, whatever the inputs are."""
    found = set(known) | set(graph.initializers)
    for node in graph.nodes:
        if node.op_type not in RANDOM and all(tensor in found for tensor in node.inputs if tensor):
            found.update(node.outputs)
    return found


class GroupSignatures:
    """Signatures of kernels of one graph.

    Args:
        graph: the ONNX model with static shapes.
        constant: its tensors that no input decides.
    """

    def __init__(self, graph: Graph, constant: Collection[str]) -> None:
        self.graph, self.constant = graph, constant

    def alone(self, node: Node) -> KernelSignature:
        """Of one operator (rule 1)."""
        types, values = self.graph.types, self.graph.values
        constants = [tensor in self.constant for tensor in node.inputs]
        return kernel_signature(
            node.op_type,
            node.domain,
            node.attributes,
            [types[tensor] if tensor else None for tensor in node.inputs],
            constants,
            [types[tensor] for tensor in node.outputs if tensor in types],
            [values.get(t) if c else None for t, c in zip(node.inputs, constants, strict=True)],
        )

    def together(
        self, nodes: Sequence[Node], end: str, kind: str = "", attributes: dict[str, Any] | None = None
    ) -> KernelSignature:
        """Of several operators that end with a tensor (rule 2); `kind` where it is known what they are."""
        computed, fixed = self.read_by(nodes)
        given = dict(attributes or {})
        if not kind:
            kind, _, given["fused"] = elementwise_name([node.op_type for node in nodes]).partition("+")
        constants = [False] * len(computed) + [True] * len(fixed)
        return kernel_signature(kind, "", given, [*computed, *fixed], constants, [self.graph.types[end]])

    def read_by(self, nodes: Sequence[Node]) -> tuple[list[TensorType], list[TensorType]]:
        """What operators read that none of them writes: what is computed, and constants of more than one element."""
        types = self.graph.types
        inner = {tensor for node in nodes for tensor in node.outputs}
        read = list(dict.fromkeys(t for node in nodes for t in node.inputs if t and t not in inner))
        fixed = [types[t] for t in read if t in self.constant and types[t].elements > 1]
        return [types[t] for t in read if t not in self.constant], fixed

    def product(
        self, main: Node, end: str, fused: str, with_bias: bool = True, behind: Sequence[TensorType] = ()
    ) -> KernelSignature:
        """Of a product with constant weights, and what is fused behind it (rule 3)."""
        types = self.graph.types
        data, weight, result = types[main.inputs[0]], types[main.inputs[1]], types[end]
        attributes: dict[str, Any]
        if main.op_type in ("Conv", "ConvTranspose"):
            kind, attributes = main.op_type, dict(main.attributes)
            channels = types[main.outputs[0]].shape[1]
            attributes["kernel_shape"] = weight.shape[2:]
        else:
            kind, attributes = "Gemm", {"transB": 1}
            channels = types[main.outputs[0]].shape[-1]
            weight = TensorType(weight.dtype, (channels, weight.elements // max(channels, 1)))
        attributes["fused"] = fused
        bias: list[TensorType | None] = [TensorType(weight.dtype, (channels,))] if with_bias else []
        if behind and not with_bias:
            bias = [None]
        inputs = [data, weight, *bias, *behind]
        constants = [False, True, *[True] * len(bias), *[False] * len(behind)]
        return kernel_signature(kind, "", attributes, inputs, constants, [result])

    def computed_product(self, main: Node, fused: str, behind: Sequence[TensorType] = ()) -> KernelSignature:
        """Of a product of two computed matrices, and what is fused behind it, from the fourth input on."""
        read = [self.graph.types[tensor] if tensor else None for tensor in main.inputs]
        return self._led(main, read, fused, behind)

    def chain(self, nodes: Sequence[Node], inner: Collection[str]) -> KernelSignature:
        """Of operators that run in one loop, one behind the other: the first, and what the others read of kernels.

        Args:
            nodes: in their order.
            inner: tensors that these operators write, or views of them.
        """
        first, *others = nodes
        types = self.graph.types
        behind = [types[t] for node in others for t in node.inputs if t and t not in inner and t not in self.constant]
        read = [types[tensor] if tensor else None for tensor in first.inputs]
        return self._led(first, read, "+".join(node.op_type for node in others), behind)

    def _led(
        self, leader: Node, read: Sequence[TensorType | None], fused: str, behind: Sequence[TensorType]
    ) -> KernelSignature:
        constants = [tensor in self.constant for tensor in leader.inputs]
        room = max(_FIRST_BEHIND - len(read), 0) if behind else 0
        return kernel_signature(
            leader.op_type,
            leader.domain,
            {**leader.attributes, "fused": fused},
            [*read, *[None] * room, *behind],
            [*constants, *[False] * (room + len(behind))],
            [self.graph.types[leader.outputs[0]]],
        )
