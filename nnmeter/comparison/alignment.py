"""Which kernels of one prediction correspond to which of another.

Rules:

1. Kernels correspond in the order of execution: the alignment of the two sequences whose pairs score most in sum.
2. Two kernels can be a pair if they compute the same operator, in whatever precision (`Conv`, `QLinearConv`), or if
   they execute an operator of the model of the same name. A pair scores for that, and more for the same signature,
   type, element type, module, name, and for a like amount of work: what is equal decides, and names only where sizes
   do not.
3. Kernels that are left pair up with an equal one out of order: equal name and signature first, then equal signature.
4. Where the two models name their operators alike (at least half of the names of the smaller are in the other), a
   kernel that is still alone joins the pair that executes its operators, if the two of that have some in common as
   well: it was fused otherwise. (Exporters number operators, so that one name alone says little.)
5. Very long sequences are cut into pieces at equal shares of both, so that the work stays bounded.

Scores follow the method of Needleman and Wunsch (1970), with gaps that cost nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from nnmeter.prediction.priced_kernel import PricedKernel

_MOST_CELLS = 16_000_000  # of one table of scores: 4,000 kernels by 4,000
_NEVER = -1e9
_NAMED_ALIKE = 0.5

# What a pair scores (rule 2).
_SAME_OPERATOR = 2.0
_SAME_SIGNATURE = 4.0
_SAME_TYPE = 1.0
_SAME_ELEMENTS = 0.5
_SAME_MODULE = 1.5
_SAME_NAME = 1.0
_SAME_NODES = 1.0
_LIKE_SIZE = 1.0  # less a quarter for each doubling of FLOPs or bytes

# Operator of a runtime or of a precision -> the one that it computes.
_BASES: dict[str, str] = {
    "ConvInteger": "Conv", "FusedConv": "Conv", "Convolution": "Conv", "GroupConvolution": "Conv",
    "Gemm": "MatMul", "QGemm": "MatMul", "FusedGemm": "MatMul", "FusedMatMul": "MatMul", "MatMulInteger": "MatMul",
    "MatMulIntegerToFloat": "MatMul", "DynamicQuantizeMatMul": "MatMul", "MatMulNBits": "MatMul",
    "FullyConnected": "MatMul", "DynamicQuantizeLSTM": "LSTM", "QAttention": "Attention",
    "QEmbedLayerNormalization": "EmbedLayerNormalization", "QGemmActivation": "MatMul",
}  # fmt: skip
_QUANTIZED = "QLinear"


class Group(NamedTuple):
    """Kernels that correspond: their positions before and after, the one or the other possibly none."""

    before: tuple[int, ...]
    after: tuple[int, ...]


def base_operator(operator: str) -> str:
    """The operator that one computes, in whatever precision and by whichever runtime: `Conv` for `QLinearConv`."""
    plain = operator.removeprefix(_QUANTIZED)
    return _BASES.get(plain, plain)


def align(before: Sequence[PricedKernel], after: Sequence[PricedKernel]) -> list[Group]:
    """Groups of kernels that correspond, in the order of execution; every kernel is in one of them."""
    pairs = _pieces(before, after)
    pairs += _out_of_order(before, after, pairs)
    groups = _join(before, after, pairs)
    return sorted(groups, key=lambda group: _place(group, len(before), len(after)))


def _place(group: Group, before: int, after: int) -> tuple[float, int]:
    """Where a group stands: by its place after, or by the like share of the places before."""
    if group.after:
        return group.after[0], 0
    return group.before[0] * max(after, 1) / max(before, 1), 1


def _pieces(before: Sequence[PricedKernel], after: Sequence[PricedKernel]) -> list[tuple[int, int]]:
    """Pairs in order, of pieces that are not too large (rule 5)."""
    count = -(-len(before) * len(after) // _MOST_CELLS) or 1
    cuts = [(len(before) * k // count, len(after) * k // count) for k in range(count + 1)]
    pairs = []
    for (i, j), (i_end, j_end) in pairwise(cuts):
        pairs += [(i + a, j + b) for a, b in _best_pairs(before[i:i_end], after[j:j_end])]
    return pairs


class _Codes:
    """A number for each distinct value, so that equality is that of numbers."""

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}

    def of(self, values: Sequence[Hashable]) -> np.ndarray:
        """Numbers of values; -1 for None, which equals nothing."""
        known = self._known
        return np.array([-1 if v is None else known.setdefault(v, len(known)) for v in values], dtype=np.int64)


def _best_pairs(before: Sequence[PricedKernel], after: Sequence[PricedKernel]) -> list[tuple[int, int]]:
    """The pairs that score most in sum, in order (rules 1 and 2)."""
    if not before or not after:
        return []
    compared = [_compared(kernel) for kernel in before], [_compared(kernel) for kernel in after]
    scores = []
    for place, score in enumerate((_SAME_SIGNATURE, _SAME_TYPE, _SAME_ELEMENTS, _SAME_MODULE, _SAME_NAME)):
        codes = _Codes()
        scores.append((codes.of([c[place] for c in compared[0]]), codes.of([c[place] for c in compared[1]]), score))
    codes = _Codes()
    operators = [codes.of([base_operator(k.operator) for k in side]) for side in (before, after)]
    sizes = [np.log2([[k.flops + 1.0, k.bytes + 1.0] for k in side]) for side in (before, after)]
    columns: dict[str, list[int]] = defaultdict(list)
    for j, kernel in enumerate(after):
        for node in kernel.nodes:
            columns[node].append(j)
    width = len(after)
    steps = np.empty((len(before), width), dtype=np.int8)  # 1: a pair; 2: `before` alone; 0: `after` alone
    best = np.zeros(width + 1)
    for i, kernel in enumerate(before):
        row = np.where(operators[1] == operators[0][i], _SAME_OPERATOR, _NEVER)
        shared = sorted({j for node in kernel.nodes for j in columns.get(node, ())})
        row[shared] = np.maximum(row[shared], 0.0) + _SAME_NODES
        for own, others, score in scores:
            if own[i] >= 0:
                row += score * (others == own[i])
        doublings = np.abs(sizes[1] - sizes[0][i]).max(axis=1)
        row += np.maximum(_LIKE_SIZE - 0.25 * doublings, 0.0)
        paired = best[:-1] + row
        upper = np.maximum(paired, best[1:])
        row_best = np.maximum.accumulate(np.concatenate(([0.0], upper)))
        steps[i] = np.where(row_best[1:] > upper, 0, np.where(paired >= best[1:], 1, 2))
        best = row_best
    pairs = []
    i, j = len(before) - 1, width - 1
    while i >= 0 and j >= 0:
        step = steps[i, j]
        if step == 1:
            pairs.append((i, j))
        i -= int(step != 0)
        j -= int(step != 2)
    return pairs[::-1]


def _compared(kernel: PricedKernel) -> tuple[Hashable, ...]:
    """What scores by being equal, in the order in which `_best_pairs` names the scores."""
    elements = None if kernel.price is None else kernel.price.kind.anchor.element_type
    return (
        (kernel.signature, kernel.runs) if kernel.signature else None,
        kernel.type,
        elements,
        kernel.module or None,
        (kernel.name),
    )


def _out_of_order(
    before: Sequence[PricedKernel], after: Sequence[PricedKernel], pairs: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Pairs of equal kernels among those that are left (rule 3)."""
    taken = {i for i, _ in pairs}, {j for _, j in pairs}
    found: list[tuple[int, int]] = []
    for with_name in (True, False):
        waiting: dict[Hashable, list[int]] = defaultdict(list)
        for j, kernel in enumerate(after):
            if j not in taken[1] and kernel.signature is not None:
                waiting[kernel.signature, kernel.runs, kernel.name if with_name else ""].append(j)
        for i, kernel in enumerate(before):
            key = kernel.signature, kernel.runs, kernel.name if with_name else ""
            if i not in taken[0] and waiting.get(key):
                j = waiting[key].pop(0)
                found.append((i, j))
                taken[0].add(i)
                taken[1].add(j)
    return found


