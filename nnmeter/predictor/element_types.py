"""Which element types a predictor was trained in, as its vocabulary says.

1. The type of a kernel is that of its first input's elements, as of its anchor; `uint8*uint8` is uint8.
2. `PRECISIONS` are the types that numbers are computed in. Indices (int64) and masks (bool) are none: a float32 model
   has them, too.
"""

from __future__ import annotations

from collections.abc import Iterable

from nnmeter.kernels.anchor import Anchor

PRECISIONS = (
    *("float64", "float32", "bfloat16", "float16", "float8e4m3fn", "float8e5m2"),
    *("int16", "uint16", "int8", "uint8", "int4", "uint4"),
)


def element_type_of(anchor: Anchor) -> str:
    """Rule 1."""
    return anchor.element_type.partition("*")[0]


def operators_by_type(anchors: Iterable[Anchor]) -> dict[str, tuple[str, ...]]:
    """The operators that were trained in each element type, sorted; types with most operators first."""
    found: dict[str, set[str]] = {}
    for anchor in anchors:
        found.setdefault(element_type_of(anchor), set()).add(anchor.operator)
    order = sorted(found, key=lambda name: (-len(found[name]), name))
    return {name: tuple(sorted(found[name])) for name in order}


def precisions_of(anchors: Iterable[Anchor]) -> tuple[str, ...]:
    """The precisions among the types that were trained (rule 2), most operators first."""
    return tuple(name for name in operators_by_type(anchors) if name in PRECISIONS)
