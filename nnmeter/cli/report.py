"""`nnmeter report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.limited import timeout
from nnmeter.cli.output import check_directory, choose_packs
from nnmeter.cli.progress import StatusLine
from nnmeter.files import write_output
from nnmeter.report.registry import CORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnmeter.comparison.comparison import Comparison
    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.prediction.prediction import Prediction

_MOST = 24  # predictions on one page: a browser lays out the tables of all of them


@click.command("report")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.devices
@options.input_sizes(several=True)
@click.option("--baseline", metavar="MODEL_OR_JSON",
              help="What each MODEL is compared with: a model, or a saved prediction in JSON.")  # fmt: skip
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE",
              help="Write the page to FILE: whole, or not at all.")  # fmt: skip
@timeout
def command(
    models: tuple[str, ...],
    devices: tuple[str, ...],
    sizes: InputSizes,
    baseline: str | None,
    html: Path,
) -> None:
    """Write a page about each MODEL: the time, what takes it, what kernels reach, the memory, and a comparison.

    It is one file, which opens in a browser without a network.
    """
    from nnmeter.memory.memory import predict_memory_on
    from nnmeter.prediction.predict import LatencyPredictor, predict_on
    from nnmeter.report.page.content import Page, Subject

    check_directory(html, "--html")
    paths, _ = options.expand_models(models)
    chosen = choose_packs(devices)
    predictors = [LatencyPredictor(c.pack, c.machine) for c in chosen]
    packs = {c.pack.id: c.pack for c in chosen}
    subjects: list[Subject] = []
    with StatusLine() as status:
        for done, path in enumerate(paths):
            status.show_bar("predicting", done, len(paths))
            predictions = list(predict_on(predictors, path, sizes))
            if len(subjects) + len(predictions) > _MOST:
                raise click.UsageError(
                    f"more than {_MOST} predictions; name fewer models, devices or sizes for one page"
                )
            memory = {(m.device, *m.dims.items()): m for c in chosen for m in predict_memory_on(c.pack, path, sizes)}
            for prediction, comparison in zip(
                predictions, _comparisons(baseline, predictors, sizes, predictions), strict=True
            ):
                roofline = packs[prediction.device].predictor.roofline
                found = memory.get((prediction.device, *prediction.dims.items()))
                subjects.append(Subject(prediction, roofline, found, comparison))
    write_output(html, CORE.render("page", Page(subjects), "html").encode("utf-8", "replace"))
    if chosen[0].notice:
        click.echo(f"nnmeter: {chosen[0].notice}", err=True)


def _comparisons(
    baseline: str | None,
    predictors: Sequence[LatencyPredictor],
    sizes: InputSizes,
    predictions: Sequence[Prediction],
) -> Sequence[Comparison | None]:
    """Each prediction compared with the baseline on the same device, at the same sizes where it has them."""
    from nnmeter.comparison.subjects import compare_subjects
    from nnmeter.prediction.predict import predict_on
    from nnmeter.prediction.saved import is_saved_prediction, read_prediction

    if baseline is None:
        return [None] * len(predictions)
    if is_saved_prediction(baseline):
        saved = read_prediction(baseline)
        from nnmeter.comparison.comparison import compare_predictions

        return [compare_predictions(saved, prediction) for prediction in predictions]
    return compare_subjects([list(predict_on(predictors, baseline, sizes)), predictions])
