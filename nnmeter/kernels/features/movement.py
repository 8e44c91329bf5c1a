"""Kernels that move data and compute nothing: transposes, and copies such as slices, gathers and joins."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.kernels.family import Family
from nnmeter.kernels.features.common import at, log_size, product, result_bits, result_of, shape_of
from nnmeter.kernels.kernel import KernelSignature

TRANSPOSE_NAMES = (
    "log_block", "merged_rank", "log_rows", "log_columns", "swaps_last", "log_last_in", "log_last_out", "channels_last",
    "path", "channels_mod_16",
)  # fmt: skip


def transpose(s: KernelSignature) -> list[float]:
    """In the order of `TRANSPOSE_NAMES`."""
    x, y = shape_of(s, 0), result_of(s)
    perm = s.attribute("perm") or tuple(range(len(x)))[::-1]
    if s.op_type != "Transpose" or sorted(perm) != list(range(len(x))):
        spatial = product(x[2:]) if len(x) > 2 else product(x)
        channels_last = s.attribute("channels_last", 0)
        channels = at(x, 1, 1)
        return [-1.0, -1.0, log_size(channels), log_size(spatial), -1.0, log_size(x[-1] if x else 1),
                log_size(y[-1] if y else 1), float(channels_last), -1.0, float(channels % 16)]  # fmt: skip
    kept = [p for p in perm if x[p] != 1]
    runs: list[list[int]] = []  # axes that stay neighbours move as one
    alive = [a for a in range(len(x)) if x[a] != 1]
    for p in kept:
        if runs and alive.index(p) == alive.index(runs[-1][-1]) + 1:
            runs[-1].append(p)
        else:
            runs.append([p])
    sizes = [product([x[p] for p in run]) for run in runs]
    block = sizes[-1] if runs and runs[-1][-1] == alive[-1] else 1
    moved_last = not runs or runs[-1][-1] != alive[-1]
    source_last = next((sizes[i] for i, run in enumerate(runs) if run[-1] == alive[-1]), 1)
    return [
        log_size(block * result_bits(s) // 8),
        float(len(runs)),
        log_size(sizes[0] if sizes else 1),
        log_size(sizes[-1] if sizes else 1),
        float(moved_last and bool(runs)),
        log_size(source_last),
        log_size(y[-1] if y else 1),
        -1.0,
        float(transpose_path(x, perm)),
        -1.0,
    ]


def transpose_path(x: Sequence[int], perm: Sequence[int]) -> int:
    """How ONNX Runtime moves the data: 0 as it lies, 1 one axis in blocks, 2 trailing axes in blocks, 3 by element.

    Neighbours that stay neighbours count as one axis, but axes of size 1 count too: a permutation that moves one axis
    past them and them past others goes element by element, at ten times the price.
    """
    alive = [p for p in perm if x[p] != 1]
    if alive == sorted(alive):
        return 0
    merged = [p for i, p in enumerate(perm) if i == 0 or p != perm[i - 1] + 1]
    for moved in merged:
        rest = [p for p in merged if p != moved]
        if rest == sorted(rest):
            return 1
    return 2 if perm[-1] == len(perm) - 1 and x[-1] != 1 else 3


MOVEMENT_NAMES = (
    "log_chunk_bytes", "log_chunks", "axis_from_end", "log_first_chunk", "log_last", "log_table_bytes",
    "log_second_elements", "log_steps", "moves_last",
)  # fmt: skip


def movement(s: KernelSignature) -> list[float]:
    """In the order of `MOVEMENT_NAMES`."""
    x, y = shape_of(s, 0), result_of(s)
    axis = s.attribute("axis", -1 if s.op_type == "OneHot" else 0)
    base = x if s.op_type in ("Gather", "Split", "SplitToSequence") else y
    rank = max(len(base), 1)
    axis = axis + rank if axis < 0 else axis
    item = max(result_bits(s) // 8, 0) or 1
    # contiguous bytes that are copied at once
    chunk = product(base[axis + 1 :]) if s.op_type == "Gather" else product(y[axis:])
    if s.op_type in ("Slice", "Pad", "Tile", "Expand"):
        chunk = 1
        for position in range(1, min(len(x), len(y)) + 1):
            chunk *= min(x[-position], y[-position])
            if x[-position] != y[-position]:
                break
    total = sum(t.elements for t in s.outputs)
    return [
        log_size(chunk * item),
        log_size(total // max(chunk, 1)),
        float(rank - axis),
        log_size(product(x[axis:]) * item if len(x) > axis else 1),
        log_size(y[-1] if y else 1),
        log_size(product(x) * item),
        log_size(product(shape_of(s, 1))),
        log_size(max(s.attribute("strides", ()) or (0,))),
        float(bool(x) and bool(y) and x[-1] != y[-1]),
    ]


FAMILIES = (
    Family("transpose", TRANSPOSE_NAMES, transpose, frozenset({"perm", "channels_last"})),
    Family("movement", MOVEMENT_NAMES, movement, frozenset({"axis", "strides"})),
)
