"""Rules, passes, stages and rule sets, as their authors write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any, TypeAlias

from nnmeter.fusion.rulesets.builder.expressions import Expr, Value
from nnmeter.fusion.rulesets.builder.patterns import Attributes, Op, Optional, Tensor, Wanted


@dataclass(frozen=True, eq=False)
class TensorSpec:
    """Type, shape and value of a tensor that a rule creates; `like` takes type and shape from another one."""

    like: Tensor | None = None
    dtype: Value | None = None
    shape: Value | None = None
    constant: bool = False
    value: Value | None = None


class Made(Tensor):
    """A tensor that a rule creates."""

    def __init__(self, stem: str, spec: TensorSpec, name: str = "") -> None:
        super().__init__(name)
        self.stem = stem
        self.spec = spec


def weight(
    *, like: Tensor | None = None, dtype: Value | None = None, shape: Value | None = None, name: str = ""
) -> Made:
    """A constant that the runtime computes before the run: folded or repacked weights, whose values are not known."""
    return Made("weight", TensorSpec(like, dtype, shape, constant=True), name)


def constant(value: Value, *, dtype: Value | None = None, name: str = "") -> Made:
    """A small constant of a known value."""
    return Made("constant", TensorSpec(dtype=dtype, value=value), name)


Argument: TypeAlias = Tensor | Optional | None


class Create(Made):
    """An operator that a match becomes; it is also the tensor that it writes.

    Args:
        kind: its type, or an expression of it.
        inputs: tensors; `maybe(t)` is left out where the pattern did not bind it, None is an absent input.
        into: the tensor of the match that it writes. Otherwise it writes a new one, of type and shape `like` another,
            or `dtype` and `shape`.
        attributes: a mapping of names to values, or those of an operator of the pattern (`conv.attributes(group=1)`).
        main: whether it inherits the operators of the match; there is one such in a rule, which is the only one if not
            marked.
        name: the name of the new tensor.
    """

    def __init__(
        self,
        kind: Value,
        *inputs: Argument,
        into: Tensor | None = None,
        like: Tensor | None = None,
        dtype: Value | None = None,
        shape: Value | None = None,
        attributes: Attributes | Mapping[str, Any] | None = None,
        main: bool = False,
        name: str = "",
    ) -> None:
        super().__init__(
            kind.rpartition(".")[2].lower() if isinstance(kind, str) else "made", TensorSpec(like, dtype, shape), name
        )
        self.kind = kind
        self.inputs = inputs
        self.output: Tensor = self if into is None else into
        self.attributes = attributes if isinstance(attributes, Attributes) else Attributes(set=dict(attributes or {}))
        self.main = main


@dataclass(frozen=True, eq=False)
class Around:
    """A pattern around a match that forbids it."""

    match: Sequence[Op]
    where: Sequence[Expr] = ()


@dataclass(frozen=True, eq=False)
class Rule:
    """A pattern and what it becomes.

    Attributes:
        name: its name in traces and errors, unique in its pass.
        match: the operators of the pattern; the first is the anchor, each other one shares a tensor with one before it.
        where: conditions that must all hold, the cheap and telling ones first.
        replace: the operators that the match becomes, in order.
        forward: for a match that vanishes: its outputs, and the tensors that are read in their place.
        unless: patterns around the match that forbid it.
        renames_outputs: whether a match that vanishes may have written an output of the graph.
        why: what the runtime does, and when, in a sentence or two.
        source: the runtime's file and version that shows it, or how it was found.
    """

    name: str
    match: Sequence[Op]
    where: Sequence[Expr] = ()
    replace: Create | Sequence[Create] = ()
    forward: Mapping[Tensor, Tensor] = field(default_factory=dict)
    unless: Sequence[Around] = ()
    renames_outputs: bool = False
    why: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        for key in ("name", "why", "source"):
            if not getattr(self, key).strip():
                raise ValueError(f"rule {self.name!r}: needs a {key!r}; write it for the reader who wonders about it")


@dataclass(frozen=True, eq=False)
class Rewrite:
    """A pass of rewrite rules: at each operator the first rule that fits is applied."""

    name: str
    rules: Sequence[Rule]
    repeat: int = 1
    only_with: Sequence[str] = ()
    only_if: str = ""


class Procedure:
    """A pass that is a module of `nnmeter/fusion/passes`; `fields` are what that module reads."""

    def __init__(
        self,
        name: str,
        kind: str,
        *,
        why: str,
        source: str,
        only_with: Sequence[str] = (),
        only_if: str = "",
        fields: Mapping[str, Any],
    ) -> None:
        if not why.strip() or not source.strip():
            raise ValueError(f"pass {name!r}: needs 'why' and 'source'; write them for the reader who wonders about it")
        self.name, self.kind, self.why, self.source = name, kind, why, source
        self.only_with, self.only_if, self.fields = tuple(only_with), only_if, fields


@dataclass(frozen=True, eq=False)
class Stage:
    """Passes that are applied in order, `repeat` times at most or until none changes the graph."""

    name: str
    passes: Sequence[Rewrite | Procedure]
    repeat: int = 1


@dataclass(frozen=True)
class Include:
    """The stages of another rule set of the package."""

    name: str


@dataclass(frozen=True, eq=False)
class MachineParameter:
    """A parameter that follows from the processor: its value by instruction set, with a reason and a source."""

    parameter: str
    isa: Mapping[str, Any]
    why: str
    source: str


@dataclass(frozen=True, eq=False)
class RuleSet:
    """What one runtime does to a graph, on one kind of device.

    Attributes:
        name: its name in packs and errors.
        runtime: the runtime, as adapters call it.
        stages: what is applied, in order.
        runtime_version: the version that the rules were checked with.
        parameters: numbers and switches that rules and passes refer to.
        device: what kind of device it is for, and how the runtime is installed.
        machine: the parameters that follow from the processor.
    """

    name: str
    runtime: str
    stages: Sequence[Stage | Include]
    runtime_version: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    device: Mapping[str, Any] = field(default_factory=dict)
    machine: Sequence[MachineParameter] = ()


def no_op(
    kind: str | Sequence[str],
    x: Tensor,
    *others: Wanted,
    name: str = "",
    where: Sequence[Expr] = (),
    swapped: bool = False,
    renames_outputs: bool = False,
    why: str,
    source: str,
) -> Rule:
    """A rule for an operator that does nothing: what it would write is read from `x`."""
    inputs = (*others, x) if swapped else (x, *others)
    y = Tensor("y")
    more: EllipsisType = ...
    node = Op(kind, *inputs, outputs=(y, more))
    return left_out(node, x, y, name=name, where=where, renames_outputs=renames_outputs, why=why, source=source)


def left_out(
    node: Op,
    x: Tensor,
    y: Tensor,
    *,
    name: str = "",
    where: Sequence[Expr] = (),
    renames_outputs: bool = False,
    why: str,
    source: str,
) -> Rule:
    """A rule for an operator from `x` to `y` that does nothing, and is left out where nobody reads a second result."""
    return Rule(
        name or f"no-op {node.kinds[0]}",
        [node],
        where=[*where, node.results <= 1],
        forward={y: x},
        renames_outputs=renames_outputs,
        why=why,
        source=source,
    )
