"""The option `--on` of verbs that measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from nnmeter.lab.wire.board import Board

F = TypeVar("F", bound=Callable[..., Any])


def on(function: F) -> F:
    """Add `--on`."""
    return click.option(
        "--on",
        metavar="DEVICE",
        help="Measure on this device instead: ssh://USER@BOARD[:PORT], adb://SERIAL, or its name in devices.toml.",
    )(function)


def chosen_board(name: str) -> Board:
    """The device of `--on`; what the user gave of `--runtime` and `--threads` counts more than `devices.toml`.

    Raises:
        MeasurementError: there is no such device.
    """
    from nnmeter.lab.wire.board import find_board

    context = click.get_current_context()
    given = {
        option: context.params[option]
        for option in ("runtime", "threads")
        if context.get_parameter_source(option) is not click.core.ParameterSource.DEFAULT
    }
    return find_board(name, **given)