def _join(
    before: Sequence[PricedKernel], after: Sequence[PricedKernel], pairs: Sequence[tuple[int, int]]
) -> list[Group]:
    """Groups of the pairs and of what is left (rule 4)."""
    groups: list[tuple[list[int], list[int]]] = [([i], [j]) for i, j in pairs]
    taken = {i for i, _ in pairs}, {j for _, j in pairs}
    alone = [[p for p in range(len(side)) if p not in taken[s]] for s, side in enumerate((before, after))]
    if _named_alike(before, after):
        known = [number for number, (i, j) in enumerate(pairs) if not set(before[i].nodes).isdisjoint(after[j].nodes)]
        for side, kernels in enumerate((before, after)):
            others = after if side == 0 else before
            executing: dict[str, int] = {}
            for number in known:
                executing.update(dict.fromkeys(others[pairs[number][1 - side]].nodes, number))
            for position in list(alone[side]):
                mate = next((executing[node] for node in kernels[position].nodes if node in executing), None)
                if mate is not None:
                    groups[mate][side].append(position)
                    alone[side].remove(position)
    groups += [([i], []) for i in alone[0]]
    groups += [([], [j]) for j in alone[1]]
    return [Group(tuple(sorted(i)), tuple(sorted(j))) for i, j in groups]


def _named_alike(before: Sequence[PricedKernel], after: Sequence[PricedKernel]) -> bool:
    names = [{node for kernel in side for node in kernel.nodes} for side in (before, after)]
    return len(names[0] & names[1]) >= _NAMED_ALIKE * max(min(map(len, names)), 1)
