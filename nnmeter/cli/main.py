"""The command `nnmeter`: finds the verb, runs it, and turns every way to fail into one line and an exit code.

Exit codes:

- 0: done.
- 1: a check failed, or `--strict` found a kernel without a trained price.
- 2: bad input or usage; one line on stderr names the thing, the fault and the remedy, and nothing was written.
- 3: a fault of nnmeter itself; the line says how to report it, and NNMETER_TRACEBACK=1 shows where it is.
- 130: interrupted; 143 or 129: asked to end by SIGTERM or SIGHUP, as for any program. What was measured is written.
- 141: the reader of the output went away, as for any program in a pipe.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from nnmeter._version import __version__
from nnmeter.cli.ending import INTERRUPTED, as_interrupts
from nnmeter.cli.examples import epilog_of
from nnmeter.cli.failures import CheckFailed
from nnmeter.errors import CoverageError, NnmeterError, brief, remedy_of
from nnmeter.lab_door import LAB_VERBS
from nnmeter.wording import printable

# verb -> (module that holds the command of that name, what it does). A verb's module is imported when it is used: the
# next line is all that `nnmeter --help` needs of it.
VERBS: dict[str, tuple[str, str]] = {
    "predict": ("nnmeter.cli.predict", "Predict how long models take on a device."),
    "compare": ("nnmeter.cli.compare", "Compare models: which is faster, how sure, and what makes the difference."),
    "check": ("nnmeter.cli.check", "Check models against the budgets of a repository."),
    "what-if": ("nnmeter.cli.what_if", "Predict a model as it would be if it were changed."),
    "sweep": ("nnmeter.cli.sweep", "Predict a model over a range of batches, resolutions, lengths."),
    "advise": ("nnmeter.cli.advise", "Say what would make a model faster on a device, and by how much."),
    "prune": ("nnmeter.cli.prune", "Say what removing channels gains, or which to remove for a budget."),
    "memory": ("nnmeter.cli.memory", "Predict how much memory models take while they run."),
    "sparsity": ("nnmeter.cli.sparsity", "Say what the zeros of weights bring on a device."),
    "report": ("nnmeter.cli.report", "Write a page about models: what takes the time, and where."),
    "kernels": ("nnmeter.cli.kernels", "List the kernels that a device executes for a model."),
    "devices": ("nnmeter.cli.devices", "List device packs, or show one."),
    "setup": (LAB_VERBS["setup"], "Make this machine a device, in a minute."),
    "measure": (LAB_VERBS["measure"], "Time models on this machine."),
    "profile": (LAB_VERBS["profile"], "Measure kernels on this machine, to train a predictor on."),
    "kit": (LAB_VERBS["kit"], "Make a folder that measures on a device without Python."),
    "jobs": (LAB_VERBS["jobs"], "Write the job of a batch system that measures the shards of a campaign."),
    "import": (LAB_VERBS["import"], "Import profiles of other tools, or published latencies, as measurements."),
    "train": (LAB_VERBS["train"], "Make a device pack from measurements."),
    "evaluate": (LAB_VERBS["evaluate"], "Compare a device pack with measurements of whole models."),
    "fusion": (LAB_VERBS["fusion"], "Find out which operators a runtime makes one kernel of."),
    "calibrate": (LAB_VERBS["calibrate"], "Fit a device pack to a near device with few measurements."),
}


# Package that a verb needs and `pip install nnmeter` does not bring -> the extra that does. Those of runtimes are known
# by their rule sets.
EXTRAS: dict[str, str] = {
    "lightgbm": "lab",
    "matplotlib": "plot",
    "pandas": "lab",
    "pyarrow": "lab",
    "scipy": "lab",
    "sklearn": "lab",
}


class ReaderGoneError(Exception):
    """Who read our output went away."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order of use."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, imported now."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(VERBS[cmd_name][0])
        command: click.Command = module.command
        command.epilog = epilog_of(cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; click would turn a broken pipe into exit code 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as fault:
            raise ReaderGoneError from fault

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing their modules."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, summary) for verb, (_, summary) in VERBS.items()])


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="nnmeter %(version)s")
@click.pass_context
def nnmeter(context: click.Context) -> None:
    """Predict how long a neural network takes on a device, and why."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    # Most of a cold prediction is imports, whose objects all stay: a quarter of it was the collector looking at them.
    gc.set_threshold(50_000)
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code (see the module)."""
    _open_closed_streams()
    with as_interrupts() as ending, _whole_output():
        code = _run(arguments)
    return ending.code(code)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        code = nnmeter.main(args=given, prog_name="nnmeter", standalone_mode=False, obj=tuple(given))
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except CheckFailed as error:
        return _fail(error.format_message(), 1)
    except CoverageError as error:
        return _fail(str(error), 1)
    except (NnmeterError, click.ClickException) as error:
        return _fail(_text_of(error), 2)
    except (BrokenPipeError, ReaderGoneError):
        # The interpreter flushes stdout once more at exit; without a reader that would print a second complaint.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        name = "stdout: " if _gives_up_stdout() else f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}; {remedy_of(error)}", 2)
    except MemoryError:
        return _fail("there is not enough memory for that (--memory gives a model more); give a smaller one", 2)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("NNMETER_TRACEBACK"):
            raise
        missing = error.name if isinstance(error, ModuleNotFoundError) and error.name else ""
        package = missing.partition(".")[0]
        if extra := _extra_of(package):
            return _fail(f"this needs {missing}, which is not installed; pip install 'nnmeter[{extra}]'", 2)
        return _fail(_report_of(error), 3)


