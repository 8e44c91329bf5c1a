"""`nnmeter sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.limited import timeout
from nnmeter.cli.output import choose_packs, layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.report.registry import CORE

if TYPE_CHECKING:
    from nnmeter.graph.input_sizes import InputSizes


def _parse_axes(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    from nnmeter.advice.sweep import parse_sizes

    axes: dict[str, tuple[int, ...]] = {}
    for value in values:
        name, sign, text = value.rpartition("=")
        if not (name and sign):
            raise click.BadParameter(f"{value[:80]!r} is not AXIS=SIZES", context, parameter)
        if name in axes:
            raise click.BadParameter(f"{name[:80]!r} is given twice; give its sizes in one list", context, parameter)
        try:
            axes[name] = parse_sizes(text)
        except ValueError as fault:
            raise click.BadParameter(str(fault), context, parameter) from None
    return axes


@click.command("sweep")
@click.argument("model")
@click.option("--over", "axes", multiple=True, required=True, metavar="AXIS=SIZES", callback=_parse_axes,
              help="What is swept over: batch, resolution, sequence, a free dimension, or one by its number "
                   "(input.2); sizes as 1,2,8, 128:256:32 or 1:32:*2. Repeatable; all combinations.")  # fmt: skip
@options.devices
@options.input_sizes()
@options.output_format(*CORE.formats("sweep"))
@options.output_file
@timeout
def command(
    model: str,
    axes: dict[str, tuple[int, ...]],
    devices: tuple[str, ...],
    sizes: InputSizes,
    report_format: str,
    output: Path | None,
) -> None:
    """Predict MODEL over a range of sizes: latency as a curve, and the throughput beside it.

    The file may fix the batch, the resolution or the length of the sequence; they are changed as by `nnmeter what-if`.
    """
    from nnmeter.advice.sweep import sweep
    from nnmeter.prediction.predict import LatencyPredictor

    chosen = choose_packs(devices)
    predictors = [LatencyPredictor(c.pack, c.machine) for c in chosen]
    with StatusLine() as status:
        found = sweep(
            model, axes, predictors, sizes, progress=lambda done, count: status.show_bar("predicting", done, count)
        )
    for said in found.passed_over:
        click.echo(f"passed over: {said}", err=True)
    write_report(CORE.render("sweep", found, report_format, layout_for(output)), output, chosen[0].notice)
