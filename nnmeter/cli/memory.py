"""`nnmeter memory`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.failures import CheckFailed
from nnmeter.cli.limited import timeout
from nnmeter.cli.output import choose_packs, layout_for, write_report
from nnmeter.report.registry import CORE

if TYPE_CHECKING:
    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.memory.memory import MemoryPrediction


@click.command("memory")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.devices
@options.input_sizes(several=True)
@options.top("Show the N largest tensors that are held at the peak.")
@click.option("--max-mib", type=options.FiniteRange(0, min_open=True), metavar="MIB",
              help="Exit with code 1, after the report, if a model takes more.")  # fmt: skip
@options.output_format(*CORE.formats("memory"))
@options.output_file
@timeout
def command(
    models: tuple[str, ...],
    devices: tuple[str, ...],
    sizes: InputSizes,
    top: int | None,
    max_mib: float | None,
    report_format: str,
    output: Path | None,
) -> None:
    """Predict how much memory each MODEL takes while it runs, and what holds it at the peak.

    Of several, a model that cannot be predicted is passed over; the exit code is then 1.
    """
    from nnmeter.errors import ModelError
    from nnmeter.memory.memory import predict_memory_on
    from nnmeter.report.numbers import format_bytes

    paths, several = options.expand_models(models)
    chosen = choose_packs(devices)
    found: list[MemoryPrediction] = []
    faults: list[ModelError] = []
    for path in paths:
        try:
            found += [p for c in chosen for p in predict_memory_on(c.pack, path, sizes)]
        except ModelError as fault:
            faults.append(fault)
    if faults and not found:
        raise faults[0]
    for said in faults:
        click.echo(f"passed over: {said}", err=True)
    layout = layout_for(output, several or len(found) != 1, top=top)
    write_report(CORE.render("memory", found, report_format, layout), output, chosen[0].notice)
    over = [p for p in found if max_mib is not None and p.peak_mib > max_mib]
    if over:
        more = f"; and {len(over) - 1} more" if len(over) > 1 else ""
        raise CheckFailed(f"over --max-mib {max_mib:g}: {over[0].model}: {format_bytes(over[0].peak_bytes)}{more}")
    if faults:
        raise CheckFailed(f"{len(faults)} of {len(paths)} models could not be predicted")
