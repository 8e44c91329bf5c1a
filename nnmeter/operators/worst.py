"""What operators may take at the worst, where data decide how much they compute."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.graph.ir import TensorType
from nnmeter.operators.flops import Attributes, Types
from nnmeter.operators.table import KNOWN_DOMAINS, OPERATORS

# What an element of an operator costs at the worst that the table does not know: it may be a loop in Python.
UNKNOWN_NS = 100


def worst_case_ns(
    op_type: str,
    domain: str,
    attributes: Attributes,
    inputs: Types,
    outputs: Sequence[TensorType],
) -> float:
    """What an operator may take at the worst, in nanoseconds (rule 5 of `nnmeter.operators.table`).

    Returns:
        0 where data do not decide what it takes.
    """
    if domain not in KNOWN_DOMAINS:
        from nnmeter.operators.custom import declared_operator

        if declared_operator(op_type, domain) is not None:
            return 0.0
        return UNKNOWN_NS * float(sum(t.elements for t in (*inputs, *outputs) if t is not None))
    operator = OPERATORS.get(op_type)  # a runtime's own kernels have names that are no operator's
    rule = None if operator is None else operator.worst_ns
    return 0.0 if rule is None else rule.evaluate(attributes, inputs, outputs)
