"""Fusion rules: the data that says, for one device, which operators become which kernels.

A rule set is a JSON object. It is data only: no code, no model names, and the engine that applies it knows no runtime.
`nnmeter.fusion.loading` reads one.

1. `schema_version` is 1; `name`, `runtime` and `runtime_version` say whose rules these are; `parameters` are numbers
   that expressions and passes refer to (`["param", "block"]`): the block size of a layout is one, so that AVX2 and
   AVX-512 machines differ in one number.
2. `stages` are applied in order. The passes of a stage are applied in order, `repeat` times at most or until none
   changes the graph, as optimizers of runtimes do.
3. A pass has a `name` and a `kind`, is left out unless the graph has an operator of `only_with` and the parameter
   `only_if` is true, where given, and is applied `repeat` times at most (once, where not given) before the next one.
   `nnmeter.fusion.passes.registry` lists the kinds; the module of each says what it does and what its fields are.
4. A `rewrite` pass has `rules`. Nodes are visited in the order of the graph; the first rule that fits at a node is
   applied. A rule has a `name`, a pattern `match`, conditions `where`, and what it becomes: `replace` or `forward`. It
   may say `why` the runtime does so, and in which `source` that can be seen.
5. `match` is a list of pattern nodes; the first is the anchor, each other one reads or writes a tensor of an earlier
   one. A pattern node has an `id`, `op` (an operator or a list of them, with their domain: `com.microsoft.FusedConv`),
   `inputs` and `outputs`. Inputs are names to bind; a name that is bound already must be the same tensor; `name?` may
   be absent; `_` is any; `...` at the end stands for any more. `commutative` nodes match with two inputs either way.
6. Nodes of a match are replaced, so what they compute must not be needed elsewhere, except outputs that `replace`
   writes. A `shared` node is taken into the kernel but stays in the graph for as long as others read it.
7. `where` is a list of expressions (`nnmeter/fusion/engine/expressions.py`) that must all hold. `unless` is a list of
   patterns around the match, each `{"match": [...], "where": [...]}`; the rule does not apply where one of them is
   found.
8. `replace` is a list of nodes: `op` (text or expression), `inputs` and `outputs` (bound names; `name?` is left out
   where it is not bound), `attributes`: `from` (pattern node to copy them from), `drop` (names not copied), `set` (name
   to expression). The node marked `main`, or the only one, is the heir of the operators matched. New tensors are named
   in `tensors`: `{"like": name}` or `{"dtype": expression, "shape": expression}`, with `"constant": true` for a
   repacked weight or `"value": expression` for a small constant. `forward` maps outputs of the match to the tensors to
   read in their place; `"outputs": true` lets it rename a graph output.
9. A pass may have `why` and `source`, too, where it has no rules. They change nothing.
10. `{"include": name}` in place of a stage stands for the stages of a rule set of the package, so that devices share
   what they have in common. It is resolved when rules are read: a pack's own copy holds all of its rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nnmeter.fusion.engine.expressions import Expression
from nnmeter.fusion.engine.passes import Prepared

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class PatternNode:
    """One node of a pattern (rules 5 and 6)."""

    id: str
    op: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    commutative: bool = False
    shared: bool = False


@dataclass(frozen=True)
class Template:
    """One node that a rule creates (rule 8)."""

    op: Expression
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes_from: str = ""
    attributes_drop: tuple[str, ...] = ()
    attributes_set: Mapping[str, Expression] = field(default_factory=dict)
    main: bool = False


@dataclass(frozen=True)
class NewTensor:
    """A tensor that a rule creates (rule 8)."""

    name: str
    like: str = ""
    dtype: Expression = None
    shape: Expression = None
    constant: bool = False
    value: Expression = None


@dataclass(frozen=True)
class Surroundings:
    """A pattern around a match that forbids it (rule 7)."""

    match: tuple[PatternNode, ...]
    where: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class RewriteRule:
    """A pattern and what it becomes."""

    name: str
    match: tuple[PatternNode, ...]
    where: tuple[Expression, ...] = ()
    replace: tuple[Template, ...] = ()
    tensors: tuple[NewTensor, ...] = ()
    forward: Mapping[str, str] = field(default_factory=dict)
    outputs: bool = False
    unless: tuple[Surroundings, ...] = ()
    why: str = ""
    source: str = ""


@dataclass(frozen=True)
class Pass:
    """One pass (rule 3): its fields as they were read, and what applies it.

    Passes of one content share one `prepared`: what one of them did spares the other.
    """

    name: str
    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    only_with: tuple[str, ...] = ()
    repeat: int = 1
    only_if: str = ""
    why: str = ""
    source: str = ""
    prepared: Prepared = field(kw_only=True, repr=False, compare=False)


@dataclass(frozen=True)
class Stage:
    """Passes that are applied in order, repeatedly (rule 2)."""

    name: str
    repeat: int
    passes: tuple[Pass, ...]


@dataclass(frozen=True)
class FusionRules:
    """The fusion rules of one device; `source` is the JSON object that they were read from."""

    name: str
    runtime: str
    runtime_version: str
    parameters: Mapping[str, Any]
    stages: tuple[Stage, ...]
    source: Mapping[str, Any] = field(repr=False, compare=False)
    remembered: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  # by detection
