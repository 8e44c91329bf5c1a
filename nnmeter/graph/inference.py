"""Static types of all tensors of a graph whose inputs have static types.

Rules:
1. Every operator's outputs follow the shape rule of its operator (`nnmeter.graph.shape_rules`).
2. Small integer results, and other small results of known inputs, are computed along the way (`nnmeter.graph.values`),
   because shapes of later operators may depend on them.
3. An operator without a rule, or whose shape depends on what only the run knows, gets the types that ONNX's own
   inference finds, else those that the file declares; where neither does, it is an error.
4. An `If` whose condition is known is replaced by the branch that is taken.
5. Shapes that depend on data are bounded by the rule of their operator, or by what the user assumes
   (`nnmeter.graph.assumptions`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nnmeter.errors import ModelError
from nnmeter.graph.assumptions import Assumptions
from nnmeter.graph.branches import inline_branch
from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.graph.shape_rules import RULES
from nnmeter.graph.shape_rules.common import Context, ShapeError, UnknownShapeError, check_size, show
from nnmeter.graph.shape_rules.contrib import BLOCKED_DOMAIN, block_of
from nnmeter.graph.unbound import DeclaredType, UnboundGraph
from nnmeter.graph.values import propagate

# What a rule meets in a node whose inputs or attributes are not what its operator has.
_MISFITS = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)

_NO_RULES: dict[str, Any] = {}
_CHECK = "check the model, or the shapes given for its inputs"


class Inference:
    """Infers one model; it holds what is the same for the graph and those nested in it.

    Args:
        source: what errors call the model.
        opsets: operator set versions.
        sizes: the sizes given to named free dimensions, for types that the file declares.
        assumptions: shapes that the user assumes of tensors.
    """

    def __init__(
        self, source: str, opsets: dict[str, int], sizes: Mapping[str, int], assumptions: Assumptions | None = None
    ) -> None:
        self._source = source
        self._opsets = opsets
        self._sizes = sizes
        self._assumptions = Assumptions(source) if assumptions is None else assumptions
        self.warnings: list[str] = []

    def run(self, graph: UnboundGraph, inputs: Mapping[str, TensorType], outer: Context | None = None) -> Graph:
        """Infer a graph.

        Args:
            graph: the graph.
            inputs: types of its inputs.
            outer: what is known of the graph around it, which it may read.

        Raises:
            ModelError: an operator does not fit its inputs, or its shape cannot be determined.
        """
        types = {**(outer.types if outer else {}), **graph.constants, **inputs}
        values = {**(outer.values if outer else {}), **graph.values}
        for name in inputs:
            values.pop(name, None)
        sequences = dict(outer.sequences) if outer else {}
        context = Context(types, values, self._opsets, self.warnings, sequences)
        context.bounded = self._assumptions.bounded
        context.infer_body = self._body_of(context)
        if BLOCKED_DOMAIN in self._opsets:
            context.block, context.blocks = block_of(graph.nodes, types)
        initializers = set(graph.constants)
        with np.errstate(all="ignore"):
            nodes = self._infer(graph.nodes, context, graph, initializers)
        if context.bounded:
            values = {name: value for name, value in values.items() if name not in context.bounded}
        if outer:
            types, values = _own(graph, nodes, types, values)
        return Graph(
            graph.name,
            nodes,
            [d.name for d in graph.inputs],
            [d.name for d in graph.outputs],
            types,
            initializers,
            values,
            self._opsets,
            self.warnings,
        )

    def _body_of(self, context: Context) -> Callable[[UnboundGraph, Sequence[TensorType | None]], Any]:
        def infer_body(body: UnboundGraph, inputs: Sequence[TensorType | None]) -> tuple[list[TensorType], Graph]:
            given = {d.name: kind for d, kind in zip(body.inputs, inputs, strict=False) if kind is not None}
            if len(given) != len(body.inputs):
                raise ShapeError(f"its nested graph takes {len(body.inputs)} inputs, {len(given)} are given")
            graph = self.run(body, given, context)
            return [graph.types[name] for name in graph.outputs], graph

        return infer_body

    def _infer(
        self, nodes: Sequence[Node], context: Context, graph: UnboundGraph, initializers: set[str]
    ) -> list[Node]:
        types, values, bounded = context.types, context.values, context.bounded
        assumptions = self._assumptions
        result: list[Node] = []
        for node in nodes:
            warned = len(context.warnings)
            inputs = [types[name] if name else None for name in node.inputs]
            if node.op_type in _WITH_GRAPHS and not node.domain:
                taken = _taken_branch(node, values)
                if taken is not None:
                    if node.inputs[0] in bounded:
                        context.bound(node, "data decide which branch is taken; counted as that of the bounded shapes")
                    inlined = inline_branch(node, taken)
                    types.update(inlined.constants)
                    values.update(inlined.values)
                    initializers.update(inlined.constants)
                    result += self._infer(inlined.nodes, context, taken, initializers)
                    continue
                node = Node(node.op_type, node.domain, node.name, node.inputs, node.outputs, {**node.attributes})
            rule = RULES.get(node.domain, _NO_RULES).get(node.op_type)
            try:
                if rule is None:
                    outputs = self._declared(node, inputs, context, graph, "has no shape rule")
                else:
                    outputs = rule(node, inputs, context)
            except ModelError:
                raise
            except UnknownShapeError as fault:
                outputs = self._declared(node, inputs, context, graph, str(fault))
            except ShapeError as fault:
                raise self._fault(node, str(fault)) from fault
            except _MISFITS as fault:
                raise self._fault(
                    node, f"its inputs or attributes do not fit the operator ({_seen(inputs)})"
                ) from fault
            if bounded and not bounded.keys().isdisjoint(node.inputs):
                context.mark_bounded(node)
            if assumptions:
                try:
                    outputs = assumptions.applied(node, outputs, context, warned)
                except ShapeError as fault:
                    raise self._fault(node, str(fault), "--assume is for shapes that depend on data") from fault
            named = node.outputs
            if len(outputs) < len(named):
                raise self._fault(node, f"it has {len(named)} outputs, the operator {len(outputs)}")
            for name, kind in zip(named, outputs, strict=False):
                if name:
                    if kind not in inputs:
                        try:
                            check_size(kind)
                        except ShapeError as fault:
                            raise self._fault(node, str(fault)) from fault
                    types[name] = kind
            if not node.domain:
                propagate(node, inputs, outputs, values)
            result.append(node)
        return result

    def _declared(
        self, node: Node, inputs: Sequence[TensorType | None], context: Context, graph: UnboundGraph, why: str
    ) -> Sequence[TensorType]:
        """Types by rule 3."""
        from nnmeter.graph.onnx_inference import infer_with_onnx

        found = infer_with_onnx(node, inputs, context.values, self._opsets)
        if found is not None:
            return found
        declared = graph.value_info()
        declared.update((d.name, d) for d in graph.outputs)
        assumed = self._assumptions.unknown(node, inputs, declared, context)
        if assumed is not None:
            return assumed
        types = []
        for name in node.outputs:
            kind = self._static(declared.get(name)) if name else TensorType("float32", (0,))
            if kind is None:
                raise self._fault(
                    node,
                    f"the shape of '{name}' cannot be determined: {why}",
                    f"give it with --assume {name}=AxBxC, or declare it in the model (value_info)",
                )
            types.append(kind)
        context.bound(node, f"has the shape that the file declares, because {why}")
        return types

    def _static(self, declared: DeclaredType | None) -> TensorType | None:
        if declared is None or declared.dims is None:
            return None
        sizes = tuple([self._sizes.get(d, d) if isinstance(d, str) else d for d in declared.dims])
        return DeclaredType(declared.name, declared.dtype, sizes, declared.container).static

    def _fault(self, node: Node, fault: str, remedy: str = _CHECK) -> ModelError:
        domain = f"{node.domain}." if node.domain else ""
        if remedy == _CHECK and self._assumptions.bounded:
            remedy = f"{remedy}, {self._assumptions.remedy()}"
        return ModelError(f"{self._source}: node '{node.name}' ({domain}{node.op_type}): {fault}; {remedy}")


_WITH_GRAPHS = frozenset({"If", "Loop", "Scan"})


def _taken_branch(node: Node, values: Mapping[str, Any]) -> UnboundGraph | None:
    if node.op_type != "If" or not node.inputs:
        return None
    condition = values.get(node.inputs[0])
    if condition is None:
        return None
    branch = node.attributes.get("then_branch" if condition.any() else "else_branch")
    return branch if isinstance(branch, UnboundGraph) else None


def _seen(inputs: Sequence[TensorType | None]) -> str:
    return ", ".join("absent" if t is None else f"{t.dtype} {show(t.shape)}" for t in inputs) or "no inputs"


def _own(
    graph: UnboundGraph, nodes: Sequence[Node], types: Mapping[str, TensorType], values: Mapping[str, Any]
) -> tuple[dict[str, TensorType], dict[str, Any]]:
    """Of a nested graph, only what it reads and writes itself."""
    names = {d.name for d in (*graph.inputs, *graph.outputs)} | set(graph.constants)
    for node in nodes:
        names.update(node.inputs)
        names.update(node.outputs)
    return (
        {name: kind for name, kind in types.items() if name in names},
        {name: value for name, value in values.items() if name in names},
    )
