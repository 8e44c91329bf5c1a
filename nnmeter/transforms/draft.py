"""A draft: the model that a transform rewrites, with what binding knows of its tensors.

Rules:
1. A draft is made of a model that is left as it was; `finish` gives the new one. Weights stay what they are, types
   without values, so that a transform of a model of any size costs what its graph costs.
2. `types` has the static type of every tensor at the sizes that the draft was made with. The new model keeps the free
   dimensions of the old one: sizes serve the transform, they are not fixed by it.
3. Nodes that are added may stand anywhere: `finish` sorts them. Constants that nothing reads any more are left out.
4. What a file declares of its inner tensors is kept as long as the transform says that shapes stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.unbound import MAX_KNOWN_ELEMENTS, DeclaredType, UnboundGraph, UnboundModel

Array = np.ndarray[Any, Any]
MICROSOFT = "com.microsoft"
FLOATS = frozenset({"float32", "float16"})


class Draft:
    """A model that is being rewritten.

    Attributes:
        source: what errors call the model.
        nodes: its operators; a transform changes them in place, or the list.
        types: static type of every tensor, also of those that are added.
        known: values of the small constants, and of what follows from them and from shapes.
        constants: types of the tensors that the new model stores.
        values: values of the small ones among them.
        inputs: the inputs of the new model.
        outputs: its outputs.
        opset: version of the operator set of ONNX.
        opsets: versions of all operator sets, "" for that of ONNX.
    """

    def __init__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> None:
        """Begin to rewrite.

        Args:
            model: the model; it is not changed.
            sizes: what it leaves open.

        Raises:
            ModelError: dimensions remain free, or the model cannot be bound.
        """
        graph = bind_shapes(model, fitting_sizes(model, sizes))
        self._model = model
        self.source = model.source
        self.nodes = [replace(node) for node in model.nodes]
        self.types: dict[str, TensorType] = dict(graph.types)
        self.known: dict[str, Array] = dict(graph.values)
        self.constants = dict(model.constants)
        self.values = dict(model.values)
        self.inputs = list(model.inputs)
        self.outputs = list(model.outputs)
        self.opset = model.opsets.get("", 1)
        self.opsets = dict(model.opsets)
        self._names = {node.name for node in self.nodes}
        self._tensors = set(self.types) | set(self.constants)
        self._tensors.update(name for node in self.nodes for name in node.outputs)

    def fresh(self, hint: str) -> str:
        """The name of a new tensor."""
        name, number = hint, 1
        while name in self._tensors:
            number += 1
            name = f"{hint}_{number}"
        self._tensors.add(name)
        return name

    def weight(self, hint: str, dtype: str, shape: Sequence[int]) -> str:
        """Add a constant whose value does not matter and return its name."""
        name = self.fresh(hint)
        self.types[name] = self.constants[name] = TensorType(dtype, tuple(shape))
        return name

    def constant(self, hint: str, value: Any, dtype: str) -> str:
        """Add a small constant and return its name."""
        name = self.fresh(hint)
        array = np.asarray(value, dtype)
        self.types[name] = self.constants[name] = TensorType(dtype, array.shape)
        if array.size <= MAX_KNOWN_ELEMENTS:
            self.values[name] = self.known[name] = array
        return name

    def node(
        self,
        op_type: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        name: str = "",
        domain: str = "",
        scope: str = "",
        **attributes: Any,
    ) -> Node:
        """A new operator with a name of its own; the caller puts it into `nodes`."""
        stem = name or f"{outputs[0]}_{op_type}"
        unique, number = stem, 1
        while unique in self._names:
            number += 1
            unique = f"{stem}_{number}"
        self._names.add(unique)
        return Node(op_type, domain, unique, tuple(inputs), tuple(outputs), attributes, scope)

    def is_float(self, name: str) -> bool:
        """Whether a tensor is of the types that quantizers take: float32 or float16."""
        kind = self.types.get(name)
        return kind is not None and kind.dtype in FLOATS

    def readers(self) -> dict[str, list[Node]]:
        """The operators that read each tensor, those with nested graphs that read it included."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys((*node.inputs, *captured(node))):
                if name:
                    found.setdefault(name, []).append(node)
        return found

    def writers(self) -> dict[str, Node]:
        """The operator that writes each tensor."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    def finish(self, same_shapes: bool, note: str = "") -> UnboundModel:
        """The new model.

        Args:
            same_shapes: whether what the file declares of its tensors still holds (rule 4).
            note: what is added to the model's name.
        """
        nodes = _sorted(self.nodes, self.source)
        read = {name for node in nodes for name in (*node.inputs, *captured(node))}
        read.update(declared.name for declared in self.outputs)
        constants = {name: kind for name, kind in self.constants.items() if name in read}
        opsets = dict(self._model.opsets)
        if any(node.domain == MICROSOFT for node in nodes):
            opsets.setdefault(MICROSOFT, 1)
        outputs = self.outputs if same_shapes else [DeclaredType(d.name, d.dtype, None) for d in self.outputs]
        return replace(
            self._model,
            name=f"{self._model.name} {note}".strip(),
            nodes=nodes,
            inputs=tuple(self.inputs),
            outputs=tuple(outputs),
            constants=constants,
            values={name: value for name, value in self.values.items() if name in constants},
            value_info=self._model.value_info if same_shapes else _nothing_declared,
            opsets=opsets,
            overridable=self._model.overridable & constants.keys(),
        )


def _nothing_declared() -> dict[str, DeclaredType]:
    return {}


def with_outputs(model: UnboundModel, types: Mapping[str, TensorType]) -> UnboundModel:
    """The model whose outputs are declared by what binding found; a file without their rank is not valid.

    Args:
        model: the new model.
        types: of its tensors, bound at some sizes; where it has free dimensions, only ranks are taken from them.
    """
    free = bool(model.free_dimensions)
    outputs = [
        replace(d, dims=tuple(None if free else size for size in types[d.name].shape))
        if d.dims is None and d.name in types
        else d
        for d in model.outputs
    ]
    return replace(model, outputs=tuple(outputs))


def fitting_sizes(model: UnboundModel, sizes: InputSizes) -> InputSizes:
    """The sizes that a model still has use for: a transform may have fixed dimensions that were free before."""
    free = {name for names in model.free_dimensions.values() for name in names}
    declared = {d.name: d.dims for d in model.inputs if d.dims is not None and not d.container}
    dims = {name: size for name, size in sizes.dims.items() if name in free}
    shapes: dict[str, Any] = {
        name: [dim if isinstance(dim, int) else size for dim, size in zip(declared[name], shape, strict=True)]
        if name in declared and len(declared[name]) == len(shape)
        else shape
        for name, shape in sizes.shapes.items()
    }
    return replace(sizes, dims=dims, shapes=shapes)


def captured(node: Node) -> Iterator[str]:
    """Tensors that graphs nested in an operator read and do not have themselves."""
    for value in node.attributes.values():
        for graph in value if isinstance(value, tuple) else (value,):
            if isinstance(graph, UnboundGraph):
                own = {declared.name for declared in graph.inputs} | set(graph.constants)
                own.update(name for inner in graph.nodes for name in inner.outputs)
                for inner in graph.nodes:
                    yield from (name for name in (*inner.inputs, *captured(inner)) if name and name not in own)
                yield from (declared.name for declared in graph.outputs if declared.name not in own)


def _sorted(nodes: Iterable[Node], source: str) -> list[Node]:
    """The operators so that each stands behind those whose results it reads; else in the order that they have."""
    pending = list(nodes)
    position = {name: at for at, node in enumerate(pending) for name in node.outputs if name}
    needs = [
        {position[name] for name in (*node.inputs, *captured(node)) if name in position and position[name] != at}
        for at, node in enumerate(pending)
    ]
    if all(not need or max(need) < at for at, need in enumerate(needs)):
        return pending
    done = [False] * len(pending)
    order: list[Node] = []
    for start in range(len(pending)):
        stack = [start]
        path: set[int] = set()
        while stack:
            at = stack[-1]
            if done[at]:
                stack.pop()
                continue
            waiting = [need for need in needs[at] if not done[need]]
            if waiting:
                if at in path:
                    raise ModelError(f"{source}: the transform would make a cycle through node '{pending[at].name}'")
                path.add(at)
                stack += sorted(waiting, reverse=True)
            else:
                done[at] = True
                path.discard(at)
                order.append(pending[at])
                stack.pop()
    return order
