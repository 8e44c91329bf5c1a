"""What became of kernels that correspond, and the milliseconds that it makes.

Rules:

1. Kernels before and after that correspond (`nnmeter.comparison.alignment`) are one *change*, and every kernel is in
   one: the changes and the overhead add up to the whole difference.
2. What is seen first gives a change its name: equal in all that the price depends on is *unchanged*, or *priced
   otherwise* where the prices differ, as on another device; other elements are *other precision*; another fused type,
   or another number of kernels for the same operators, is *fused otherwise*; other shapes of the same type are
   *resized*; other attributes are *other settings*; another operator is *replaced*.
3. Kernels on one side only are *added* or *removed*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from nnmeter.comparison.alignment import align, base_operator
from nnmeter.prediction.priced_kernel import PricedKernel

Kind = Literal[
    "added", "removed", "resized", "fused otherwise", "other precision", "other settings", "replaced",
    "priced otherwise", "unchanged",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

# Attributes that say sizes, which shapes say as well.
_SIZES = frozenset(
    "channels hidden_size num_outputs output_height output_width nested_flops nested_bytes_read nested_bytes_written "
    "total_sequence_length max_output_boxes dft_length".split()
)
_EQUAL = 1e-9  # of two prices, as a share: they went through a file


@dataclass(frozen=True, slots=True)
class Change:
    """Kernels that correspond, and what became of them.

    Attributes:
        kind: what became of them (rule 2).
        before: kernels of the first prediction; none for what was added.
        after: kernels of the second; none for what was removed.
    """

    kind: Kind
    before: tuple[PricedKernel, ...]
    after: tuple[PricedKernel, ...]

    @property
    def before_ms(self) -> float:
        """What they took, in milliseconds."""
        return sum(kernel.latency_ms for kernel in self.before)

    @property
    def after_ms(self) -> float:
        """What they take."""
        return sum(kernel.latency_ms for kernel in self.after)

    @property
    def difference_ms(self) -> float:
        """How much more they take after than before."""
        return self.after_ms - self.before_ms

    @property
    def kernel(self) -> PricedKernel:
        """The one that stands for all of them: the most expensive, after where there is one."""
        return max(self.after or self.before, key=lambda kernel: kernel.latency_ms)

    @property
    def detail(self) -> str:
        """What differs, in a few words: shapes, types, settings; "" where nothing does."""
        return _DETAILS[self.kind](self.before, self.after)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "kind": self.kind,
            "before": [_kernel_to_dict(kernel) for kernel in self.before],
            "after": [_kernel_to_dict(kernel) for kernel in self.after],
            "before_ms": self.before_ms,
            "after_ms": self.after_ms,
            "difference_ms": self.difference_ms,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Changes that have something in common.

    Attributes:
        name: what they have in common.
        kernels_before, kernels_after: how many kernels they are.
        before_ms, after_ms: what these take, in milliseconds.
    """

    name: str
    kernels_before: int
    kernels_after: int
    before_ms: float
    after_ms: float

    @property
    def difference_ms(self) -> float:
        """How much more they take after than before."""
        return self.after_ms - self.before_ms

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "name": self.name,
            "kernels_before": self.kernels_before,
            "kernels_after": self.kernels_after,
            "before_ms": self.before_ms,
            "after_ms": self.after_ms,
            "difference_ms": self.difference_ms,
        }


def find_changes(
    before: Sequence[PricedKernel], after: Sequence[PricedKernel], same_device: bool = True
) -> tuple[Change, ...]:
    """What became of the kernels of one prediction in another, in the order of execution.

    Args:
        before: kernels of the first.
        after: kernels of the second.
        same_device: whether both are of one device. Runtimes have other names for the same (`nchwc.Conv`, `Conv`).
    """
    changes = []
    for group in align(before, after):
        first = tuple([before[i] for i in group.before])
        second = tuple([after[j] for j in group.after])
        changes.append(Change(_kind_of(first, second, same_device), first, second))
    return tuple(changes)


def group_changes(changes: Iterable[Change], key: Callable[[PricedKernel], str]) -> tuple[ChangeGroup, ...]:
    """The kernels of changes by what `key` makes of each; what made the greatest difference comes first."""
    sums: dict[str, list[float]] = {}
    for change in changes:
        for side, kernels in enumerate((change.before, change.after)):
            for kernel in kernels:
                entry = sums.setdefault(key(kernel), [0, 0, 0.0, 0.0])
                entry[side] += 1
                entry[2 + side] += kernel.latency_ms
    return _sorted(sums)


def group_by_kind(changes: Iterable[Change]) -> tuple[ChangeGroup, ...]:
    """Changes by what became of the kernels, in the order of `KINDS`."""
    sums: dict[str, list[float]] = {}
    for change in changes:
        entry = sums.setdefault(change.kind, [0, 0, 0.0, 0.0])
        for side, kernels in enumerate((change.before, change.after)):
            entry[side] += len(kernels)
            entry[2 + side] += sum(kernel.latency_ms for kernel in kernels)
    return tuple(sorted(_sorted(sums), key=lambda group: KINDS.index(group.name)))


