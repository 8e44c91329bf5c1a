"""Small types of a prediction read as what they replaced, and say what they are."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from nnmeter import Coverage, InputSizes, Interval, Note


def test_an_interval_is_its_two_ends() -> None:
    interval = Interval(8.0, 12.0, 0.9)
    low, high = interval
    assert (low, high) == (interval[0], interval[1]) == (interval.low, interval.high) == tuple(interval) == (8.0, 12.0)
    assert len(interval) == 2
    assert interval[-1:] == (12.0,)
    assert interval.half_width == 2.0
    assert interval.scaled(0.5) == Interval(4.0, 6.0, 0.9)


@pytest.mark.parametrize(("time", "inside"), [(8.0, True), (10, True), (12.0, True), (7.99, False), (12.01, False)])
def test_an_interval_contains_times_up_to_its_ends(time: float, inside: bool) -> None:
    interval = Interval(8.0, 12.0, 0.9)
    assert interval.contains(time) is inside
    assert (time in interval) is inside
    assert "8" not in interval


def test_coverage_reads_as_a_mapping() -> None:
    coverage = Coverage(0.75, 0.25)
    assert coverage == {"trained": 0.75, "fallback": 0.25}
    assert coverage["trained"] == coverage.trained == 0.75
    assert list(coverage) == ["trained", "fallback"]
    assert sum(coverage.values()) == 1.0
    assert json.dumps(dict(coverage)) == '{"trained": 0.75, "fallback": 0.25}'
    with pytest.raises(KeyError):
        coverage["measured"]
    assert hash(coverage) == hash(Coverage(0.75, 0.25))


def test_a_note_is_a_sentence_with_a_code() -> None:
    note = Note("tensor 'x' has no elements", "empty", "x")
    assert note == "tensor 'x' has no elements"
    assert json.dumps([note]) == "[\"tensor 'x' has no elements\"]"
    for same in (pickle.loads(pickle.dumps(note)), copy.deepcopy(note)):
        assert (same, same.code, same.about) == (note, "empty", "x")
    with pytest.raises(AttributeError, match="frozen"):
        note.code = "bounded"


def test_sizes_given_beside_others_come_first() -> None:
    sizes = InputSizes(dims={"batch": 1, "seq": 8}, shapes={"x": (1, 3)})
    assert sizes.updated() is sizes
    assert sizes.updated({"batch": 4}, trips={"loop": 2}) == InputSizes(
        dims={"batch": 4, "seq": 8}, shapes={"x": (1, 3)}, trips={"loop": 2}
    )
    assert sizes.dims["batch"] == 1
