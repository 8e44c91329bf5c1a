"""JSON with a line for each value, as `json.dumps(content, indent=2)` writes it, in a third of the time.

The standard library's encoder in C writes all on one line; with an indent it is Python, a generator for each level, and
takes most of the time of a report of ten thousand kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring  # in C, which an encoder reaches through several calls
from math import isfinite
from typing import Any


def indented_json(content: Any) -> str:
    """Objects, lists, texts, numbers, booleans and None as JSON; text is not escaped beyond what JSON asks for.

    Args:
        content: objects are dicts with texts as keys; lists may be tuples.

    Raises:
        ValueError: a number is not finite.
        TypeError: something else is in it.
    """
    parts: list[str] = []
    _write(content, "\n", {}, parts.append)
    return "".join(parts)


def _write(value: Any, newline: str, known: dict[tuple[str, ...], list[str]], add: Callable[[str], object]) -> None:
    """Write a value that begins behind `newline`, the line break with the indent of its parent.

    Args:
        value: what is written.
        newline: see above.
        known: what stands before the members of an object, by their indent and keys: objects of one kind have the same.
        add: takes the parts of the text.
    """
    if isinstance(value, dict):
        if not value:
            add("{}")
            return
        inner = f"{newline}  "
        kind = (newline, *value)
        before_each = known.get(kind)
        if before_each is None:
            before_each = known[kind] = [f"{',' if i else '{'}{inner}{_key(key)}: " for i, key in enumerate(value)]
        for before, item in zip(before_each, value.values(), strict=True):
            scalar = _SCALARS.get(type(item))
            if scalar is not None:
                add(before)
                add(scalar(item))
            else:
                add(before)
                _write(item, inner, known, add)
        add(f"{newline}}}")
    elif isinstance(value, list | tuple):
        if not value:
            add("[]")
            return
        inner = f"{newline}  "
        before = f"[{inner}"
        for item in value:
            scalar = _SCALARS.get(type(item))
            if scalar is not None:
                add(f"{before}{scalar(item)}")
            else:
                add(before)
                _write(item, inner, known, add)
            before = f",{inner}"
        add(f"{newline}]")
    else:
        scalar = next((form for kind, form in _SCALARS.items() if isinstance(value, kind)), None)
        if scalar is None:
            raise TypeError(f"JSON has no form for {type(value).__name__}")
        add(scalar(value))


def _finite(value: float) -> str:
    if not isfinite(value):
        raise ValueError(f"JSON has no number for {value!r}")
    return float.__repr__(value)


# Forms of the types that contain nothing; of bool before int, which it is one of.
_SCALARS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring,
    float: _finite,
    bool: lambda value: "true" if value else "false",
    int: int.__repr__,
    type(None): lambda value: "null",
}


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key of a JSON object is a text, not {type(key).__name__}")
    return encode_basestring(key)
