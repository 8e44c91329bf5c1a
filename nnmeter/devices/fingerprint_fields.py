"""What a fingerprint may say, whoever wrote it: in the card of a pack, a measurement file, a campaign, or by wire.

Rules:

1. A field that nnmeter reads has the type that a writer gives it; null is as good as not there.
2. Texts have no control characters, numbers are finite, and nothing lies deeper than `_DEEPEST` objects and lists.
3. The runtime's name is a plain word: rules are looked for under it.
4. There are 1 to 2^31 - 1 threads, and the reference kernel takes a time (`is_time`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nnmeter.files import is_number

SHORTEST_MS, LONGEST_MS = 1e-6, 1e9  # a nanosecond, in which nothing is launched; eleven days
_MOST_COUNT = 2**31 - 1
_DEEPEST = 16  # those that ship have three
_RUNTIME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_Kinds = type | tuple[type, ...]
_FIELDS: dict[str, _Kinds] = {
    **dict.fromkeys(
        (
            "cpu", "vendor", "architecture", "isa", "runtime", "runtime_version", "precision", "date", "kind", "place",
            "hardware", "device", "chip", "quantity", "fusion_rules",
        ),
        str,
    ),
    **dict.fromkeys(("cpu_family", "cpu_model", "stepping"), (str, int)),
    **dict.fromkeys(("threads", "cores"), int),
    "reference_ms": (int, float),
    **dict.fromkeys(
        (
            "settings", "sittings", "published", "profiles", "fusion_parameters", "caches", "cache_sharing", "table",
            "fusion",
        ),
        dict,
    ),
    **dict.fromkeys(("flags", "pitfalls"), (list, tuple)),
}  # fmt: skip


def faults_of_fingerprint(fingerprint: Any) -> Iterator[str]:
    """What is wrong with a fingerprint, a phrase each (rules 1 to 4)."""
    if not isinstance(fingerprint, Mapping):
        yield "its fingerprint is no object"
        return
    for name, kinds in _FIELDS.items():
        value = fingerprint.get(name)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            yield _said(name, value)
    for name, value in fingerprint.items():
        wrong = "control characters in its names" if not str(name).isprintable() else _wrong_value(value, _DEEPEST)
        if wrong:
            yield f"its fingerprint has {wrong} in '{''.join(c for c in str(name) if c.isprintable()):.60}'"
    yield from _faults_of_values(fingerprint)


def _faults_of_values(fingerprint: Mapping[str, Any]) -> Iterator[str]:
    """Rules 3 and 4, and objects in objects."""
    nominal_ms, threads, cores = (fingerprint.get(name) for name in ("reference_ms", "threads", "cores"))
    if isinstance(nominal_ms, int | float) and not is_time(nominal_ms):
        yield _said("reference_ms", nominal_ms)
    if isinstance(threads, int) and not 0 < threads <= _MOST_COUNT:
        yield _said("threads", threads)
    if isinstance(cores, int) and not 0 <= cores <= _MOST_COUNT:
        yield _said("cores", cores)
    runtime = fingerprint.get("runtime")
    if isinstance(runtime, str) and not _RUNTIME.fullmatch(runtime):
        yield f"its fingerprint has the runtime {runtime!r:.60}, which is no name of one"
    sittings = fingerprint.get("sittings")
    if isinstance(sittings, dict) and not all(isinstance(facts, dict) for facts in sittings.values()):
        yield "its fingerprint has sittings that are no objects"
    profiles = fingerprint.get("profiles")
    if isinstance(profiles, dict) and not isinstance(profiles.get("tools", []), list | tuple):
        yield _said("profiles", profiles)


def _said(name: str, value: object) -> str:
    return f"its fingerprint says {value!r:.60} of '{name}'"


def _wrong_value(value: object, depth: int) -> str | None:
    """Rule 2: what a value has that it may not have."""
    if isinstance(value, str):
        return None if value.isprintable() else "control characters"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return None if is_number(value) else "a number that is none"
    if isinstance(value, Mapping):
        inner: Sequence[object] = [*value, *value.values()]
    elif isinstance(value, list | tuple):
        inner = value
    else:
        return None
    if not depth:
        return "too many objects in objects"
    return next((wrong for item in inner if (wrong := _wrong_value(item, depth - 1))), None)


def is_time(value: float) -> bool:
    """Whether a number of milliseconds can have been measured."""
    return SHORTEST_MS <= value < LONGEST_MS
