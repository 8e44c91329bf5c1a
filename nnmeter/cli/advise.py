"""`nnmeter advise`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.limited import timeout
from nnmeter.cli.output import choose_pack, layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.report.registry import CORE

if TYPE_CHECKING:
    from nnmeter.graph.input_sizes import InputSizes


@click.command("advise")
@click.argument("model")
@options.device
@options.input_sizes()
@options.top("Show the N changes that gain most.")
@options.output_format(*CORE.formats("advice"))
@options.output_file
@timeout
def command(
    model: str,
    device: str | None,
    sizes: InputSizes,
    top: int | None,
    report_format: str,
    output: Path | None,
) -> None:
    """Say what would make MODEL faster on a device, and by how much.

    Precisions, widths of layers, activations and other forms of operators are tried on the whole model; each change can
    be made with `nnmeter what-if`.
    """
    from nnmeter.advice.advice import advise
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.report.advice import AdviceReport

    chosen = choose_pack(device)
    predictor = LatencyPredictor(chosen.pack, chosen.machine)
    with StatusLine() as status:
        found = advise(
            model, predictor, sizes, progress=lambda done, count: status.show_bar("trying changes", done, count)
        )
    text = CORE.render("advice", AdviceReport(found, top), report_format, layout_for(output))
    write_report(text, output, chosen.notice)
