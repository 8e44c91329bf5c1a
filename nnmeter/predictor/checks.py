"""Checks of what a stranger wrote into a predictor's files: types, ranges and lengths, each said by its place.

A value goes through one of these where it is read and is what the code takes it for from there on. So what is raised
behind them is a fault of nnmeter's own, and is not blamed on the pack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from nnmeter.errors import DeviceError

RESTORE = "install the pack again or train it anew"
_MOST_DIGITS = 10**15  # of a whole number: far more than any count, and exact as a float


def damaged(what: str) -> DeviceError:
    """The error that a predictor's files are not what they should be."""
    return DeviceError(f"the predictor is damaged ({what:.200}); {RESTORE}")


def member(data: Mapping[str, Any], name: str) -> Any:
    """The entry `name` of a JSON object."""
    if name not in data:
        raise damaged(f"'{name}' is missing")
    return data[name]


def mapping(value: Any, place: str) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise damaged(f"{place} is no JSON object")
    return value


def sequence(value: Any, place: str, least: int = 0, most: int | None = None) -> Sequence[Any]:
    """A JSON list of `least` to `most` items, just `least` if `most` is None and `least` is not 0."""
    if not isinstance(value, list):
        raise damaged(f"{place} is no list")
    most = least or len(value) if most is None else most
    if not least <= len(value) <= most:
        raise damaged(f"{place} has the wrong length")
    return value


def text(value: Any, place: str) -> str:
    """A JSON text."""
    if not isinstance(value, str):
        raise damaged(f"{place} is no text")
    return value


def number(value: Any, place: str, low: float, high: float) -> float:
    """A finite JSON number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise damaged(f"{place} is no number")
    if isinstance(value, int) and abs(value) > _MOST_DIGITS:
        raise damaged(f"{place} has too many digits")
    if not isfinite(value):
        raise damaged(f"{place} is not finite")
    if not low <= value <= high:
        raise damaged(f"{place} is {value:g}, not from {low:g} to {high:g}")
    return float(value)


def positive(value: Any, place: str, least: float, most: float) -> float:
    """A number above `least` and below `most`, which are absurd themselves."""
    found = number(value, place, float("-inf"), float("inf"))
    if not least < found < most:
        raise damaged(f"{place} is not a positive number, or absurd")
    return found


def count(value: Any, place: str) -> int:
    """A whole number that is not negative."""
    found = number(value, place, 0, _MOST_DIGITS)
    if found != int(found):
        raise damaged(f"{place} is no whole number")
    return int(found)


def numbers(value: Any, place: str, length: int, low: float, high: float) -> tuple[float, ...]:
    """A list of so many numbers."""
    return tuple(number(item, place, low, high) for item in sequence(value, place, length))
