"""Where reports go: stdout, or a file that is written whole or not at all, or a device or pipe that is written to."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.devices.identity import Verdict
from nnmeter.files import naming, why_unwritable, write_output
from nnmeter.report.registry import Layout
from nnmeter.wording import printable

if TYPE_CHECKING:
    from nnmeter.devices import DevicePack
    from nnmeter.devices.identity import MachineMatch


@dataclass(frozen=True)
class ChosenPack:
    """A device pack, and what it is to this machine."""

    pack: DevicePack
    machine: MachineMatch

    @property
    def notice(self) -> str | None:
        """What stderr says of a pack that nobody named.

        It belongs to a report: on an error, stderr has the error's line alone.
        """
        if self.machine.named:
            return None
        notice = f"no --device given, taking {self.pack.id}: {self.machine.verdict.words}"
        if self.machine.verdict is Verdict.THIS_MACHINE:
            notice += ", in the state that it was measured in (--here: in the present one)"
        return notice


def layout_for(
    output: Path | None, several: bool = False, explain: bool = False, sort: str = "", top: int | None = None
) -> Layout:
    """The layout that suits a file, a terminal or a pipe."""
    if output is not None:
        return Layout(several, explain=explain, sort=sort, top=top)
    width = report_width()
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Layout(several, width, coloured, explain, sort, top)


def report_width() -> int | None:
    """Columns of the terminal that reads stdout, or those that the variable COLUMNS asks for; None elsewhere.

    Where nobody says how wide a line may be, nothing is cut.
    """
    asked = os.environ.get("COLUMNS", "")
    if not sys.stdout.isatty() and not (asked.isdecimal() and int(asked)):
        return None
    return shutil.get_terminal_size().columns


def write_report(text: str, output: Path | None, notice: str | None = None, option: str = "--output") -> None:
    """Write a report to the file of an option, or to stdout if `output` is None; `notice` goes to stderr before it.

    Characters that the terminal's encoding lacks are replaced; a file is always UTF-8.
    """
    if output is not None:
        check_directory(output, option)
        write_output(output, text.encode("utf-8", "replace"))
    if notice:
        tell(notice)
    if output is None:
        encoding = sys.stdout.encoding or "utf-8"
        with naming("stdout"):
            sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
            sys.stdout.flush()  # a reader that is gone is seen here, before an error line


def tell(line: str) -> None:
    """Say something beside a report, on stderr."""
    click.echo(f"nnmeter: {printable(line)}", err=True)


def check_directory(output: Path, option: str) -> None:
    """Refuse an output file that cannot be written where it is, or that the verb reads.

    Verbs that take long ask before they begin.
    """
    if not output.parent.is_dir():
        raise click.UsageError(f"{option} {output}: there is no directory {output.parent}; make it first")
    why = why_unwritable(output)
    if why is not None:
        raise click.UsageError(f"{option} {output}: cannot be written ({why}); give another place")
    if output.is_file() and (read := _given_as_well(output, option)):
        raise click.UsageError(f"{option} {output}: {read}, and would be replaced; give another place")


def _given_as_well(output: Path, option: str) -> str | None:
    """What else of the command line is this file (a model that is read, a second output), in a phrase."""
    context = click.get_current_context(silent=True)
    if context is None:
        return None
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        for given in value if isinstance(value, tuple | list) else (value,):
            if option in parameter.opts or not isinstance(given, str | Path) or not os.path.isfile(given):
                continue
            if os.path.samefile(given, output):
                return "is read" if isinstance(parameter, click.Argument) else f"is the file of {parameter.opts[0]}"
    return None


def choose_packs(devices: Sequence[str]) -> list[ChosenPack]:
    """The device packs that ids, patterns and paths stand for; without any as `choose_pack`."""
    from nnmeter.devices import find_devices, load_pack

    if not devices:
        return [choose_pack(None)]
    return [_named(load_pack(device.path)) for device in find_devices(devices)]


def choose_pack(device: str | None) -> ChosenPack:
    """The device pack with this id or path; without one the nearest to this machine."""
    from nnmeter.devices import load_pack, nearest_device

    if device is not None:
        return _named(load_pack(device))
    nearest, match = nearest_device()
    return ChosenPack(load_pack(nearest.path), match)


def _named(pack: DevicePack) -> ChosenPack:
    from nnmeter.devices.identity import match_this_machine

    return ChosenPack(pack, match_this_machine(pack.card, named=True))
