"""JSON with an indent is what the standard library writes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from nnmeter.graph.notes import Note
from nnmeter.report.indenting import indented_json


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        None,
        "a",
        {"a": {}, "b": [], "c": [[], {}, [1, [2.5, "x"]]], "d": (1, 2)},
        {'a"\n': "\u00e9\x00\u2028", "": True, "b": [False, None, -0.0, 1e300, 5e-324, 10**30]},
        {"number": np.float64(0.1), "note": Note("said", "empty"), "same": [{"k": 1}, {"k": 2}]},
    ],
)
def test_it_is_as_the_standard_library_writes_it(content: Any) -> None:
    assert indented_json(content) == json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


@pytest.mark.parametrize(
    ("content", "fault"),
    [([float("nan")], ValueError), ({"a": float("-inf")}, ValueError), ({1: 2}, TypeError), ([{1, 2}], TypeError)],
)
def test_what_json_has_no_form_for_is_an_error(content: Any, fault: type[Exception]) -> None:
    with pytest.raises(fault, match="JSON"):
        indented_json(content)
