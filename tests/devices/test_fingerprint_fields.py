"""What a fingerprint may say, in cards and measurements alike."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nnmeter.devices.fingerprint_fields import faults_of_fingerprint

SOUND: dict[str, Any] = {
    "cpu": "AMD EPYC",
    "cpu_family": "25",
    "cores": 2,
    "hypervisor": True,
    "caches": {"L1d": "32K"},
    "settings": {"spinning": "default", "deep": [{"a": [1.5, None]}]},
    "runtime": "onnxruntime",
    "threads": 1,
    "reference_ms": 1.25,
    "max_mhz": None,
    "isa": None,
    "profiles": {"tools": ["tflite"]},
}


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_a_sound_one_has_no_fault() -> None:
    assert list(faults_of_fingerprint(SOUND)) == []
    assert list(faults_of_fingerprint({})) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"cores": "many"}, "says 'many' of 'cores'"),
        ({"cores": True}, "says True of 'cores'"),
        ({"cpu_family": ["25"]}, "of 'cpu_family'"),
        ({"threads": 0}, "says 0 of 'threads'"),
        ({"threads": 2**40}, "of 'threads'"),
        ({"reference_ms": math.inf}, "of 'reference_ms'"),
        ({"runtime": "../../rules"}, "which is no name of one"),
        ({"sittings": {"monday": 1}}, "sittings that are no objects"),
        ({"profiles": {"tools": 5}}, "of 'profiles'"),
        ({"published": [1]}, "of 'published'"),
        ({"flags": 5}, "of 'flags'"),
        ({"fusion_rules": ["a"]}, "of 'fusion_rules'"),
        ({"note": "\x1b[31m"}, "control characters in 'note'"),
        ({"settings": {"a\x1bb": 1}}, "control characters in 'settings'"),
        ({"a\x1bb": 1}, "control characters in its names in 'ab'"),
        ({"mhz_now": math.nan}, "a number that is none in 'mhz_now'"),
        ({"settings": {"a": [math.inf]}}, "a number that is none in 'settings'"),
        ({"note": _nested(900)}, "too many objects in objects in 'note'"),
    ],
)
def test_what_no_writer_writes_is_named(changes: dict[str, Any], fault: str) -> None:
    found = list(faults_of_fingerprint({**SOUND, **changes}))
    assert any(fault in line for line in found), found
    assert all(line.isprintable() for line in found)


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_what_is_no_object_is_named(value: object) -> None:
    assert list(faults_of_fingerprint(value)) == ["its fingerprint is no object"]
