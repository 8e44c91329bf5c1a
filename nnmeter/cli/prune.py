"""`nnmeter prune`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nnmeter.cli import options
from nnmeter.cli.limited import timeout
from nnmeter.cli.output import check_directory, choose_pack, layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.errors import brief
from nnmeter.report.registry import CORE

if TYPE_CHECKING:
    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.pruning.pruned import Pruned

_BUDGET = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*(ms|s|us|%)?")
_MS = {"ms": 1.0, "": 1.0, "s": 1000.0, "us": 0.001}


def _budget(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[float, bool] | None:
    """A time in milliseconds, or a share of the time that the model takes (True)."""
    if text is None:
        return None
    found = _BUDGET.fullmatch(text.strip())
    if found is None or float(found[1]) <= 0:
        raise click.BadParameter(f"{brief(repr(text), 80)} is no time; give 10ms, 1.5s or 60%", context, parameter)
    if found[2] == "%":
        return float(found[1]) / 100, True
    return float(found[1]) * _MS[found[2] or ""], False


def _shares(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for value in values:
        name, sign, text = value.rpartition("=")
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if not (name and sign and 0 <= share < 1):
            raise click.BadParameter(
                f"{brief(repr(value), 80)} is not LAYER=SHARE with a share from 0 on and below 1", context, parameter
            )
        shares[name] = share
    return shares


@click.command("prune")
@click.argument("model")
@options.device
@click.option("--budget", callback=_budget, metavar="TIME",
              help="Find the channels that should go so that MODEL takes at most TIME: 10ms, 1.5s, or 60% of now."
              )  # fmt: skip
@click.option("--probability", type=options.FiniteRange(0, 1, min_open=True, max_open=True), metavar="P",
              help="With --budget: the probability that the measured time keeps it, for instance 0.9.")  # fmt: skip
@click.option("--sensitivity", type=click.Path(path_type=Path), metavar="FILE",
              help="With --budget: what layers lose where channels go, as JSON, or NNI's table as CSV. Only layers in "
              "it are pruned. Default: every layer counts the same.")  # fmt: skip
@click.option("--keep", multiple=True, metavar="LAYER",
              help="With --budget: a layer that keeps its channels. Repeatable.")  # fmt: skip
@click.option("--narrowest", type=options.FiniteRange(0, 1, min_open=True), default=0.25, show_default=True,
              metavar="SHARE", help="With --budget: share of each layer's channels that stays at least.")  # fmt: skip
@click.option("--multiple", type=click.IntRange(1, 4096), default=8, show_default=True, metavar="N",
              help="With --budget: widths are multiples of N, where blocks allow.")  # fmt: skip
@click.option("--ratio", "shares", multiple=True, metavar="LAYER=SHARE", callback=_shares,
              help="Share of a layer's channels that goes, in place of a search. Repeatable.")  # fmt: skip
@click.option("--masks", type=click.Path(path_type=Path), metavar="FILE",
              help="Masks of layers, 0 where a channel goes, as .npz of arrays `layer.weight`; in place of a search."
              )  # fmt: skip
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write the pruned model as ONNX, without weights.")  # fmt: skip
@options.input_sizes()
@options.output_format(*CORE.formats("pruning"))
@options.output_file
@timeout
def command(
    model: str,
    device: str | None,
    budget: tuple[float, bool] | None,
    probability: float | None,
    sensitivity: Path | None,
    keep: tuple[str, ...],
    narrowest: float,
    multiple: int,
    shares: dict[str, float],
    masks: Path | None,
    save: Path | None,
    sizes: InputSizes,
    report_format: str,
    output: Path | None,
) -> None:
    """Say what removing channels of MODEL gains on a device, or which should go to keep a budget.

    Removals gain what the whole model gains; those that gain nothing are named. Weights are not read.
    """
    from nnmeter.prediction.predict import LatencyPredictor

    given = [name for name, value in (("--budget", budget), ("--ratio", shares), ("--masks", masks)) if value]
    if len(given) != 1:
        raise click.UsageError(
            "give one of --budget, --ratio and --masks" + (f", not {' and '.join(given)}" if given else "")
        )
    if budget is None and (probability is not None or sensitivity is not None or keep):
        raise click.UsageError("--probability, --sensitivity and --keep are of --budget; give that")
    if save is not None:
        check_directory(save, "--save")
    chosen = choose_pack(device)
    predictor = LatencyPredictor(chosen.pack, chosen.machine)
    with StatusLine() as status:

        def progress(tried: int) -> None:
            status.show(f"trying widths: {tried} models predicted")

        if budget is None:
            found = _given(model, predictor, shares, masks, sizes, progress)
        else:
            found = _searched(model, predictor, budget, sensitivity, sizes, probability=probability, keep=keep,
                              narrowest=narrowest, multiple=multiple, progress=progress)  # fmt: skip
    if save is not None:
        _save(found, save)
    write_report(CORE.render("pruning", found, report_format, layout_for(output)), output, chosen.notice)


def _searched(
    model: str,
    predictor: LatencyPredictor,
    budget: tuple[float, bool],
    sensitivity: Path | None,
    sizes: InputSizes,
    **more: Any,
) -> Pruned:
    from nnmeter.advice.what_if import single_sizes
    from nnmeter.prediction.sweep import one_each
    from nnmeter.pruning import prune_to_budget, read_sensitivity

    entries = None if sensitivity is None else read_sensitivity(sensitivity)
    amount, relative = budget
    if relative:
        single = single_sizes(sizes)
        amount *= predictor.predict(model, sizes=single.updated(dims=one_each(single.dims))).latency_ms
    return prune_to_budget(model, predictor, amount, entries, sizes, **more)


def _given(
    model: str,
    predictor: LatencyPredictor,
    shares: dict[str, float],
    masks: Path | None,
    sizes: InputSizes,
    progress: Any,
) -> Pruned:
    from nnmeter.pruning import remove_channels
    from nnmeter.pruning.removals import read_masks

    if masks is not None:
        return remove_channels(model, predictor, masks=read_masks(masks), sizes=sizes, progress=progress)
    return remove_channels(model, predictor, shares=shares, sizes=sizes, progress=progress)


def _save(found: Pruned, place: Path) -> None:
    from nnmeter.files import write_output
    from nnmeter.formats.onnx_writer import write_onnx

    write_output(place, write_onnx(found.changed).SerializeToString())
