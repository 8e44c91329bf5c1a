"""Which block is next, whatever is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnmeter.lab.cluster.blocks import MOST_LOSSES, Blocks


def test_blocks_follow_each_other_up_to_the_number_that_was_asked_for() -> None:
    blocks = Blocks(100, 10, most=3)
    taken = [blocks.take() for _ in range(4)]
    assert taken == [range(100, 110), range(110, 120), range(120, 130), None]
    assert not blocks.all_there()
    for block in taken[:3]:
        assert block is not None
        blocks.finish(block)
    assert blocks.all_there()


def test_what_is_missing_comes_first() -> None:
    blocks = Blocks(0, 10, [range(10), range(25, 40)], most=5)
    assert [blocks.take() for _ in range(4)] == [range(10, 20), range(20, 25), range(40, 50), None]


def test_a_block_that_was_lost_is_next() -> None:
    blocks = Blocks(0, 10)
    first, second = blocks.take(), blocks.take()
    assert first is not None and second is not None
    blocks.finish(second)
    assert blocks.give_back(first, lost=True)
    assert (blocks.take(), blocks.lost, blocks.next_seed) == (first, 1, 20)


def test_a_block_that_is_lost_again_and_again_is_given_up() -> None:
    blocks = Blocks(0, 10, most=1)
    tried = []
    for _ in range(MOST_LOSSES):
        block = blocks.take()
        assert block == range(10)
        tried.append(blocks.give_back(block, lost=True))
    assert tried == [True] * (MOST_LOSSES - 1) + [False]
    assert blocks.take() is None
    blocks.finish(range(10))
    assert blocks.all_there()


def test_a_block_that_is_given_back_by_no_fault_of_its_own_is_never_given_up() -> None:
    blocks = Blocks(0, 10)
    for _ in range(3 * MOST_LOSSES):
        block = blocks.take()
        assert block == range(10)
        assert blocks.give_back(block, lost=False)


def test_after_the_end_only_gaps_are_filled() -> None:
    blocks = Blocks(0, 10)
    one, two, three = blocks.take(), blocks.take(), blocks.take()
    assert one and two and three
    blocks.finish(two)
    blocks.give_back(one, lost=True)
    blocks.give_back(three, lost=True)
    blocks.close()
    assert blocks.take() == one
    assert blocks.take() is None  # the third lies behind all that is there: nobody misses it
    blocks.finish(one)
    assert blocks.all_there()


@settings(deadline=None)
@given(st.lists(st.sampled_from(["take", "finish", "lose", "return"]), max_size=60), st.integers(1, 7), st.booleans())
def test_every_seed_is_measured_once_without_gaps(steps: list[str], networks: int, ends: bool) -> None:
    blocks = Blocks(3, networks, [range(5, 9), range(12, 13)], most=6 if ends else None)
    under_way: list[range] = []
    written = [range(5, 9), range(12, 13)]

    def end_one(step: str) -> None:
        block = under_way.pop(0)
        if step == "finish" or not blocks.give_back(block, lost=step == "lose"):
            blocks.finish(block)
            written.append(block)

    for step in steps:
        if step == "take":
            block = blocks.take()
            under_way += [block] if block else []
        elif under_way:
            end_one(step)
    blocks.close()
    while not blocks.all_there():
        block = blocks.take()
        under_way += [block] if block else []
        end_one("finish")
    assert under_way == []
    seeds = sorted(seed for block in written for seed in block)
    assert seeds == list(range(3, max(seeds) + 1))


@pytest.mark.parametrize("most", [1, 4])
def test_a_campaign_that_has_its_blocks_is_over_at_once(most: int) -> None:
    blocks = Blocks(0, 10, [range(40)], most=most)
    assert blocks.take() is None
    assert blocks.all_there()
