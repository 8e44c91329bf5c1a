"""Static types of all tensors of a graph whose inputs have static types.

Rules:
1. Every operator's outputs follow the shape rule of its operator (`nnmeter.operators.shape_rules`).
2. Small integer results, and other small results of known inputs, are computed along the way
   (`nnmeter.binding.values`), because shapes of later operators may depend on them.
3. An operator without a rule, or whose shape depends on what only the run knows, gets the types that ONNX's own
   inference finds, else those that the file declares; where neither does, it is an error.
4. An `If` whose condition is known is replaced by the branch that is taken.
5. Shapes that depend on data are bounded by the rule of their operator, or by what the user assumes
   (`nnmeter.binding.assumptions`). Where the file declares a smaller static shape than the bound, that one counts.
6. An operator that no table knows has the shapes that its package declares (`nnmeter.operators.custom`), else those of
   rule 3, and a warning; one that cannot be priced is an error (`nnmeter.operators.table.REFUSED`).
7. A node is checked before its rule is asked: number and types of inputs, kinds of attributes, what must be there
   (`nnmeter.operators.schemas`), and whether sizes fit each other (`nnmeter.operators.shape_rules.fitting`). A rule
   says what else does not fit (`ShapeError`). Where it fails in another way, ONNX's own checks decide whose fault it is
   (`nnmeter.binding.faults`).
8. The value of an initializer that may be overridden serves to infer shapes; it is no constant, nor is what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nnmeter.binding.assumptions import Assumptions
from nnmeter.binding.branches import inline_branch, nested_size, own_tensors, taken_branch
from nnmeter.binding.declarations import check_declared
from nnmeter.binding.faults import Faults
from nnmeter.binding.layers import Layer
from nnmeter.binding.optionals import check_optionals
from nnmeter.binding.undetermined import Undetermined
from nnmeter.binding.values import PROPAGATED, propagate
from nnmeter.errors import NnmeterError
from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.graph.notes import Note
from nnmeter.graph.unbound import DeclaredType, UnboundGraph, UnboundModel
from nnmeter.limits import MAX_EXPANDED_CHARACTERS, MAX_EXPANDED_PARTS
from nnmeter.operators.arity import wrong_arity
from nnmeter.operators.classical import NOTED
from nnmeter.operators.cost import NESTED_COST, operator_cost
from nnmeter.operators.noted import NOTING, noted
from nnmeter.operators.schemas import Schemas
from nnmeter.operators.shape_rules import RULES
from nnmeter.operators.shape_rules.common import (
    Body,
    BodyLimitError,
    Context,
    Elements,
    ShapeError,
    UnknownShapeError,
    check_size,
)
from nnmeter.operators.shape_rules.contrib import BLOCKED_DOMAIN, padded_channels
from nnmeter.operators.shape_rules.fitting import check_fit

# The types that pure rules gave before, by all that these rules look at: operator set, operator, attributes (which
# equal nodes share), and the types of inputs. A rule is pure on a node where it looked at nothing else of the context.
# With each go the attributes, so that no others come to have their address.
_given: dict[tuple[Any, ...], tuple[dict[str, Any], tuple[TensorType, ...]]] = {}
_MOST_GIVEN = 20_000
_LONGEST_KEPT = 256  # elements of an attribute

# What a rule meets in a node whose inputs or attributes do not fit, or where it has a fault of its own (rule 7).
_MISFITS = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)

_NO_RULES: dict[str, Any] = {}
_MAX_BODIES = 4096  # nested graphs that are inferred, each as often as it is: what a small file can ask for is bounded
_MAX_BODY_NODES = 100_000
_MAX_KNOWN_BYTES = 256 << 20  # of computed values; what comes behind is not known


class _Watched:
    """A context that notes whether anything but the operator sets was looked at."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.looked_at = False

    def __getattr__(self, name: str) -> Any:
        if name != "opsets":
            self.looked_at = True
        return getattr(self._context, name)


