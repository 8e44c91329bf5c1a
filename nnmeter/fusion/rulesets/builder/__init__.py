"""The builder of fusion rules: patterns, conditions and rule sets as Python objects, compiled to the engine's JSON.

1. `tensor` and `tensors` name what a pattern reads; `Op` is an operator of the pattern and, at the same time, the
   tensor that it writes. `maybe(t)` is an input that may be absent, `ANY` any tensor, `...` any more.
2. Properties of tensors and operators (`x.rank`, `conv.attr("group", 1)`) are expressions. Operators of Python combine
   them: `x.rank == 2`, `c.elements == w.dim(0)`, `w.dim(0) * 2`. Conditions are combined by `all_of`, `any_of` and `~`.
   Nothing is computed here: an expression is kept as it is written, and the engine evaluates it for each match.
3. `Rule` holds a pattern (its first operator is the anchor), conditions, and what the match becomes: operators of
   `Create`, or `forward`. Its `why` says what the runtime does and when, its `source` where that can be seen.
4. `Rewrite` is a pass of rules, `Procedure` a pass that is a module of `nnmeter/fusion/passes`. A `RuleSet` is a list
   of stages, each a list of passes, and `compile_rule_set` makes JSON of it.

    x, w, c = tensors("x w c")
    conv = Op("Conv", x, w)
    add = Op("Add", conv, c)
    Rule(
        "Conv then Add of a constant",
        [conv, add],
        where=[c.is_constant, c.elements == w.dim(0)],
        replace=Create("Conv", x, w, weight(dtype=w.dtype, shape=[w.dim(0)]), attributes=conv.attributes(), into=add),
        why="A constant that is added by channel becomes the bias of the convolution.",
        source="onnxruntime/core/optimizer/conv_add_fusion.cc, 1.32",
    )
"""

from nnmeter.fusion.rulesets.builder.compiler import compile_rule, compile_rule_set
from nnmeter.fusion.rulesets.builder.expressions import (
    Expr,
    all_of,
    any_of,
    broadcast,
    choose,
    concat,
    indices,
    keeps_order,
    largest,
    opset,
    param,
    repeat,
    rounded_up,
)
from nnmeter.fusion.rulesets.builder.patterns import ANY, Attributes, Op, Tensor, maybe, tensor, tensors
from nnmeter.fusion.rulesets.builder.rules import (
    Around,
    Create,
    Include,
    MachineParameter,
    Procedure,
    Rewrite,
    Rule,
    RuleSet,
    Stage,
    constant,
    left_out,
    no_op,
    weight,
)

__all__ = [
    "ANY",
    "Around",
    "Attributes",
    "Create",
    "Expr",
    "Include",
    "MachineParameter",
    "Op",
    "Procedure",
    "Rewrite",
    "Rule",
    "RuleSet",
    "Stage",
    "Tensor",
    "all_of",
    "any_of",
    "broadcast",
    "choose",
    "compile_rule",
    "compile_rule_set",
    "concat",
    "constant",
    "indices",
    "keeps_order",
    "largest",
    "left_out",
    "maybe",
    "no_op",
    "opset",
    "param",
    "repeat",
    "rounded_up",
    "tensor",
    "tensors",
    "weight",
]
