"""Types of what operators write where no shape rule says them, or not all (rules 3, 5 and 6 of `inference`)."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from nnmeter.binding.assumptions import Assumptions
from nnmeter.binding.faults import Faults
from nnmeter.errors import brief
from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.notes import Note
from nnmeter.operators.schemas import Schemas
from nnmeter.operators.shape_rules.common import Context
from nnmeter.operators.table import KNOWN_DOMAINS, OPERATORS, REFUSED, refusal

_REFUSED_DOMAINS = frozenset(domain for domain, _ in REFUSED)

_Inputs = Sequence[TensorType | None]


class Undetermined:
    """Finds types where no rule does, for one model.

    Args:
        faults: makes the errors of the model.
        assumptions: shapes that the user assumes.
        schemas: the schemas of its operators.
    """

    def __init__(self, faults: Faults, assumptions: Assumptions, schemas: Schemas) -> None:
        self._faults = faults
        self._assumptions = assumptions
        self._schemas = schemas
        self._unknown: set[tuple[str, str]] = set()

    def without_rule(self, node: Node, inputs: _Inputs, context: Context) -> Sequence[TensorType]:
        """Types of an operator without a rule: those that its package declares, else as `declared`.

        Raises:
            ModelError: the operator cannot be priced, or nothing says its types.
        """
        if node.domain in _REFUSED_DOMAINS:
            reason = refusal(node.op_type, node.domain)
            if reason is not None:
                subject, _, remedy = reason.partition("; ")
                raise self._faults.of_node(node, subject, remedy)
        known = node.domain in KNOWN_DOMAINS and node.op_type in OPERATORS
        if known and (node.domain or self._schemas.of("", node.op_type) is not None):
            return self.declared(node, inputs, context, "has no shape rule")
        from nnmeter.operators.custom import declared_operator

        own = declared_operator(node.op_type, node.domain)
        found = None
        if own is None:
            self._warn_of_unknown(node, context)
        else:
            values = [context.value(node, position) for position in range(len(node.inputs))]
            found = own.output_types(node.attributes, inputs, values)
        return self.declared(node, inputs, context, "nothing declares it") if found is None else found

    def declared(self, node: Node, inputs: _Inputs, context: Context, why: str) -> Sequence[TensorType]:
        """Types that ONNX's own inference finds, else those that are assumed, else those that the file declares.

        Raises:
            ModelError: none of them says the types.
        """
        from nnmeter.binding.onnx_inference import infer_element_types, infer_with_onnx

        found = infer_with_onnx(node, inputs, context.values, context.opsets)
        if found is not None:
            return found
        assumed = self._assumptions.unknown(node, inputs, context.value_info(), context)
        if assumed is not None:
            return assumed
        written = {} if node.domain else infer_element_types(node, inputs, context.values, context.opsets)
        types = []
        for name in node.outputs:
            kind = context.declared(name) if name else TensorType("float32", (0,))
            if kind is None:
                raise self._faults.of_node(
                    node,
                    f"the shape of '{name}' cannot be determined: {why}",
                    f"give it with --assume {quote(name + '=')}AxBxC, or declare it in the model (value_info)",
                )
            if written.get(name, kind.dtype) != kind.dtype:
                fault = (
                    f"tensor '{brief(name, 200)}' is declared as {kind.dtype}, but the operator writes {written[name]}"
                )
                raise self._faults.of_node(node, fault, "export the model again")
            types.append(kind)
        context.bound(node, f"has the shape that the file declares, because {why}")
        return types

    def refined(self, node: Node, outputs: Sequence[TensorType], context: Context, warned: int) -> Sequence[TensorType]:
        """Bounds, or the smaller shapes that the file declares; warnings from the number `warned` on are of bounds."""
        refined = list(outputs)
        for position, name in enumerate(node.outputs):
            declared = context.declared(name) if name and position < len(refined) else None
            if declared is None or declared == refined[position]:
                continue
            bound = refined[position]
            if len(declared.shape) == len(bound.shape) and declared.dtype == bound.dtype:
                fits = all(d <= b for d, b in zip(declared.shape, bound.shape, strict=True))
                refined[position] = declared if fits else bound
        if refined != list(outputs):
            del context.warnings[warned:]
            context.bound(node, "has the shape that the file declares, because the run decides it")
        return refined

    def _warn_of_unknown(self, node: Node, context: Context) -> None:
        key = (node.domain, node.op_type)
        if key not in self._unknown:
            self._unknown.add(key)
            name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            said = (
                f"operator {name} is unknown: it counts one operation an output element and its bytes; "
                f"a package can declare its cost (entry point nnmeter.operators)"
            )
            context.warnings.append(Note(said, "unknown", name))