class Inference:
    """Infers one model; it holds what is the same for the graph and those nested in it.

    Args:
        source: what errors call the model.
        opsets: operator set versions.
        sizes: the sizes given to named free dimensions, for types that the file declares.
        assumptions: shapes that the user assumes of tensors.
        trips: trip counts that the user gave, by the name of the node.
        keep_branches: leave every `If` where it is, whatever is known of its condition.
    """

    def __init__(
        self,
        source: str,
        opsets: dict[str, int],
        sizes: Mapping[str, int],
        assumptions: Assumptions | None = None,
        trips: Mapping[str, int] | None = None,
        keep_branches: bool = False,
    ) -> None:
        self._source = source
        self._keep_branches = keep_branches
        self._characters = self._renamed = 0
        self._known_bytes = 0
        self._opsets = opsets
        self._sizes = sizes
        self._assumptions = Assumptions(source) if assumptions is None else assumptions
        self._faults = Faults(source, self._assumptions)
        self._schemas = Schemas(opsets)
        self._undetermined = Undetermined(self._faults, self._assumptions, self._schemas)
        self._trips = dict(trips or {})
        self._asked: set[str] = set()
        self._bodies = self._body_nodes = 0
        self._overridable: set[str] = set()  # constants that may be overridden, and values that follow from them
        self.warnings: list[Note] = []

    def unused_trips(self) -> list[str]:
        """Names of the nodes that were given a trip count and did not ask for one."""
        return sorted(set(self._trips) - self._asked)

    def run(
        self,
        graph: UnboundGraph,
        inputs: Mapping[str, TensorType],
        outer: Context | None = None,
        values: Mapping[str, np.ndarray[Any, Any]] | None = None,
        sequences: Mapping[str, list[TensorType]] | None = None,
    ) -> Graph:
        """Infer a graph.

        Args:
            graph: the graph.
            inputs: types of its inputs.
            outer: what is known of the graph around it, which it may read.
            values: values of inputs, where they are given.
            sequences: types of the elements of those inputs that are sequences.

        Raises:
            ModelError: an operator does not fit its inputs, or its shape cannot be determined.
        """
        return self._run(graph, inputs, outer, values or {}, sequences or {})[0]

    def _run(
        self,
        graph: UnboundGraph,
        inputs: Mapping[str, TensorType],
        outer: Context | None,
        given: Mapping[str, np.ndarray[Any, Any]],
        elements: Mapping[str, list[TensorType]],
    ) -> tuple[Graph, Context]:
        types, values = {**graph.constants, **inputs}, dict(graph.values)
        for name in inputs:
            values.pop(name, None)
        values.update(given)
        sequences = dict(elements)
        if outer:
            types = Layer(types, outer.types)
            sequences = Layer({**dict.fromkeys(inputs), **sequences}, outer.sequences)
            values = Layer({**dict.fromkeys((*inputs, *graph.constants)), **values}, outer.values)
        context = Context(types, values, self._opsets, self.warnings, sequences, outer.held if outer else [0])
        context.bounded = self._assumptions.bounded
        context.infer_body = self._body_of(context)
        context.value_info, context.declared = self._declared_by(graph)
        context.trips, context.asked = self._trips, self._asked
        if BLOCKED_DOMAIN in self._opsets:
            context.padded_channels = padded_channels(graph.nodes, types)
        initializers = set(graph.constants)
        if isinstance(graph, UnboundModel):
            initializers -= graph.overridable
            self._overridable.update(graph.overridable)
        with np.errstate(all="ignore"):
            nodes = self._infer(graph.nodes, context, graph, initializers)
        check_optionals(graph, nodes, self._opsets.get("", 0), self._faults)
        declared = context.value_info()
        if declared:
            fixed = isinstance(graph, UnboundModel) and not graph.free_dimensions
            check_declared(declared, nodes, context, self._faults, outer is None, fixed)
        if outer:
            types, values = own_tensors(graph, nodes, types, values)
        if context.bounded:
            values = {name: value for name, value in values.items() if name not in context.bounded}
        if self._overridable:
            values = {name: value for name, value in values.items() if name not in self._overridable}
        bound = Graph(
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
        return bound, context

    def _body_of(
        self, context: Context
    ) -> Callable[[UnboundGraph, Sequence[TensorType | None], Sequence[Elements]], Body]:
        def infer_body(
            body: UnboundGraph, inputs: Sequence[TensorType | None], elements: Sequence[Elements] = ()
        ) -> Body:
            self._bodies += 1
            self._body_nodes += len(body.nodes)
            if self._bodies > _MAX_BODIES or self._body_nodes > _MAX_BODY_NODES:
                raise BodyLimitError(
                    f"{self._source}: its nested graphs would have to be inferred {self._bodies} times, "
                    f"{self._body_nodes} nodes in all; simplify the model before"
                )
            given = {d.name: kind for d, kind in zip(body.inputs, inputs, strict=False) if kind is not None}
            if not len(given) == len(body.inputs) == len(inputs):
                count = len(inputs) if len(inputs) > len(body.inputs) else len(given)
                raise ShapeError(f"its nested graph takes {len(body.inputs)} inputs, {count} are given")
            parts = {d.name: e for d, e in zip(body.inputs, elements, strict=False) if e is not None}
            graph, inner = self._run(body, given, context, {}, parts)
            missing = next((name for name in graph.outputs if name not in inner.types), None)
            if missing is not None:
                raise ShapeError(f"its nested graph does not write '{missing}'")
            kinds = [inner.types[name] for name in graph.outputs]
            return Body(kinds, [inner.sequences.get(name) for name in graph.outputs], graph)

        return infer_body

    def _declared_by(
        self, graph: UnboundGraph
    ) -> tuple[Callable[[], Mapping[str, DeclaredType]], Callable[[str], TensorType | None]]:
        declared: dict[str, DeclaredType] = {}

        def value_info() -> Mapping[str, DeclaredType]:
            if not declared:
                declared.update(graph.value_info())
                declared.update((d.name, d) for d in graph.outputs)
            return declared

        return value_info, lambda name: self._static(value_info().get(name))

    def _infer(
        self, nodes: Sequence[Node], context: Context, graph: UnboundGraph, initializers: set[str]
    ) -> list[Node]:
        types, values, bounded = context.types, context.values, context.bounded
        assumptions = self._assumptions
        opset = self._opsets.get("", 0)
        result: list[Node] = []
        for node in nodes:
            warned = len(context.warnings)
            inputs = [types[name] if name else None for name in node.inputs]
            key: tuple[Any, ...] | None = None
            rule = RULES.get(node.domain, _NO_RULES).get(node.op_type)
            if not (node.domain or bounded or assumptions or node.op_type in _IMPURE):
                key = _key(node, inputs, opset, rule)
                given = _given.get(key)
                if given is not None:
                    for name, found in zip(node.outputs, given[1], strict=False):
                        if name:
                            types[name] = found
                    if node.op_type in PROPAGATED and self._known_bytes < _MAX_KNOWN_BYTES:
                        self._propagate(node, inputs, given[1], values)
                    result.append(node)
                    continue
            watched = _Watched(context)
            if node.op_type in _WITH_GRAPHS and not node.domain:
                taken = None if self._keep_branches else taken_branch(node, values)
                if taken is not None:
                    if node.inputs[0] in bounded:
                        context.bound(node, "data decide which branch is taken; counted as that of the bounded shapes")
                    self._count(node, taken)
                    inlined = inline_branch(node, taken)
                    types.update(inlined.constants)
                    values.update(inlined.values)
                    initializers.update(inlined.constants)
                    result += self._infer(inlined.nodes, context, taken, initializers)
                    continue
                node = Node(
                    node.op_type, node.domain, node.name, node.inputs, node.outputs, {**node.attributes}, node.scope
                )
            warned = len(self.warnings)
            try:
                wrong = self._schemas.wrong(node, inputs)
                if wrong is None and node.domain and rule is not None:
                    wrong = wrong_arity(node, self._opsets)
                if wrong is not None:
                    raise ShapeError(wrong)
                if rule is None:
                    outputs = self._undetermined.without_rule(node, inputs, context)
                else:
                    seen: Any = context if key is None else watched
                    if not node.domain:
                        check_fit(node, inputs, seen)
                    outputs = rule(node, inputs, seen)
                    if node.op_type in NOTED:
                        cost = operator_cost(node.op_type, node.domain, node.attributes, inputs, outputs)
                        noted = {**node.attributes, **dict(zip(NESTED_COST, cost, strict=True))}
                        node = replace(node, attributes=noted)
                    if len(self.warnings) > warned and node.op_type not in _WITH_GRAPHS:
                        outputs = self._undetermined.refined(node, outputs, context, warned)
                    if node.op_type in NOTING:
                        node = self._noted(node, inputs, context)
            except NnmeterError:
                raise
            except UnknownShapeError as fault:
                outputs = self._undetermined.declared(node, inputs, context, str(fault))
            except ShapeError as fault:
                raise self._faults.of_node(node, str(fault)) from fault
            except _MISFITS as fault:
                raise self._faults.of_rule(node, inputs, context, fault) from fault
            if bounded and not bounded.keys().isdisjoint(node.inputs):
                context.mark_bounded(node)
            if assumptions:
                try:
                    outputs = assumptions.applied(node, outputs, context, warned)
                except ShapeError as fault:
                    raise self._faults.of_node(
                        node, str(fault), "--assume is for shapes that depend on data"
                    ) from fault
            named = node.outputs
            if len(outputs) < len(named):
                raise self._faults.of_node(node, f"it has {len(named)} outputs, the operator {len(outputs)}")
            for name, kind in zip(named, outputs, strict=False):
                if name:
                    try:
                        types[name] = check_size(kind)
                    except ShapeError as fault:
                        raise self._faults.of_node(node, str(fault)) from fault
            if key is not None and rule is not None and not watched.looked_at and _is_small(node) and "" not in named:
                if len(_given) >= _MOST_GIVEN:
                    _given.clear()
                _given[key] = (node.attributes, tuple(outputs[: len(named)]))
            if not node.domain and self._known_bytes < _MAX_KNOWN_BYTES:
                self._propagate(node, inputs, outputs, values)
            result.append(node)
        return result

    def _propagate(
        self, node: Node, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType], values: dict[str, Any]
    ) -> None:
        added = propagate(node, inputs, outputs, values)
        self._known_bytes += added
        if added and self._overridable and self._follows_overridable(node):
            self._overridable.update(name for name in node.outputs if name in values)

    def _follows_overridable(self, node: Node) -> bool:
        return node.op_type not in _OF_TYPES and not self._overridable.isdisjoint(node.inputs)

    def _noted(self, node: Node, inputs: Sequence[TensorType | None], context: Context) -> Node:
        """The node with what the values of its inputs say of its cost (`nnmeter.operators.noted`)."""
        found = noted(node.op_type, node.attributes, inputs, lambda position: context.value(node, position))
        if found.warning:
            context.note(node, found.warning)
        if not found.attributes:
            return node
        return replace(node, attributes={**node.attributes, **found.attributes})

    def _count(self, node: Node, branch: UnboundGraph) -> None:
        """Count the names that are made when a branch takes the place of its `If`: they grow with every level."""
        names = sum(1 + len(n.inputs) + len(n.outputs) for n in branch.nodes) + len(branch.constants)
        self._characters += (len(node.name) + 1) * names
        if self._characters > MAX_EXPANDED_CHARACTERS:
            raise self._faults.of_node(
                node,
                f"its branches, put in its place, have names of more than {MAX_EXPANDED_CHARACTERS} characters",
                "give the operators shorter names",
            )
        self._renamed += nested_size(branch)
        if self._renamed > MAX_EXPANDED_PARTS:
            raise self._faults.of_node(
                node,
                f"the graphs in its branches would have to be renamed in more than {MAX_EXPANDED_PARTS} steps",
                "simplify the model before",
            )

    def _static(self, declared: DeclaredType | None) -> TensorType | None:
        if declared is None or declared.dims is None:
            return None
        sizes = tuple([self._sizes.get(d, d) if isinstance(d, str) else d for d in declared.dims])
        return DeclaredType(declared.name, declared.dtype, sizes, declared.container).static


def _key(node: Node, inputs: Sequence[TensorType | None], opset: int, rule: Any) -> tuple[Any, ...]:
    """All that a pure rule looks at, and the rule."""
    attributes = node.attributes
    key: list[Any] = [rule, opset, node.op_type, id(attributes) if attributes else 0, len(node.outputs)]
    for kind in inputs:
        if kind is None:
            key.append(None)
        else:
            key += (kind.dtype, kind.shape)
    return tuple(key)


def _is_small(node: Node) -> bool:
    """Whether the attributes of a node may be kept after its model."""
    for value in node.attributes.values():
        if isinstance(value, np.ndarray) or (isinstance(value, tuple | str) and len(value) > _LONGEST_KEPT):
            return False
    return True


_OF_TYPES = frozenset({"Shape", "Size"})  # their values follow from types alone
_WITH_GRAPHS = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_IMPURE = _WITH_GRAPHS | NOTED | NOTING  # whose nodes are changed
