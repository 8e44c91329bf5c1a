"""The blocks of a campaign on a cluster: which are to be measured, and which were lost.

1. A block is a range of seeds. It is known by its first seed, and becomes the part file of these seeds.
2. Blocks are handed out in the order of their seeds, those first that are missing below what is there already: lost
   with their worker, or left by an earlier call. So a campaign has no gap for longer than one block takes.
3. A block that lost its worker `MOST_LOSSES` times is not handed out again: its networks may be what kills workers.
4. Once no new blocks are begun (`close`), those are still handed out that fill a gap.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

MOST_LOSSES = 5


class Blocks:
    """What is left to measure of one campaign."""

    def __init__(self, first: int, networks: int, done: Iterable[range] = (), most: int | None = None) -> None:
        """Finds the gaps.

        Args:
            first: first seed of the campaign.
            networks: seeds of a block.
            done: the ranges of seeds that are there, in their order.
            most: number of blocks that the campaign has in all; None for no end.
        """
        self._networks = networks
        self._end = None if most is None else first + most * networks
        self._next = first
        self._waiting: list[tuple[int, int]] = []
        self._under_way: dict[int, range] = {}
        self._losses: Counter[int] = Counter()
        self._done_to = first
        for there in done:
            while self._next < there.start:
                self._waiting.append((self._next, min(self._next + networks, there.start)))
                self._next = self._waiting[-1][1]
            self._next = self._done_to = max(self._next, there.stop)

    @property
    def next_seed(self) -> int:
        """The first seed that is in no block yet."""
        return self._next

    @property
    def lost(self) -> int:
        """How often a block lost its worker."""
        return self._losses.total()

    def take(self) -> range | None:
        """The next block (rule 2); None where there is none at present."""
        if self._waiting:
            block = range(*heapq.heappop(self._waiting))
        elif self._end is None or self._next < self._end:
            stop = self._next + self._networks
            block = range(self._next, stop if self._end is None else min(stop, self._end))
            self._next = block.stop
        else:
            return None
        self._under_way[block.start] = block
        return block

    def finish(self, block: range) -> None:
        """A block is written."""
        del self._under_way[block.start]
        self._done_to = max(self._done_to, block.stop)

    def give_back(self, block: range, lost: bool) -> bool:
        """A block was not measured; whether it is to be tried again (rule 3).

        Args:
            block: that was under way.
            lost: whether its worker was lost, so that the block itself may be the reason.
        """
        self._losses[block.start] += lost
        if self._losses[block.start] >= MOST_LOSSES:
            return False
        del self._under_way[block.start]
        heapq.heappush(self._waiting, (block.start, block.stop))
        return True

    def close(self) -> None:
        """Begin no new blocks (rule 4)."""
        last = max([self._done_to, *(block.stop for block in self._under_way.values())])
        self._waiting = [pair for pair in self._waiting if pair[0] < last]
        heapq.heapify(self._waiting)
        self._end = self._next = last

    def missing(self) -> list[range]:
        """The blocks that were begun, or lie below such, and are not written."""
        return sorted([*self._under_way.values(), *(range(*pair) for pair in self._waiting)], key=lambda b: b.start)

    def all_there(self) -> bool:
        """Whether every block is written, and there will be no other."""
        return not self._waiting and not self._under_way and self._end is not None and self._next >= self._end
