"""How long, and how good, in words: values of options of several verbs."""

from __future__ import annotations

import re

import click

from nnmeter.errors import brief

_LONGEST_S = 10 * 365 * 86_400.0
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0}


def parse_budget(context: click.Context, parameter: click.Parameter, value: str) -> float:
    """Seconds from `20m`, `1h30m`, `90s`."""
    if not re.fullmatch(r"(\d+(\.\d+)?[hms])+", value):
        raise click.BadParameter(
            f"{brief(repr(value), 80)} is not a time such as 20m, 1h30m or 90s", context, parameter
        )
    seconds = sum(float(number) * _UNITS_S[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)([hms])", value))
    if seconds > _LONGEST_S:
        raise click.BadParameter(f"{brief(value, 40)} is more than ten years", context, parameter)
    return seconds


def parse_error(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A share from `3%`."""
    if value is None:
        return None
    if not re.fullmatch(r"\d+(\.\d+)?%", value) or not 0 < float(value[:-1]) < 100:
        raise click.BadParameter(
            f"{brief(repr(value), 80)} is not an error between 0% and 100%, such as 3%", context, parameter
        )
    return float(value[:-1]) / 100
