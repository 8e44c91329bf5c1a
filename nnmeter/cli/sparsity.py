"""`nnmeter sparsity`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.limited import timeout
from nnmeter.cli.output import choose_packs, layout_for, write_report
from nnmeter.report.registry import CORE

if TYPE_CHECKING:
    from nnmeter.graph.input_sizes import InputSizes


def _parse_zeros(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    parsed = {}
    for value in values:
        layer, equals, asked = value.rpartition("=")
        if not equals or not layer:
            raise click.BadParameter(f"'{value}' is not LAYER=ZEROS, as conv1=0.8")
        parsed[layer] = asked
    return parsed


@click.command("sparsity")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.devices
@options.input_sizes()
@click.option("--read-weights", is_flag=True, help="Read the weights, and count their zeros.")
@click.option("--zeros", multiple=True, callback=_parse_zeros, metavar="LAYER=ZEROS",
              help="Assume zeros of a layer (* for several): 0.8, 2:4, 4x4:0.8, channels:0.5. Repeatable.")  # fmt: skip
@click.option("--sparse-kernels", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Say what a runtime with sparse kernels takes, by a pack of them.")  # fmt: skip
@options.top("Show the N most expensive kernels, and N layers.")
@options.output_format(*CORE.formats("sparsity"))
@options.output_file
@timeout
def command(
    models: tuple[str, ...],
    devices: tuple[str, ...],
    sizes: InputSizes,
    read_weights: bool,
    zeros: dict[str, str],
    sparse_kernels: Path | None,
    top: int | None,
    report_format: str,
    output: Path | None,
) -> None:
    """Predict what the zeros of each MODEL's weights bring on a device: what can be removed, and what is executed."""
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.sparsity.measured import read_sparse_kernels
    from nnmeter.sparsity.sparsity import predict_sparsity_on

    if not read_weights and not zeros:
        raise click.UsageError("nothing says which weights are zero; give --read-weights, or --zeros LAYER=ZEROS")
    paths, several = options.expand_models(models)
    chosen = choose_packs(devices)
    predictors = [LatencyPredictor(c.pack, c.machine) for c in chosen]
    sparse = None if sparse_kernels is None else read_sparse_kernels(sparse_kernels)
    found = [
        p for path in paths for p in predict_sparsity_on(predictors, path, read_weights, zeros, sizes, sparse=sparse)
    ]
    layout = layout_for(output, several or len(found) != 1, top=top)
    write_report(CORE.render("sparsity", found, report_format, layout), output, chosen[0].notice)
