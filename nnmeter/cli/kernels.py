"""`nnmeter kernels`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.limited import timeout
from nnmeter.cli.output import choose_pack, layout_for, write_report
from nnmeter.lab_door import from_lab
from nnmeter.report.registry import CORE

if TYPE_CHECKING:
    from nnmeter.graph.input_sizes import InputSizes


@click.command("kernels")
@click.argument("model")
@options.device
@options.input_sizes()
@options.output_format(*CORE.formats("kernels"))
@options.kernels_from
@options.output_file
@timeout
def command(
    model: str,
    device: str | None,
    sizes: InputSizes,
    report_format: str,
    kernels_from: str,
    output: Path | None,
) -> None:
    """List the kernels that a device executes for MODEL, with the source nodes, shapes and cost of each."""
    from nnmeter.binding.bind import bind_shapes
    from nnmeter.formats import read_model
    from nnmeter.fusion.detect import detect_kernels
    from nnmeter.report.kernels import kernels_to_dict

    chosen = choose_pack(device)
    pack = chosen.pack
    graph = bind_shapes(read_model(model), sizes)
    if kernels_from == "runtime":
        kernels = from_lab("ask_runtime")(model, pack.card.runtime, pack.card.threads, sizes.dims, sizes.shapes)(graph)
    else:
        kernels = detect_kernels(graph, pack.rules)
    document = kernels_to_dict(model, pack.id, kernels, graph.warnings, chosen.machine)
    write_report(CORE.render("kernels", document, report_format, layout_for(output)), output, chosen.notice)