def _gives_up_stdout() -> bool:
    """Whether standard output takes nothing more, as on a full disk; then nothing more is written to it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes it once more
        return True
    return False


def _report_of(error: Exception) -> str:
    """What to do about a fault of nnmeter itself."""
    return (
        f"internal error: {type(error).__name__}: {brief(error)}; this is a fault of nnmeter, not of what you gave: "
        "please open an issue of nnmeter with the command, the file if you may share it, and what the command prints "
        "with NNMETER_TRACEBACK=1"
    )


class _ClosedStream(io.TextIOBase):
    """Stands for a standard output that was closed before we began: nothing can be written to it."""

    encoding = "utf-8"

    def fileno(self) -> int:
        return 1

    def write(self, text: str) -> int:
        if text:
            raise OSError(None, "is closed", "stdout")
        return 0


def _open_closed_streams() -> None:
    """Keep the places of closed standard streams, which the next file would take and be written to by libraries."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = _ClosedStream()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - stays open as long as we run


@contextlib.contextmanager
def _whole_output() -> Iterator[None]:
    """Write whole texts: without a buffer (PYTHONUNBUFFERED), Python drops in silence what a pipe does not take."""
    plain, raw = sys.stdout, getattr(sys.stdout, "buffer", None)
    if not isinstance(raw, io.RawIOBase):
        yield
        return
    buffer = io.BufferedWriter(raw)
    text = io.TextIOWrapper(buffer, plain.encoding, plain.errors, line_buffering=True)
    sys.stdout = text
    try:
        yield
    finally:
        if sys.stdout is text:
            sys.stdout = plain
        try:
            text.detach()
            buffer.detach()  # its end would close what it writes to
        except OSError:  # of a last line that was not flushed; the exit code has been told
            os.dup2(os.open(os.devnull, os.O_WRONLY), plain.fileno())


def _extra_of(package: str) -> str:
    from nnmeter.fusion import ruleset_index

    return EXTRAS.get(package) or ruleset_index.extra_of(package)


def _text_of(error: NnmeterError | click.ClickException) -> str:
    if not isinstance(error, click.ClickException):
        return str(error)
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "nnmeter"
    return f"{error.format_message().rstrip('.')} (see `{command} --help`)"


def _fail(message: str, code: int) -> int:
    click.echo(f"nnmeter: {printable(' '.join(message.split()))}", err=True)
    return code
