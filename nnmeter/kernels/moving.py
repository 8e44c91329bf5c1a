"""Kernels that compute nothing: the data of a chain of views, transposes, slices and reorders, moved at once.

MNN describes what such operators do by regions of memory and moves the data when another operator needs it, in one go
for the whole chain where it can. Both ways to find kernels, the detector and the reader of what was executed, name
these kernels here:

1. A chain is named by its operator that moves most (`MOVING`, the first that occurs), the others behind it in order of
   their names; views have no name where anything else moves.
2. A change between blocks of channels and the order of dimensions is `ReorderInput` or `ReorderOutput`, alone or behind
   the operator that moves most. A chain of views alone is a `Reshape`.
3. The attributes are those of the operator that names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
# Operators of regions, those that say most of the price first.
MOVING = (
    *("Concat", "Transpose", "DepthToSpace", "SpaceToDepth", "Gather", "Slice", "Split", "Pad", "Tile", "Expand"),
    *sorted(VIEWS),
)
_RANK = {kind: rank for rank, kind in enumerate(MOVING)}
TO_BLOCKS, FROM_BLOCKS = "ReorderInput", "ReorderOutput"


def moving_kernel(chain: Sequence[tuple[str, Mapping[str, Any]]], reorder: str = "") -> tuple[str, dict[str, Any]]:
    """The operator and the attributes of a kernel that moves data.

    Args:
        chain: the operators of the chain with their attributes, all of them in `MOVING`.
        reorder: `TO_BLOCKS`, `FROM_BLOCKS`, or "" where the layout stays.
    """
    moved = sorted((item for item in chain if item[0] not in VIEWS), key=lambda item: _RANK[item[0]])
    if not moved:
        return reorder or "Reshape", {}
    kind, attributes = moved[0]
    others = sorted({other for other, _ in moved[1:]} - {kind}) + ([reorder] if reorder else [])
    return kind, {**attributes, "fused": "+".join(others)}
