"""Where buffers lie: plans of offsets, and the arena that ONNX Runtime takes memory from.

1. `plan_best_fit` is ONNX Runtime's memory pattern (`core/framework/mem_pattern_planner.h`): buffers in the order in
   which they are written, each in the smallest gap that holds it, else behind the last one that is in use.
2. `plan_largest_first` is TensorFlow Lite's and OpenVINO's way (Pisarchyk and Lee, "Efficient Memory Management for
   Deep Neural Net Inference", 2020, "greedy by size"): the largest buffer first, each at the lowest offset that is
   free all its life.
3. `Arena` is ONNX Runtime's allocator (`core/framework/bfc_arena.cc`): regions that double in size, cut into chunks;
   the smallest free chunk that fits is taken, and cut if it is twice as large; free neighbours become one.
4. Of a region only the pages that were written to are resident. That is what `Arena.touched` counts.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnmeter.memory.lifetimes import Buffer

PAGE = 4096
_ALIGNMENT = 64  # of tensors in a plan
_CHUNK = 256  # what the arena rounds sizes up to
_MIB = 1 << 20
_FIRST_REGION, _LARGEST_REGION = _MIB, 1 << 30
_MOST_DEAD = 128 * _MIB  # what a chunk may waste before it is cut


def aligned(size: int, to: int = _ALIGNMENT) -> int:
    """A size rounded up."""
    return -(-size // to) * to


def plan_best_fit(buffers: Sequence[Buffer]) -> tuple[dict[str, int], int]:
    """Offsets by tensor, and the size of the block that holds all (rule 1)."""
    offsets: dict[str, int] = {}
    used: list[tuple[int, int, int]] = []  # offset, end, last kernel: sorted by offset
    total = 0
    for buffer in sorted(buffers, key=lambda b: b.first):
        used = [block for block in used if block[2] >= buffer.first]
        size = aligned(buffer.bytes)
        best = used[-1][1] if used else 0
        least, end = None, 0
        for start, stop, _ in used:
            gap = start - end
            if gap >= size and (least is None or gap - size < least):
                least, best = gap - size, end
            end = stop
        offsets[buffer.tensor] = best
        total = max(total, best + size)
        insort(used, (best, best + size, buffer.last))
    return offsets, total


def plan_largest_first(buffers: Sequence[Buffer]) -> tuple[dict[str, int], int]:
    """Offsets by tensor, and the size of the block that holds all (rule 2)."""
    offsets: dict[str, int] = {}
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first and last kernel: sorted by offset
    total = 0
    for buffer in sorted(buffers, key=lambda b: -b.bytes):
        size = aligned(buffer.bytes)
        offset = 0
        for start, end, first, last in placed:
            if last < buffer.first or first > buffer.last:
                continue
            if start - offset >= size:
                break
            offset = max(offset, end)
        offsets[buffer.tensor] = offset
        total = max(total, offset + size)
        insort(placed, (offset, offset + size, buffer.first, buffer.last))
    return offsets, total


@dataclass(slots=True)
class _Region:
    """One piece of memory from the system: free and taken chunks, and which pages were written to."""

    free: list[tuple[int, int]]  # start and size, sorted
    pages: np.ndarray


class Arena:
    """ONNX Runtime's allocator, without memory (rules 3 and 4)."""

    def __init__(self) -> None:
        self._regions: list[_Region] = []
        self._next_size = _FIRST_REGION
        self._taken: dict[str, tuple[int, int, int]] = {}

    @property
    def reserved(self) -> int:
        """Bytes of all regions."""
        return sum(len(region.pages) for region in self._regions) * PAGE

    @property
    def touched(self) -> int:
        """Bytes of the pages that were written to."""
        return int(sum(region.pages.sum() for region in self._regions)) * PAGE

    def take(self, name: str, size: int) -> None:
        """Take a chunk, all of which is written to."""
        if size <= 0:
            return
        wanted = aligned(size, _CHUNK)
        found = min(
            (
                (have, number, start)
                for number, region in enumerate(self._regions)
                for start, have in region.free
                if have >= wanted
            ),
            default=None,
        )
        if found is None:
            self._extend(wanted)
            number = len(self._regions) - 1
            start, have = self._regions[number].free[0]
        else:
            have, number, start = found
        region = self._regions[number]
        region.free.remove((start, have))
        if have >= 2 * wanted or have - wanted >= _MOST_DEAD:
            insort(region.free, (start + wanted, have - wanted))
            have = wanted
        self._taken[name] = (number, start, have)
        region.pages[start // PAGE : -(-(start + size) // PAGE)] = True

    def give_back(self, name: str) -> None:
        """Free a chunk; what was not taken is nothing."""
        if name not in self._taken:
            return
        number, start, size = self._taken.pop(name)
        free = self._regions[number].free
        for before, have in list(free):
            if before + have == start:
                free.remove((before, have))
                start, size = before, size + have
            elif before == start + size:
                free.remove((before, have))
                size += have
        insort(free, (start, size))

    def _extend(self, wanted: int) -> None:
        grown = False
        while wanted > self._next_size:
            self._next_size *= 2
            grown = True
        size = min(self._next_size, max(_LARGEST_REGION, wanted))
        if not grown:
            self._next_size *= 2
        self._regions.append(_Region([(0, size)], np.zeros(-(-size // PAGE), dtype=bool)))
