"""The time of a prediction by what its kernels have in common: fused type, operator, or module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.prediction.modules import module_path

if TYPE_CHECKING:
    from nnmeter.prediction.priced_kernel import PricedKernel


@dataclass(frozen=True, slots=True)
class KernelGroup:
    """The kernels of a prediction that have one name in common.

    Attributes:
        name: fused type, operator, or module; "" for kernels of no module.
        latency_ms: what they take together, in milliseconds.
        share: their share of the predicted time, overhead included.
        kernels: how many there are.
        flops: floating-point operations of all of them.
        bytes: bytes that all of them read and write.
        parameters: parameters of the model that they have (`nnmeter.prediction.parameters`).
    """

    name: str
    latency_ms: float
    share: float
    kernels: int
    flops: int
    bytes: int
    parameters: int = 0


Rank = Callable[[KernelGroup], Any]


def by_time(group: KernelGroup) -> float:
    """What groups are sorted by unless something else is asked for: most expensive first."""
    return -group.latency_ms


def group_kernels(
    kernels: Iterable[PricedKernel], total_ms: float, key: Callable[[PricedKernel], str], rank: Rank = by_time
) -> tuple[KernelGroup, ...]:
    """The groups that `key` makes of kernels, most expensive first.

    Args:
        kernels: the kernels.
        total_ms: the time that shares are of.
        key: the name of a kernel's group.
        rank: what groups are sorted by; those of one rank stay in the order of their first kernels.
    """
    members: dict[str, list[PricedKernel]] = {}
    for kernel in kernels:
        members.setdefault(key(kernel), []).append(kernel)
    groups = []
    for name, group in members.items():
        latency_ms = sum(k.latency_ms for k in group)
        share = latency_ms / total_ms if total_ms else 0.0
        flops, size = sum(k.flops for k in group), sum(k.bytes for k in group)
        parameters = sum(k.parameters for k in group)
        groups.append(KernelGroup(name, latency_ms, share, len(group), flops, size, parameters))
    return tuple(sorted(groups, key=rank))


def first_groups(groups: Sequence[KernelGroup], most: int | None) -> tuple[KernelGroup, ...]:
    """The first groups, and behind them one that sums up the others: `12 more`; all of them where `most` is None."""
    shown, rest = groups[:most], groups[len(groups[:most]) :]
    if not rest:
        return tuple(shown)
    sums = [sum(values) for values in zip(*((g.latency_ms, g.share) for g in rest), strict=True)]
    counts = [sum(values) for values in zip(*((g.kernels, g.flops, g.bytes, g.parameters) for g in rest), strict=True)]
    return (*shown, KernelGroup(f"{len(rest)} more", *sums, *counts))


def module_tree(
    kernels: Sequence[PricedKernel],
    total_ms: float,
    depth: int,
    level: int = 0,
    rank: Rank = by_time,
    most: int | None = None,
) -> Iterator[tuple[int, KernelGroup]]:
    """The modules of kernels as a tree: the level of each, from 0, and its group.

    A module comes before those in it, the most expensive first. A group's name is the last part of the module's.

    Args:
        kernels: the kernels.
        total_ms: the time that shares are of.
        depth: levels to tell apart.
        level: the one to begin with.
        rank: what the modules of one module are sorted by.
        most: how many of them are told apart (`first_groups`).
    """

    def own(kernel: PricedKernel) -> str:
        parts, _ = module_path(kernel.place)
        return parts[level] if level < len(parts) else ""

    groups = [g for g in group_kernels(kernels, total_ms, own, rank) if g.name or not level]  # "": in the module's line
    told_apart = {group.name for group in groups[:most]}
    for group in first_groups(groups, most):
        yield level, group
        if group.name in told_apart and group.name and level + 1 < depth:
            inner = [kernel for kernel in kernels if own(kernel) == group.name]
            yield from module_tree(inner, total_ms, depth, level + 1, rank, most)
