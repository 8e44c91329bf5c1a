"""Long lists of attributes are read as short ones are, however they are stored."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmeter.formats import lists, scan
from nnmeter.formats.scan import Scanner
from nnmeter.formats.wire import WireError
from nnmeter.graph.ir import TensorType
from tests.formats.making import encoded_varint

# Not st.floats: it refuses to work in a process in which denormal numbers count as zero, as they do behind a runtime.
FLOATS = (
    st.integers(0, 2**32 - 1)
    .map(lambda bits: struct.unpack("<f", struct.pack("<I", bits))[0])
    .filter(lambda number: number == number)
)
NUMBERS = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 300), max_size=40)


@pytest.fixture(autouse=True)
def windows_of_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short list is a long one, which goes over the end of a window."""
    monkeypatch.setattr(lists, "_FEW", 1)
    monkeypatch.setattr(lists, "_SHORT", 8)
    monkeypatch.setattr(lists, "_FIRST_WINDOW", 15)
    monkeypatch.setattr(lists, "_WINDOW", 35)
    monkeypatch.setattr(lists, "LONG", 1)
    monkeypatch.setattr(scan, "LONG", 1)


def read(data: bytes) -> Any:
    return Scanner().attribute(data, 0, len(data))


def attribute(name: str, values: list[Any], kind: str) -> bytes:
    """As ONNX's own writers store it: element by element."""
    return onnx.helper.make_attribute(name, values, attr_type=getattr(onnx.AttributeProto, kind)).SerializeToString()


def packed(name: str, number: int, payload: bytes, kind: int) -> bytes:
    head = b"\x0a" + encoded_varint(len(name)) + name.encode()
    return head + encoded_varint(number << 3 | 2) + encoded_varint(len(payload)) + payload + b"\xa0\x01" + bytes([kind])


@given(NUMBERS)
def test_integers(values: list[int]) -> None:
    assert read(attribute("v", values, "INTS")) == ("v", tuple(values))
    payload = b"".join(encoded_varint(value % 2**64) for value in values)
    assert read(packed("v", 8, payload, 7)) == ("v", tuple(values))


@given(st.lists(FLOATS, max_size=40))
def test_floats(values: list[float]) -> None:
    assert read(attribute("v", values, "FLOATS")) == ("v", tuple(values))
    assert read(packed("v", 7, struct.pack(f"<{len(values)}f", *values), 6)) == ("v", tuple(values))


@given(st.lists(st.text(max_size=4) | st.just("x" * 200), max_size=20))
def test_texts(values: list[str]) -> None:
    assert read(attribute("v", values, "STRINGS")) == ("v", tuple(values))


@given(NUMBERS, st.lists(st.text(max_size=3), max_size=20))
def test_lists_of_forests_are_counted(numbers: list[int], words: list[str]) -> None:
    found = TensorType("float32", (len(numbers),)) if numbers else ()
    assert read(attribute("nodes_hitrates", numbers, "INTS"))[1] == found
    payload = b"".join(encoded_varint(value % 2**64) for value in numbers)
    assert read(packed("nodes_hitrates", 8, payload, 7))[1] == found
    assert read(attribute("nodes_values", [0.5] * len(numbers), "FLOATS"))[1] == found
    assert read(attribute("nodes_modes", words, "STRINGS"))[1] == (
        TensorType("float32", (len(words),)) if words else ()
    )


def test_a_run_that_ends_in_the_middle_of_a_number_is_refused() -> None:
    with pytest.raises((WireError, IndexError)):
        read(attribute("v", [1, 2, 3], "INTS")[:-4] + b"\x40\xff")
    with pytest.raises(WireError, match="more than ten bytes"):
        read(b"\x0a\x01v\x40" + b"\xff" * 11 + b"\x01\x40\x01")


def test_a_million_numbers_are_read_without_a_loop_over_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_WINDOW", 1 << 18)
    monkeypatch.setattr(lists, "fields", lambda *_: pytest.fail("a field of its own for an element"))
    run = b"\x40\x05\x40\x96\x01" * 250_000
    assert lists.count_list(lists.INTS, run, lists.RUN, 0, len(run)) == 500_000
    assert np.sum(lists.read_integers(run, lists.RUN, 0, len(run))) == 250_000 * (5 + 150)


def test_many_short_runs_are_looked_at_in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_FEW", 32)
    monkeypatch.setattr(lists, "_SHORT", 160)
    monkeypatch.setattr(lists.np, "frombuffer", lambda *_: pytest.fail("NumPy takes longer than a loop here"))
    data = b"\x0a\x01v\xa0\x01\x07" + (b"\x40\x05" + b"\x6a\x00") * 3000  # numbers, each with documentation behind it
    assert read(data) == ("v", (5,) * 3000)
