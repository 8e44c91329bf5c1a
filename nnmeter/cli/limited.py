"""`--timeout` and `--memory`: a verb in a process of its own, which ends when the time or the memory is used up.

Rules:

1. The child runs the same command line without `--timeout`, `--memory` and `--output`. It alone opens the models: what
   they do to it (endless work, a crash of a library, too much memory) happens to nobody else.
2. The child writes its report to a pipe, never to a file. Only once it has ended well does this process write that to
   stdout or to `--output`: whole, or not at all. A report that `--strict` finds wanting (exit code 1) is written too.
3. Where the child fails, its line and exit code are this process's. Where it is killed, or dies of a signal, that is
   one line and exit code 2.
4. The time counts from the start of the child, whose imports take some tenths of a second of it.
5. The memory is that of the child's own data (RLIMIT_DATA, on Linux): a model is mapped, and its weights do not count.
   Libraries get one thread each, since every thread of theirs reserves memory that it may never use.
6. Where this process is interrupted or asked to end (`nnmeter.cli.ending`), the child is killed at once; if this
   process is killed, the child sees its standard input end. The child imports nothing from the working directory
   (`nnmeter.children`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from nnmeter.children import child_environment, python_command
from nnmeter.cli.output import check_directory, report_width, write_report
from nnmeter.errors import ModelError

F = TypeVar("F", bound=Callable[..., Any])

MEMORY_MIB = 4096  # unless `--memory` says otherwise: nine times what the largest graph that is read takes
_LONGEST_S = 1e6
_LEAST_MIB, _MOST_MIB = 128, 1 << 24  # what the imports take; 16 TiB
_OWN_OPTIONS = ("--timeout", "--memory", "--output")
_SCRIPT = "from nnmeter.cli.limited import run_child; run_child()"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def timeout(function: F) -> F:
    """Add `--timeout` and `--memory` to a verb: with one of them, the verb runs in a child."""

    @wraps(function)
    def command(*arguments: Any, timeout: float | None, memory: int | None, **options: Any) -> Any:
        if timeout is None and memory is None:
            return function(*arguments, **options)
        given = click.get_current_context().find_root().obj
        return run_limited(given, timeout, options.get("output"), memory)

    seconds = click.option(
        "--timeout",
        type=float,
        callback=_check_seconds,
        metavar="SECONDS",
        help="Read the models in a separate process, and stop it after this time: for untrusted files.",
    )
    mebibytes = click.option(
        "--memory",
        type=click.IntRange(_LEAST_MIB, _MOST_MIB),
        callback=_check_memory,
        metavar="MIB",
        help=f"Read the models in a separate process with at most this much memory. With --timeout: {MEMORY_MIB}.",
    )
    return mebibytes(seconds(command))  # type: ignore[return-value]


def _check_memory(context: click.Context, parameter: click.Parameter, mebibytes: int | None) -> int | None:
    if mebibytes is not None and not _can_limit_memory():
        raise click.BadParameter("memory can be limited on Linux only; leave it out", context, parameter)
    return mebibytes


def _can_limit_memory() -> bool:
    return sys.platform == "linux"


def _check_seconds(context: click.Context, parameter: click.Parameter, seconds: float | None) -> float | None:
    if seconds is not None and not 0 < seconds <= _LONGEST_S:  # nor is a NaN
        raise click.BadParameter(f"{seconds:g} is no time above 0 seconds", context, parameter)
    return seconds


def run_limited(
    arguments: Sequence[str], seconds: float | None, output: Path | None, memory_mib: int | None = None
) -> int:
    """Run a command line in a child (see the module); the exit code.

    Args:
        arguments: the whole command line, the name of the program left out.
        seconds: how long the child may take; None for as long as it takes.
        output: where its report goes; None for stdout.
        memory_mib: how much memory it may take; None for `MEMORY_MIB`.

    Raises:
        ModelError: it took longer, or died.
    """
    if output is not None:
        check_directory(output, "--output")
    limit = (memory_mib or MEMORY_MIB) if _can_limit_memory() else 0
    command = python_command(_SCRIPT, str(limit), *without_options(arguments, _OWN_OPTIONS))
    columns = str((report_width() if output is None else None) or 0)  # 0: as wide as it is
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(COLUMNS=columns, **_ONE_THREAD),
        start_new_session=os.name == "posix",
    )
    try:
        report, complaint = _listen(child, seconds)
    finally:
        _end(child)
    code = child.returncode
    if code < 0:
        name = signal.Signals(-code).name if -code in {int(s) for s in signal.Signals} else str(-code)
        raise ModelError(f"the process that read the models was ended by {name}; the model is damaged or malicious")
    lines = complaint.decode("utf-8", "replace").rstrip("\n")
    if lines and code == 0:
        click.echo(lines, err=True)
    if code == 0 or (code == 1 and report):
        write_report(report.decode("utf-8"), output)
    if lines and code:
        click.echo(lines, err=True)
    return code


def _listen(child: subprocess.Popen[bytes], seconds: float | None) -> tuple[bytes, bytes]:
    """What a child writes to stdout and stderr; its standard input stays open (rule 6)."""
    stdin, child.stdin = child.stdin, None  # `communicate` would close it
    try:
        return child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"the models were not read within {seconds:g} seconds (--timeout), and reading was ended; "
            "give more time, or another model"
        ) from None
    finally:
        _kill(child)
        if stdin is not None:
            stdin.close()


def run_child() -> None:
    """What the child does: the limit of memory is its first argument, the command line the others."""
    from nnmeter.cli.main import main

    limit, *arguments = sys.argv[1:]
    if int(limit):
        import resource

        most = int(limit) << 20
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard),) * 2)
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    watch_parent()
    main(arguments)


def watch_parent() -> None:
    """End this process, with exit code 2, once its standard input ends (rule 6)."""

    def leave_when_alone() -> None:
        while os.read(0, 1):
            pass
        os._exit(2)

    threading.Thread(target=leave_when_alone, daemon=True).start()


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
    _kill(child)
    child.communicate()


def _kill(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
