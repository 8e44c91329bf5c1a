"""Whose fault it is that a node has no shapes, and how that is said."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.binding.assumptions import Assumptions
from nnmeter.errors import ModelError, OperatorFaultError, brief
from nnmeter.graph.ir import Node, TensorType
from nnmeter.operators.shape_rules.common import Context, show

_CHECK = "check the model, or the shapes given for its inputs"


class Faults:
    """Makes the errors of one model, each with the node, its operator, the fault and the remedy.

    Args:
        source: what errors call the model.
        assumptions: what is bounded, and may be assumed in another way.
    """

    def __init__(self, source: str, assumptions: Assumptions) -> None:
        self.source = source
        self._assumptions = assumptions

    def of_node(self, node: Node, fault: str, remedy: str = _CHECK) -> ModelError:
        """The error of a node that cannot run."""
        if remedy == _CHECK and self._assumptions.bounded:
            remedy = f"{remedy}, {self._assumptions.remedy()}"
        name, operator = brief(node.name, 200), brief(_operator(node), 200)
        return ModelError(f"{self.source}: node '{name}' ({operator}): {brief(fault)}; {remedy}")

    def of_rule(
        self, node: Node, inputs: Sequence[TensorType | None], context: Context, fault: Exception
    ) -> ModelError | OperatorFaultError:
        """The error of a node whose rule failed in a way that no rule means to: ONNX's own checks decide.

        What they refuse is a fault of the model; what they accept is one of nnmeter; of an operator that they do not
        know it may be either, and the error says so.
        """
        from nnmeter.binding.onnx_inference import ask_onnx

        verdict, reason = ask_onnx(node, inputs, context.values, context.opsets)
        if verdict == "refused":
            return self.of_node(node, f"its inputs or attributes do not fit the operator ({_seen(inputs)}): {reason}")
        what = f"{type(fault).__name__}: {fault}"
        if verdict == "unknown":
            return self.of_node(
                node,
                f"its inputs or attributes do not fit the operator ({_seen(inputs)}; {what})",
                "check the model; if a runtime runs it, please report it as a fault of nnmeter",
            )
        return OperatorFaultError(
            f"{self.source}: node '{brief(node.name, 200)}': the rule of {brief(_operator(node), 200)} failed on "
            f"inputs that fit the operator ({brief(_seen(inputs))}): {what}"
        )


def _operator(node: Node) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def _seen(inputs: Sequence[TensorType | None]) -> str:
    return ", ".join("absent" if t is None else f"{t.dtype} {show(t.shape)}" for t in inputs) or "no inputs"
