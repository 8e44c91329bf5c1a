"""`nnmeter evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from nnmeter.cli import options
from nnmeter.cli.output import check_directory, layout_for, tell, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.report.registry import CORE


@click.command("evaluate")
@click.argument("device", metavar="PACK")
@click.option("--measurements", type=click.Path(path_type=Path), required=True, multiple=True, metavar="FILE",
              help="What `nnmeter measure` wrote. Repeatable.")  # fmt: skip
@click.option("--models", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Folder of the models: predict from the files, as `nnmeter predict` does. "
              "Default: price the kernels that the runtime executed.")  # fmt: skip
@options.dims_and_shapes
@click.option("--training", type=click.Path(path_type=Path), multiple=True, metavar="DIR_OR_FILE",
              help="What the pack was trained on: adds the baseline that takes the time of the nearest profiled "
              "kernel, and leaves out models that were trained on. Repeatable.")  # fmt: skip
@click.option(
    "--families", type=click.Path(path_type=Path), metavar="CSV", help="CSV file with the columns model and family."
)
@click.option("--split", metavar="TEXT", help="How the models were kept apart from training, for the scorecard.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png|FILE.svg",
              help="Draw predicted against measured, errors by family, and their distribution.")  # fmt: skip
@click.option("--save", is_flag=True, help="Store the scorecard in the pack.")
@click.option("--at-least", type=options.FiniteRange(0, 100), metavar="PERCENT",
              help="Exit with code 1 if fewer models than this lie within ±10 %.")  # fmt: skip
@options.output_format(*CORE.formats("scorecard"))
@options.output_file
def command(
    device: str,
    measurements: tuple[Path, ...],
    models: Path | None,
    dims: dict[str, int],
    shapes: dict[str, tuple[int, ...]],
    training: tuple[Path, ...],
    families: Path | None,
    split: str | None,
    plot: Path | None,
    save: bool,
    at_least: float | None,
    report_format: str,
    output: Path | None,
) -> None:
    """Compare the predictions of a device pack with measurements of whole models."""
    from nnmeter.cli.failures import CheckFailed
    from nnmeter.devices import load_pack, save_scorecard
    from nnmeter.lab.evaluation.evaluate import SPLIT, evaluate_pack, read_families
    from nnmeter.lab.training.build import read_all

    if plot is not None:
        from nnmeter.lab.report.plot import check_plot_file

        check_plot_file(plot)
        check_directory(plot, "--plot")
    pack = load_pack(device)
    rows, fingerprint = read_all(measurements, tell)
    trained_on = read_all(training, tell)[0] if training else None
    of_model = read_families(families) if families is not None else None
    with StatusLine() as status:
        card = evaluate_pack(
            pack,
            rows,
            of_model,
            models,
            split=split or SPLIT,
            progress=status.show,
            training=trained_on,
            fingerprint=fingerprint,
            dims=dims,
            shapes=shapes,
        )
    document = card.to_dict()
    if save:
        save_scorecard(pack, document)
    if plot is not None:
        from nnmeter.lab.report.plot import plot_scorecard

        plot_scorecard(document, plot)
    write_report(CORE.render("scorecard", document, report_format, layout_for(output)), output)
    if at_least is not None and card.overall.within_10 < at_least:
        raise CheckFailed(f"{card.overall.within_10:.1f} % of the models lie within ±10 %, wanted were {at_least:g} %")
