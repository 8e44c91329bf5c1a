"""Rewrite rules: patterns of operators and what becomes of them.

1. A `rewrite` pass has `rules`, in the order in which they are tried at a node; `nnmeter.fusion.engine.rules` (4-8)
   says what a rule is.
2. `eliminate` is short for rules that forward the first input: `operators` is a list of `{"op", "inputs", "where",
   "outputs"}`; the input is called `x`, the output `y`, the node `n`. Nobody may need another output.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import Field, PassKind, list_of
from nnmeter.fusion.engine.reading import read_elimination, read_rule
from nnmeter.fusion.engine.rewrites import prepare_rules

PASSES = (
    PassKind("rewrite", lambda fields: prepare_rules(fields["rules"]), {"rules": Field(list_of(read_rule))}),
    PassKind(
        "eliminate", lambda fields: prepare_rules(fields["operators"]), {"operators": Field(list_of(read_elimination))}
    ),
)
