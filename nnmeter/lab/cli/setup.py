"""`nnmeter setup`."""

from __future__ import annotations

from pathlib import Path

import click

from nnmeter.cli import options
from nnmeter.cli.output import layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.lab.cli import wire
from nnmeter.lab.cli.times import parse_budget
from nnmeter.lab.report import LAB


@click.command("setup")
@options.runtime
@wire.on
@click.option("--budget", "budget_s", default="60s", show_default=True, callback=parse_budget, metavar="TIME",
              help="How long it may take in all: 60s, 5m. A later call goes on with what was measured.")  # fmt: skip
@click.option("--out", "output", type=click.Path(path_type=Path), metavar="PACK",
              help="Directory of the pack. Default: the user's data folder, where predictions find it.")  # fmt: skip
@click.option("--id", "device_id", metavar="ID", help="Id of the device. Default: from processor, runtime and threads.")
@options.output_format(*LAB.formats("setup"))
def command(
    runtime: str,
    threads: int,
    on: str | None,
    budget_s: float,
    output: Path | None,
    device_id: str | None,
    report_format: str,
) -> None:
    """Make this machine, or one that is reached by wire, a device, in a minute.

    Measures a short campaign of random networks, starts from the pack that comes nearest to them, corrects it, and
    keeps the pack where `nnmeter predict` finds it. Let nothing else run meanwhile.
    """
    from nnmeter.lab.measuring.library_threads import fix_library_threads

    fix_library_threads()  # before anything imports NumPy; the worker inherits it
    from nnmeter.lab.transfer.setup import setup_device

    with StatusLine() as status:
        report = setup_device(
            budget_s,
            runtime,
            threads,
            output,
            device_id,
            lambda what, share: status.show_share(what, share),
            None if on is None else wire.chosen_board(on),
        )
    write_report(LAB.render("setup", report, report_format, layout_for(None)), None)
