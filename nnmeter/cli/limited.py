"""`--timeout`: a verb in a process of its own, which is killed when the time is up.

Rules:

1. The child runs the same command line without `--timeout` and `--output`. It alone opens the models: what they do to
   it (endless work, a crash of a library, too much memory) happens to nobody else.
2. The child writes its report to a pipe, never to a file. Only once it has ended well does this process write that to
   stdout or to `--output`: whole, or not at all.
3. Where the child fails, its line and exit code are this process's. Where it is killed, or dies of a signal, that is
   one line and exit code 2.
4. The time counts from the start of the child, whose imports take some tenths of a second of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from nnmeter.cli.output import check_directory, report_width, write_report
from nnmeter.errors import ModelError

F = TypeVar("F", bound=Callable[..., Any])

_LONGEST_S = 1e6
_OWN_OPTIONS = ("--timeout", "--output")


def timeout(function: F) -> F:
    """Add `--timeout` to a verb that has `--output`: with it, the verb runs in a child."""

    @wraps(function)
    def command(*arguments: Any, timeout: float | None, **options: Any) -> Any:
        if timeout is None:
            return function(*arguments, **options)
        return run_limited(click.get_current_context().find_root().obj, timeout, options["output"])

    option = click.option(
        "--timeout",
        type=float,
        callback=_check_seconds,
        metavar="SECONDS",
        help="Read the models in a process of its own, and end it after so long: for files of strangers.",
    )
    return option(command)  # type: ignore[return-value]


def _check_seconds(context: click.Context, parameter: click.Parameter, seconds: float | None) -> float | None:
    if seconds is not None and not 0 < seconds <= _LONGEST_S:  # nor is a NaN
        raise click.BadParameter(f"{seconds:g} is no time above 0 seconds", context, parameter)
    return seconds


def run_limited(arguments: Sequence[str], seconds: float, output: Path | None) -> int:
    """Run a command line in a child (see the module); the exit code.

    Args:
        arguments: the whole command line, the name of the program left out.
        seconds: how long the child may take.
        output: where its report goes; None for stdout.

    Raises:
        ModelError: it took longer, or died.
    """
    if output is not None:
        check_directory(output, "--output")
    command = [sys.executable, "-m", "nnmeter", *without_options(arguments, _OWN_OPTIONS)]
    columns = str((report_width() if output is None else None) or 0)  # 0: as wide as it is
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": columns, "PYTHONIOENCODING": "utf-8:replace"},
        start_new_session=os.name == "posix",
    )
    try:
        report, complaint = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"the models were not read within {seconds:g} seconds (--timeout), and reading was ended; "
            "give more time, or another model"
        ) from None
    finally:
        _end(child)
    code = child.returncode
    if code < 0:
        name = signal.Signals(-code).name if -code in {int(s) for s in signal.Signals} else str(-code)
        raise ModelError(f"the process that read the models died of {name}; the model is damaged, or made to do that")
    if complaint:
        click.echo(complaint.decode("utf-8", "replace").rstrip("\n"), err=True)
    if code == 0:
        write_report(report.decode("utf-8"), output)
    return code


def without_options(arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """A command line without some options and their values."""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            return [*kept, argument, *rest]
        if argument in names:
            next(rest, None)
        elif argument.partition("=")[0] not in names:
            kept.append(argument)
    return kept


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill a child that still runs, and what it started, and wait for its end."""
    if child.poll() is None:
        if os.name == "posix":
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    child.communicate()
