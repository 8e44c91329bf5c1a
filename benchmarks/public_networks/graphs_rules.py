"""How PyTorch's operators are told as those of ONNX: what a rule is, and what rules share.

Rules of translation:

1. What PyTorch's exporter writes as one operator of ONNX is one here; normalization is not folded into convolutions.
2. `linear` of a matrix is Gemm, of anything else MatMul and Add, as exporters write it.
3. Attention is its products, with the scale on the queries and Softmax between them.
4. A mean over a map, and an adaptive pool to one element, is GlobalAveragePool.
5. A copy, a cast to the same type, and dropout are nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphs_record import Recorder

Arguments = dict[str, Any]
Rule = Callable[[Recorder, Arguments, Any], None]  # the recorder, the arguments by name, the result


def pairs(value: Any, rank: int) -> list[int]:
    """A number for each of `rank` dimensions, given as one number, a list of one, or all."""
    values = [value] if isinstance(value, int) else list(value)
    return values * rank if len(values) == 1 else values


def unless(values: Sequence[int], default: int) -> list[int] | None:
    """An attribute, or None where it is the default of ONNX."""
    return None if all(v == default for v in values) else list(values)


def input_of(a: Arguments) -> Any:
    """The input of an operator that has one."""
    return a["self"] if "self" in a else a["input"]


def pass_on(r: Recorder, a: Arguments, y: Any) -> None:
    """What is written is what was read (rule 5)."""
    r.note(y, r.reference(input_of(a)))
