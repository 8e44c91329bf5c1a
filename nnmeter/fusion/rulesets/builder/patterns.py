"""Patterns: operators and the tensors between them.

Names of tensors that a pattern reads are given by `tensor`; an operator and the tensor that it writes are named by the
compiler after the operator's type (`conv`, `conv_out`, `mul`, `mul2`), unless `name` says otherwise. The names are what
`nnmeter kernels --trace` shows of a condition that failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any, TypeAlias

from nnmeter.fusion.rulesets.builder.expressions import Expr


class Tensor:
    """A tensor of a pattern, of its surroundings, or of what a match becomes."""

    def __init__(self, name: str = "") -> None:
        self.given_name = name

    def __repr__(self) -> str:
        return self.given_name or f"<{type(self).__name__}>"

    @property
    def shape(self) -> Expr:
        """Its shape."""
        return Expr("shape", of=self)

    @property
    def rank(self) -> Expr:
        """The number of its dimensions."""
        return Expr("rank", of=self)

    def dim(self, index: int) -> Expr:
        """One dimension of its shape."""
        return Expr("dim", index, of=self)

    @property
    def elements(self) -> Expr:
        """The number of its elements."""
        return Expr("elements", of=self)

    @property
    def dtype(self) -> Expr:
        """Its element type, `float32`."""
        return Expr("dtype", of=self)

    @property
    def dtype_code(self) -> Expr:
        """ONNX's number of its element type."""
        return Expr("dtype_code", of=self)

    @property
    def value(self) -> Expr:
        """All its elements, flat, where they are known before the run."""
        return Expr("value", of=self)

    @property
    def scalar(self) -> Expr:
        """The value of a tensor of one element."""
        return Expr("scalar", of=self)

    @property
    def uses(self) -> Expr:
        """How many inputs of operators read it."""
        return Expr("uses", of=self)

    @property
    def is_constant(self) -> Expr:
        """Whether it is known before the run."""
        return Expr("constant", of=self)

    @property
    def is_sized(self) -> Expr:
        """Whether the runtime knows all its sizes: a session may keep dimensions free."""
        return Expr("sized", of=self)

    @property
    def is_known(self) -> Expr:
        """Whether it is known before the run, and its value is here (weights may have none)."""
        return Expr("known", of=self)

    @property
    def is_stored(self) -> Expr:
        """Whether it is an initializer of the file."""
        return Expr("stored", of=self)

    @property
    def is_output(self) -> Expr:
        """Whether the graph returns it."""
        return Expr("output", of=self)

    @property
    def is_produced(self) -> Expr:
        """Whether an operator writes it."""
        return Expr("produced", of=self)

    @property
    def is_present(self) -> Expr:
        """Whether an optional input is there."""
        return Expr("present", of=self)

    @property
    def is_absent(self) -> Expr:
        """Whether an optional input is not there."""
        return ~self.is_present

    def is_filled_with(self, number: float) -> Expr:
        """Whether all its elements are known to be this number."""
        return Expr("filled", number, of=self)


@dataclass(frozen=True)
class Optional:
    """An input that may be absent."""

    tensor: Tensor


ANY = Tensor("_")  # any one tensor; it is bound to no name
Wanted: TypeAlias = Tensor | Optional | EllipsisType


def tensor(name: str) -> Tensor:
    """A tensor that a pattern binds to a name."""
    return Tensor(name)


def tensors(names: str) -> tuple[Tensor, ...]:
    """Several tensors, by names with spaces between them."""
    return tuple(Tensor(name) for name in names.split())


def maybe(wanted: Tensor) -> Optional:
    """An input that may be absent; in what a match becomes, it is left out where it was."""
    return Optional(wanted)


@dataclass(frozen=True)
class Node:
    """What expressions about an operator itself refer to, as opposed to the tensor that it writes."""

    op: Op


@dataclass(frozen=True, eq=False)
class Attributes:
    """The attributes of an operator that is created: those of another one, less some, and others set."""

    source: Node | None = None
    drop: tuple[str, ...] = ()
    set: Mapping[str, Any] = field(default_factory=dict)


class Op(Tensor):
    """An operator of a pattern; it is also the tensor that it writes.

    Args:
        kind: its type, with the domain (`com.microsoft.Gelu`), or several of which one must fit.
        inputs: tensors; `maybe(t)` may be absent, `...` at the end stands for any more.
        commutative: whether its two inputs may come in either order.
        shared: whether it stays in the graph for as long as others read what it writes.
        outputs: the tensors that it writes, where it is not the one that the operator itself stands for.
        name: its name in the compiled rule.
    """

    def __init__(
        self,
        kind: str | Sequence[str],
        *inputs: Wanted,
        commutative: bool = False,
        shared: bool = False,
        outputs: Sequence[Wanted] | None = None,
        name: str = "",
    ) -> None:
        super().__init__()
        self.kinds = (kind,) if isinstance(kind, str) else tuple(kind)
        self.inputs = inputs
        self.commutative = commutative
        self.shared = shared
        self.outputs = (self,) if outputs is None else tuple(outputs)
        self.op_name = name

    @property
    def node(self) -> Node:
        """The operator itself."""
        return Node(self)

    @property
    def kind(self) -> Expr:
        """Its type, with the domain."""
        return Expr("kind", of=self.node)

    @property
    def arity(self) -> Expr:
        """The number of inputs that it has."""
        return Expr("arity", of=self.node)

    @property
    def slots(self) -> Expr:
        """The number of inputs that it lists, absent ones in between and at the end included."""
        return Expr("slots", of=self.node)

    @property
    def results(self) -> Expr:
        """The number of its outputs that somebody needs."""
        return Expr("results", of=self.node)

    def attr(self, name: str, default: Any = None) -> Expr:
        """An attribute, or the default where it is not set."""
        return Expr("attr", name, of=self.node) if default is None else Expr("attr", name, default, of=self.node)

    def attributes(
        self, changed: Mapping[str, Any] | None = None, /, *, drop: Sequence[str] = (), **set_to: Any
    ) -> Attributes:
        """Its attributes for an operator that is created, without those of `drop`, and with others set."""
        return Attributes(self.node, tuple(drop), {**(changed or {}), **set_to})
