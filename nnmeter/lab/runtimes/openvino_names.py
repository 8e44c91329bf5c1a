"""Which ONNX operators a node of OpenVINO's runtime graph does the work of, as far as names tell.

1. The runtime graph names operators as the ONNX model does: by the node's name, or by its first output where it has
   none; one of several results by each of them, with the node's name and an underscore in front where it has one. A
   convolution that lost its bias has `/WithoutBiases` behind its name. An operator of the plugin's own making has the
   name of its type and a number (`Multiply_10400`).
2. A name stands for its operator together with those behind it that no node of the runtime graph names: a `Mul` behind
   an `Erf` that is nowhere is a `Gelu`.
3. An operator that the plugin takes apart leaves its name to the last of its parts: that of a `LayerNormalization` or
   a `Conv` is the addition of its offset or bias; where the offset is known to be zero, the product with its scale.
   Each result of `DynamicQuantizeLinear` leaves its name to the last of its own parts (`_LAST_PARTS`).
4. An operator that disappears leaves its name to the one before it, if that has no name of its own in the graph.
5. An operator that is copied for several readers has its name and a number. The conversion of a result to the type that
   the caller gets has that of its writer, a dot and a number. A conversion and a subtraction of the
   plugin's own making before an operator of the model are how it reads integers, and are no operators of their own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import numpy as np

from nnmeter.graph.ir import Graph, Node

BIAS_SUFFIX = "/WithoutBiases"

# OpenVINO's operators whose ONNX name differs.
_ONNX_NAMES: dict[str, str] = {
    "Multiply": "Mul", "Subtract": "Sub", "Divide": "Div", "Power": "Pow", "Clamp": "Clip", "Convert": "Cast",
    "Maximum": "Max", "Minimum": "Min", "Select": "Where", "LogicalAnd": "And", "LogicalOr": "Or", "LogicalNot": "Not",
    "LogicalXor": "Xor", "Negative": "Neg", "ReLU": "Relu", "PReLU": "PRelu", "HSwish": "HardSwish",
    "HSigmoid": "HardSigmoid", "SoftPlus": "Softplus", "Ceiling": "Ceil",
    "ReduceLogicalAnd": "ReduceMin", "ReduceLogicalOr": "ReduceMax", "FloorMod": "Mod", "NotEqual": "Equal",
    "LessEqual": "LessOrEqual", "GreaterEqual": "GreaterOrEqual", "SquaredDifference": "Sub",
    "DequantizationSubtract": "Sub", "DequantizationMultiply": "Mul", "FakeQuantize": "QuantizeLinear",
    "DequantizationConvert": "Cast",
}  # fmt: skip


# What a decomposed activation is, by the operators that it consists of; the first that fits.
_ACTIVATIONS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"Mul", "Erf"}), "Gelu"),
    (frozenset({"Mul", "Softplus", "Tanh"}), "Mish"),
    (frozenset({"Mul", "Tanh"}), "Gelu"),
    (frozenset({"Mul", "Sigmoid"}), "Swish"),
    (frozenset({"Mul", "Clip", "Add", "Div"}), "HardSwish"),
    (frozenset({"Clip", "Add", "Div"}), "HardSigmoid"),
)
_BEHIND = frozenset(
    "Add Sub Mul Div Pow Erf Tanh Sigmoid HardSigmoid HardSwish Softplus Clip Exp Sqrt Neg Relu Reciprocal".split()
)
_FOLDED_AWAY = frozenset({"Identity", "Dropout", "Reshape", "Unsqueeze", "Squeeze", "Flatten"})
# Operators that end with a scale and an offset.
_SCALED = frozenset({"BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization"})
# How operators that ONNX has for integers alone begin; products end with a quantization, others with a conversion.
_OF_INTEGERS = "QLinear"
_INTEGER_PRODUCTS = frozenset({"QLinearConv", "QLinearMatMul"})
# Operators that end with an offset.
_BIASED = frozenset({"Conv", "ConvTranspose", "Gemm"})
# Of an operator with several results that is taken apart: the last part of each.
_LAST_PARTS: dict[str, tuple[str, ...]] = {"DynamicQuantizeLinear": ("Cast", "Mul", "Cast")}


class OperatorNames:
    """The operators of an ONNX graph by the names that a runtime graph has for them.

    Args:
        graph: the ONNX model.
        present: every name that some node of the runtime graph bears.
    """

    def __init__(self, graph: Graph, present: Collection[str]) -> None:
        self.graph = graph
        self.present = present
        self.producers = {tensor: node for node in graph.nodes for tensor in node.outputs if tensor}
        self.operators = {node.name: node for node in graph.nodes}
        for tensor, node in self.producers.items():
            self.operators.setdefault(tensor, node)
            if len(node.outputs) > 1:
                self.operators.setdefault(f"{node.name}_{tensor}", node)

    def named(self, names: Iterable[str]) -> list[Node]:
        """The operators of the graph among some names, each once."""
        found: dict[str, Node] = {}
        for name in names:
            operator = self.operators.get(name.removesuffix(BIAS_SUFFIX))
            if operator is not None:
                found.setdefault(operator.name, operator)
        return list(found.values())

    def find(self, names: Iterable[str], kinds: Iterable[str]) -> Node | None:
        """The operator of some kinds that names stand for: one of them, or else the nearest before the first."""
        wanted = frozenset(kinds)
        known = self.named(names)
        for operator in known:
            if operator.op_type in wanted:
                return operator
        pending, seen = known[:1], set()
        while pending:
            operator = pending.pop(0)
            if operator.name in seen:
                continue
            seen.add(operator.name)
            if operator.op_type in wanted:
                return operator
            if operator.op_type in _BEHIND or operator.op_type in _FOLDED_AWAY or operator.op_type in _SCALED:
                pending += [self.producers[tensor] for tensor in operator.inputs if tensor in self.producers]
        return None

    def kinds(self, names: Iterable[str]) -> list[str]:
        """The operators that names stand for, in the vocabulary of ONNX, without those that were folded away."""
        listed = list(names)
        told = [self._kind(name) for name in listed]
        whole = False  # whether the next one is an operator of the model, or a part of one
        for index in reversed(range(len(listed))):
            if listed[index] in self.operators or self._original(listed[index]) is not None:
                whole = True
            elif whole and told[index] in ("Cast", "Sub"):  # rule 5
                told[index] = ""
            else:
                whole = False
        return [kind for kind in told if kind]

    def _kind(self, name: str) -> str:
        operator = self.operators.get(name)
        if operator is not None:
            part = self._last_part(operator, name)
            return part or self._last_step(operator)
        if name.endswith(BIAS_SUFFIX):
            return self.operators[name.removesuffix(BIAS_SUFFIX)].op_type
        moved = self._original(name)
        if moved is not None:
            return self._last_step(moved)
        if re.fullmatch(r".+\.\d+", name) and name.rpartition(".")[0] in self.operators:  # of a result of the model
            return "Cast"
        made = re.fullmatch(r"(?:.*/)?([A-Za-z]+[A-Za-z0-9]*?)(?:_\d+)+", name)
        kind = made.group(1) if made else name.rpartition("/")[2]
        return _ONNX_NAMES.get(kind, kind)

    def _original(self, name: str) -> Node | None:
        """The operator that was copied for each input of a concatenation, or each reader, with a number."""
        return self.operators.get(re.sub(r"_\d+$", "", name))

    def _is_present(self, operator: Node) -> bool:
        """Whether a node of the runtime graph bears an operator's name, by rule 1 that of its output if it has none."""
        return operator.name in self.present or any(tensor in self.present for tensor in operator.outputs)

    def _last_step(self, operator: Node) -> str:
        """Rules 3 and 4."""
        if operator.op_type in _FOLDED_AWAY:  # the last name of a chain goes to what is left of it
            writer = self.producers.get(operator.inputs[0])
            return self._last_step(writer) if writer is not None and not self._is_present(writer) else ""
        if operator.op_type in _BIASED:
            return "Add"
        if operator.op_type.startswith(_OF_INTEGERS):
            return "QuantizeLinear" if operator.op_type in _INTEGER_PRODUCTS else "Cast"
        if operator.op_type in _SCALED:
            return "Mul" if self._has_no_offset(operator) else "Add"
        return self._whole(operator)

    def _last_part(self, operator: Node, name: str) -> str:
        """What bears the name of one result of an operator that is taken apart (rule 3); "" for all others."""
        parts = _LAST_PARTS.get(operator.op_type, ())
        tensors = zip(operator.outputs, parts, strict=False)
        return next((part for tensor, part in tensors if name in (tensor, f"{operator.name}_{tensor}")), "")

    def _has_no_offset(self, operator: Node) -> bool:
        """Whether what a normalization adds is known to be zero; a running mean counts, too."""
        values = self.graph.values
        added = [operator.inputs[i] for i in (2, 3) if i < len(operator.inputs) and operator.inputs[i]]
        return all(tensor in values and not np.any(values[tensor]) for tensor in added)

    def _whole(self, operator: Node) -> str:
        """Rule 2."""
        kinds: set[str] = set()
        pending, seen = [operator], set()
        while pending:
            part = pending.pop()
            if part.name in seen:
                continue
            seen.add(part.name)
            kinds.add(part.op_type)
            for tensor in part.inputs:
                writer = self.producers.get(tensor)
                if writer is not None and writer.op_type in _BEHIND and not self._is_present(writer):
                    pending.append(writer)
        if len(kinds) > 1:
            for parts, activation in _ACTIVATIONS:
                if parts <= kinds and operator.op_type in parts:
                    return activation
        return operator.op_type
