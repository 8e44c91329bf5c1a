"""A model as its file states it: operators and weights described, dimensions of the inputs possibly free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.notes import Note

Dimension = int | str | None  # a size, the name of a free dimension, or a free dimension without a name

MAX_KNOWN_ELEMENTS = 1024  # constants up to this size keep their value; larger ones are weights and are never opened
MAX_RANK = 64
MAX_ELEMENTS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class DeclaredType:
    """The type that a file declares for a tensor.

    Attributes:
        name: the tensor.
        dtype: element type, "" where it is not stated.
        dims: its dimensions, None where even the rank is not stated.
        container: "" for a tensor, or `sequence`, `optional`, `map`, `sparse`.
        negative: whether the file states a size below 0 for a dimension, which `dims` has as a free one.
        is_optional: whether it may be absent, whatever it holds: an optional sequence is a `sequence`, too.
    """

    name: str
    dtype: str
    dims: tuple[Dimension, ...] | None
    container: str = ""
    negative: bool = False
    is_optional: bool = False

    @property
    def static(self) -> TensorType | None:
        """The type, if the file states all of it."""
        if self.dims is None or not self.dtype or self.container not in ("", "sparse"):
            return None
        sizes = tuple(d for d in self.dims if isinstance(d, int))
        return TensorType(self.dtype, sizes) if len(sizes) == len(self.dims) else None


def _nothing_declared() -> dict[str, DeclaredType]:
    return {}


@dataclass(slots=True)
class UnboundGraph:
    """The operators of a graph or of a nested one (a branch of `If`, a body of `Loop` or `Scan`).

    Attributes:
        name: name of the graph.
        nodes: operators in topological order, functions inlined, `Constant` turned into `constants`.
        inputs: its inputs, without those that only give an initializer a name.
        outputs: its outputs.
        constants: types of the tensors that the file stores: initializers and constants.
        values: values of the small ones among them.
        value_info: gives the types that the file declares for other tensors; they are parsed when first asked for.
    """

    name: str
    nodes: list[Node]
    inputs: tuple[DeclaredType, ...]
    outputs: tuple[DeclaredType, ...]
    constants: dict[str, TensorType] = field(default_factory=dict)
    values: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    value_info: Callable[[], dict[str, DeclaredType]] = _nothing_declared


@dataclass(slots=True)
class UnboundModel(UnboundGraph):
    """A whole model, to be given sizes by `bind_shapes`.

    A free dimension without a name in the file gets one: the input's and the number of its axis, `x.0`.

    Attributes:
        source: what errors call it: its path as it was given, or "model".
        opsets: version of every operator set that it imports, "" for ai.onnx.
        ir_version: version of the file format.
        overridable: constants that whoever runs the model may give another value, so that nothing may be folded or
            fused on their account: initializers that are inputs, too, from version 4 of the file format on.
        repeated_names: names that several nodes have in the file; here each node has one of its own.
        notes: what its reader has to say of it.
    """

    source: str = "model"
    opsets: dict[str, int] = field(default_factory=dict)
    ir_version: int = 0
    overridable: frozenset[str] = frozenset()
    repeated_names: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        """Name the free dimensions of inputs that have no name."""
        self.inputs = tuple(_with_names(declared) for declared in self.inputs)

    @property
    def free_dimensions(self) -> dict[str, tuple[Dimension, ...]]:
        """For every input with free dimensions, the names of these."""
        free = {d.name: tuple(s for s in d.dims if not isinstance(s, int)) for d in self.inputs if d.dims is not None}
        return {name: dims for name, dims in free.items() if dims}


def _with_names(declared: DeclaredType) -> DeclaredType:
    if declared.dims is None or None not in declared.dims or declared.container in ("sequence", "map"):
        return declared
    dims = tuple(f"{declared.name}.{axis}" if dim is None else dim for axis, dim in enumerate(declared.dims))
    return replace(declared, dims=dims)
