"""`nnmeter compare`."""

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
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.report.comparison import By


@click.command("compare")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.devices
@options.input_sizes(several=True)
@click.option("--by", type=click.Choice(["type", "operator", "module"]),
              help="Attribute the difference to fused types, operators, or modules, too.")  # fmt: skip
@click.option("--depth", type=click.IntRange(1, 32),
              help="With --by module: how many levels of modules. Default: 2.")  # fmt: skip
@options.top("Show the N changes that make most of the difference.")
@options.output_format(*CORE.formats("comparison"))
@options.output_file
@timeout
def command(
    models: tuple[str, ...],
    devices: tuple[str, ...],
    sizes: InputSizes,
    by: By | None,
    depth: int | None,
    top: int | None,
    report_format: str,
    output: Path | None,
) -> None:
    """Compare MODELs with the first: which is faster, how sure that is, and what makes the difference.

    A MODEL is a model file, or what `nnmeter predict --format json` wrote of one. One MODEL is compared with itself on
    several devices, or at several sizes.
    """
    from nnmeter.advice.sweep import predict_at_sizes
    from nnmeter.comparison.subjects import compare_subjects, device_of_saved, dims_of_saved
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.prediction.saved import is_saved_prediction, read_prediction
    from nnmeter.report.comparison import ComparisonReport

    if depth is not None and by != "module":
        raise click.UsageError("--depth is of --by module; give that too")
    paths, _ = options.expand_models(models)
    saved = {path: read_prediction(path) for path in paths if is_saved_prediction(path)}
    notice = None
    predictors: list[LatencyPredictor] = []
    if len(saved) < len(set(paths)):
        named = device_of_saved(list(saved.values())) if not devices else None
        sizes = sizes if sizes.dims else sizes.updated(dims=dims_of_saved(list(saved.values())))
        chosen = choose_packs(devices or ((named,) if named else ()))
        predictors = [LatencyPredictor(c.pack, c.machine) for c in chosen]
        notice = None if named else chosen[0].notice
    subjects: list[list[Prediction]] = [
        [saved[path]] if path in saved else predict_at_sizes(path, predictors, sizes) for path in paths
    ]
    report = ComparisonReport(compare_subjects(subjects), by, depth or 2, top)
    layout = layout_for(output, len(report.comparisons) > 1)
    write_report(CORE.render("comparison", report, report_format, layout), output, notice)
