"""Plans of offsets, and the arena: small cases whose right values follow from the rules."""

from __future__ import annotations

import random

import pytest

from nnmeter.memory.arena import PAGE, Arena, plan_best_fit, plan_largest_first
from nnmeter.memory.lifetimes import Buffer

MIB = 1 << 20
BUFFERS = [Buffer("a", 640, 0, 1), Buffer("b", 128, 0, 3), Buffer("c", 640, 2, 4), Buffer("d", 64, 3, 5)]


def test_a_buffer_takes_the_smallest_gap_that_holds_it() -> None:
    offsets, total = plan_best_fit(BUFFERS)
    assert offsets == {"a": 0, "b": 640, "c": 0, "d": 768}
    assert total == 832


def test_the_largest_buffer_is_placed_first() -> None:
    offsets, total = plan_largest_first(
        [Buffer("small", 64, 0, 2), Buffer("large", 640, 1, 3), Buffer("late", 128, 3, 4)]
    )
    assert offsets == {"large": 0, "small": 640, "late": 640}
    assert total == 768


@pytest.mark.parametrize("plan", [plan_best_fit, plan_largest_first])
@pytest.mark.parametrize("seed", range(5))
def test_buffers_that_live_together_never_overlap(plan, seed: int) -> None:
    rng = random.Random(seed)
    buffers = []
    for number in range(60):
        first = rng.randrange(40)
        buffers.append(Buffer(str(number), rng.randrange(1, 5000), first, first + rng.randrange(10)))
    offsets, total = plan(buffers)
    for one in buffers:
        assert offsets[one.tensor] + one.bytes <= total
        for other in buffers:
            if one is not other and one.first <= other.last and other.first <= one.last:
                start, second = offsets[one.tensor], offsets[other.tensor]
                assert start + one.bytes <= second or second + other.bytes <= start
    steps = [sum(b.bytes for b in buffers if b.first <= step <= b.last) for step in range(50)]
    assert total >= max(steps)


def test_regions_double_and_only_touched_pages_count() -> None:
    arena = Arena()
    arena.take("a", 100)
    assert (arena.reserved, arena.touched) == (MIB, PAGE)
    arena.take("b", 3 * MIB)
    assert (arena.reserved, arena.touched) == (5 * MIB, 3 * MIB + PAGE)
    arena.give_back("b")
    arena.take("c", 2 * MIB)
    assert arena.reserved == 5 * MIB
    arena.take("d", 3 * MIB)
    assert arena.reserved == 5 * MIB + 4 * MIB  # as large as the last, which was made to fit; the next has 8


def test_free_neighbours_become_one_chunk() -> None:
    arena = Arena()
    for name in "abcd":
        arena.take(name, 256 * 1024)
    for name in "bdc":
        arena.give_back(name)
    arena.take("e", 768 * 1024)
    assert arena.reserved == MIB
