"""Ways to end that are no fault of the input."""

from __future__ import annotations

import click


class CheckFailed(click.ClickException):
    """A check that the user asked for did not hold: exit code 1."""
