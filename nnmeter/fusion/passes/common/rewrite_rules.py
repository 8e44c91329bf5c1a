"""Rewrite rules: patterns of operators and what becomes of them.

1. A `rewrite` pass has `rules`, in the order in which they are tried at a node; `nnmeter.fusion.engine.rules` (4-8)
   says what a rule is.
2. `eliminate` is short for rules that forward the first input: `operators` is a list of `{"op", "inputs", "where",
   "outputs"}`; the input is called `x`, the output `y`, the node `n`. Nobody may need another output.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, Prepared, list_of
from nnmeter.fusion.engine.reading import check_rule, read_elimination, read_rule
from nnmeter.fusion.engine.rewrites import prepare_rules


def _check(fields: Fields) -> None:
    for rule in (*fields.get("rules", ()), *fields.get("operators", ())):
        check_rule(rule)


def _prepare(fields: Fields) -> Prepared:
    return prepare_rules(fields["rules"] if "rules" in fields else fields["operators"])


PASSES = (
    PassKind("rewrite", _prepare, {"rules": Field(list_of(read_rule))}, _check),
    PassKind("eliminate", _prepare, {"operators": Field(list_of(read_elimination))}, _check),
)