def _sorted(sums: dict[str, list[float]]) -> tuple[ChangeGroup, ...]:
    groups = [ChangeGroup(name, int(n), int(m), first, second) for name, (n, m, first, second) in sums.items()]
    return tuple(sorted(groups, key=lambda group: (-abs(group.difference_ms), -group.after_ms)))


def _kind_of(before: tuple[PricedKernel, ...], after: tuple[PricedKernel, ...], same_device: bool) -> Kind:
    """Rules 2 and 3."""
    if not before:
        return "added"
    if not after:
        return "removed"
    if len(before) > 1 or len(after) > 1:
        return "other precision" if _elements(before[0]) != _elements(after[0]) else "fused otherwise"
    first, second = before[0], after[0]
    if first.signature == second.signature and first.runs == second.runs:
        close = abs(first.latency_ms - second.latency_ms) <= _EQUAL * max(first.latency_ms, second.latency_ms)
        return "unchanged" if close else "priced otherwise"
    if base_operator(first.operator) != base_operator(second.operator):
        return "replaced"
    if _is_quantized(first.operator) != _is_quantized(second.operator):
        return "other precision"
    if first.type != second.type and (same_device or _fused(first) != _fused(second)):
        return "fused otherwise"
    if _elements(first) == _elements(second) and not same_device:
        return "priced otherwise"
    if _elements(first) != _elements(second):
        return "other precision"
    if first.signature is None or second.signature is None:
        return "resized"
    return "other settings" if _different_settings(before, after) else "resized"


def _is_quantized(operator: str) -> bool:
    return any(mark in operator for mark in ("QLinear", "Integer", "Quantize", "NBits", "QGemm", "QAttention"))


def _fused(kernel: PricedKernel) -> str:
    """What a type says without the layout or the domain in front: `Conv+Relu`."""
    return kernel.type.rpartition(".")[2]


def _elements(kernel: PricedKernel) -> str:
    return "" if kernel.price is None else kernel.price.kind.anchor.element_type


def _kernel_to_dict(kernel: PricedKernel) -> dict[str, Any]:
    return {
        "name": kernel.name,
        "type": kernel.type,
        "module": kernel.module,
        "latency_ms": kernel.latency_ms,
        "nodes": list(kernel.nodes),
    }


def _types(before: Sequence[PricedKernel], after: Sequence[PricedKernel]) -> str:
    names = [" and ".join(kernel.type for kernel in side) for side in (before, after)]
    return f"{names[0]} -> {names[1]}"


def _shapes(before: Sequence[PricedKernel], after: Sequence[PricedKernel]) -> str:
    """The first two tensors whose shapes differ, of the data, the weights and the result."""
    first, second = before[0].signature, after[0].signature
    if first is None or second is None:
        return ""
    tensors = [*zip(("data", "weights"), first.inputs, second.inputs, strict=False)]
    tensors += [("result", *outputs) for outputs in zip(first.outputs[:1], second.outputs[:1], strict=False)]
    words = [
        f"{name} {_shape(one.shape)} -> {_shape(other.shape)}"
        for name, one, other in tensors
        if one is not None and other is not None and one.shape != other.shape
    ]
    if not words and before[0].runs != after[0].runs:
        words.append(f"{before[0].runs} -> {after[0].runs} runs")
    return ", ".join(words[:2])


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _different_settings(before: Sequence[PricedKernel], after: Sequence[PricedKernel]) -> list[tuple[str, Any, Any]]:
    """Name, value before and value after of the attributes that differ."""
    first, second = before[0].signature, after[0].signature
    if first is None or second is None:
        return []
    pairs = dict(first.attributes), dict(second.attributes)
    names = [n for n in dict.fromkeys((*pairs[0], *pairs[1])) if n not in _SIZES]
    return [(n, pairs[0].get(n), pairs[1].get(n)) for n in names if pairs[0].get(n) != pairs[1].get(n)]


def _settings(before: Sequence[PricedKernel], after: Sequence[PricedKernel]) -> str:
    different = _different_settings(before, after)[:3]
    return ", ".join(f"{name} {_value(one)} -> {_value(other)}" for name, one, other in different)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _precision(before: Sequence[PricedKernel], after: Sequence[PricedKernel]) -> str:
    return f"{before[0].type} {_elements(before[0])} -> {after[0].type} {_elements(after[0])}"


def _nothing(before: Sequence[PricedKernel], after: Sequence[PricedKernel]) -> str:
    return ""


_DETAILS: dict[Kind, Callable[[Sequence[PricedKernel], Sequence[PricedKernel]], str]] = {
    "added": _nothing,
    "removed": _nothing,
    "resized": _shapes,
    "fused otherwise": _types,
    "other precision": _precision,
    "other settings": _settings,
    "replaced": _types,
    "priced otherwise": _nothing,
    "unchanged": _nothing,
}
