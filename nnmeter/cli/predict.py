"""`nnmeter predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.failures import CheckFailed
from nnmeter.cli.limited import timeout
from nnmeter.cli.output import check_directory, choose_packs, layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.files import write_output
from nnmeter.lab_door import from_lab
from nnmeter.report.registry import CORE
from nnmeter.report.sorting import ORDERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnmeter.devices import DevicePack
    from nnmeter.errors import ModelError
    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.memory.memory import MemoryPrediction
    from nnmeter.prediction.predict import Detect
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.report.groups import By

_TABLES = ("table", "md")


@click.command("predict")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.devices
@options.input_sizes(several=True)
@options.output_format(*CORE.formats("predictions"))
@click.option(
    "--strict", is_flag=True, help="Exit with code 1, after the report, if a kernel is outside of the trained range."
)
@click.option("--explain", is_flag=True, help="Say of each kernel outside of the trained range what is missing.")
@options.kernels_from
@click.option("--here", is_flag=True,
              help="Rescale to the present state of this machine, which must be the pack's own.")  # fmt: skip
@click.option("--by", type=click.Choice(["type", "operator", "module"]),
              help="Report the time by fused type, by operator, or by module of the exporting framework.")  # fmt: skip
@click.option("--depth", type=click.IntRange(1, 32),
              help="With --by module: how many levels of modules. Default: 2.")  # fmt: skip
@options.sort(ORDERS)
@options.top("Show the first N kernels, with --by N groups, or with several models N rows.")
@click.option("--max-ms", type=options.FiniteRange(0, min_open=True), metavar="MS",
              help="Exit with code 1, after the report, if a model takes longer.")  # fmt: skip
@click.option("--probability", type=options.FiniteRange(0, 1, min_open=True, max_open=True), metavar="P",
              help="With --max-ms: the probability that it does not, as measured; for instance 0.9.")  # fmt: skip
@click.option("--trace", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write a timeline of the kernels to FILE, too, as Perfetto and Chrome read it.")  # fmt: skip
@click.option("--node-data", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write the time of each operator to FILE, too, as Model Explorer colours graphs by it.")  # fmt: skip
@click.option("--with-memory", is_flag=True, help="Predict how much memory each model takes while it runs, too.")
@options.output_file
@timeout
def command(
    models: tuple[str, ...],
    devices: tuple[str, ...],
    sizes: InputSizes,
    report_format: str,
    strict: bool,
    explain: bool,
    kernels_from: str,
    here: bool,
    by: By | None,
    depth: int | None,
    sort: str | None,
    top: int | None,
    max_ms: float | None,
    probability: float | None,
    trace: Path | None,
    node_data: Path | None,
    with_memory: bool,
    output: Path | None,
) -> None:
    """Predict how long each MODEL takes on a device; a folder stands for the .onnx files in it.

    Several devices, or several values of a dimension, give a row each.
    """
    from nnmeter.prediction.predict import LatencyPredictor, predict_on
    from nnmeter.prediction.pricing import outside_error
    from nnmeter.report.groups import GroupReport
    from nnmeter.report.timeline import Timeline

    paths, several = options.expand_models(models)
    chosen = choose_packs(devices)
    packs = [c.pack for c in chosen]
    if depth is not None and by != "module":
        raise click.UsageError("--depth is of --by module; give that too")
    if probability is not None and max_ms is None:
        raise click.UsageError("--probability is of --max-ms; give that too")
    if (sort or top) and report_format not in _TABLES:
        raise click.UsageError(f"--sort and --top are of --format {' and '.join(_TABLES)}")
    document = "predictions" if by is None else "groups"
    if report_format not in CORE.formats(document):
        raise click.UsageError(f"--format {report_format} is not of --by; take {', '.join(CORE.formats(document))}")
    _check_single(packs, sizes, kernels_from, here)
    for name, place in (("--trace", trace), ("--node-data", node_data)):
        if place is not None:
            check_directory(place, name)
    state = None
    if here:
        with StatusLine() as status:
            status.show("measuring the state of this machine")
            state = from_lab("present_state")(packs[0])
    predictors = [LatencyPredictor(c.pack, c.machine) for c in chosen]
    predictions: list[Prediction] = []
    timelines: list[Timeline] = []
    failed: list[ModelError] = []
    with StatusLine() as status:
        for done, path in enumerate(paths):
            status.show_bar("predicting", done, len(paths))
            detectors = _ask_runtime(path, packs[0], sizes) if kernels_from == "runtime" else None
            found = list(predict_on(predictors, path, sizes, detectors=detectors, failed=failed))
            found = [p if state is None else state.rescale(p) for p in found]
            memory = _memory_of(found, packs, path, sizes) if with_memory else [None] * len(found)
            found = [p if m is None else m.beside(p) for p, m in zip(found, memory, strict=True)]
            timelines += map(Timeline, found, memory)
            predictions += found
    for fault in failed:
        click.echo(f"passed over: {fault}", err=True)
    several = several or len(predictions) != 1
    layout = layout_for(output, several, explain, sort or "", top)
    content = predictions if by is None else GroupReport(predictions, by, depth or 2)
    if node_data is not None and len(predictions) != 1:
        raise click.UsageError(
            f"--node-data is of one prediction, not of {len(predictions)}; name one model and device"
        )
    report = CORE.render(document, content, report_format, layout)
    if trace is not None:
        write_output(trace, CORE.render("timeline", timelines, "json").encode("utf-8", "replace"))
    if node_data is not None:
        write_output(node_data, CORE.render("nodedata", predictions[0], "json").encode("utf-8", "replace"))
    write_report(report, output, chosen[0].notice)
    if strict:
        for prediction in predictions:
            if prediction.outside:
                raise outside_error(prediction)
    if max_ms is not None:
        _check_time(predictions, max_ms, probability)


def _memory_of(
    predictions: Sequence[Prediction], packs: Sequence[DevicePack], path: str, sizes: InputSizes
) -> list[MemoryPrediction]:
    """The memory of each prediction of one model: on the same device at the same sizes."""
    from nnmeter.memory.memory import predict_memory_on

    known = {(m.device, *m.dims.items()): m for pack in packs for m in predict_memory_on(pack, path, sizes, failed=[])}
    return [known[(p.device, *p.dims.items())] for p in predictions]


def _check_time(predictions: Sequence[Prediction], max_ms: float, probability: float | None) -> None:
    """Refuse what takes longer than `max_ms`, or may with more than the rest of the probability."""
    from nnmeter.report.columns import label_of
    from nnmeter.wording import format_ms, format_probability

    over = []
    for prediction in predictions:
        within = prediction.probability_within(max_ms)
        if prediction.latency_ms > max_ms if probability is None else within < probability:
            said = f"within {max_ms:g} ms with a probability of {format_probability(within)}"
            over.append(f"{label_of(prediction, predictions)}: {format_ms(prediction.latency_ms)} ms, {said}")
    if over:
        asked = "" if probability is None else f", {100 * probability:g} % are asked for"
        more = f"; and {len(over) - 1} more" if len(over) > 1 else ""
        raise CheckFailed(f"over --max-ms {max_ms:g}: {over[0]}{asked}{more}")


def _check_single(packs: Sequence[DevicePack], sizes: InputSizes, kernels_from: str, here: bool) -> None:
    """Refuse what needs this machine with several devices, and its runtime with several sizes."""
    if here and len(packs) > 1:
        raise click.UsageError("--here is of one device, this machine; name one with --device")
    if kernels_from == "runtime" and (len(packs) > 1 or _is_sweep(sizes)):
        raise click.UsageError(
            "--kernels-from runtime is of one device and one size of each dimension; name one of each"
        )


def _is_sweep(sizes: InputSizes) -> bool:
    return any(not isinstance(given, int) for given in sizes.dims.values())


def _ask_runtime(path: str, pack: DevicePack, sizes: InputSizes) -> list[Detect]:
    from nnmeter.prediction.session import with_session

    kind = with_session(sizes, [pack.card.runtime]).session
    return [from_lab("ask_runtime")(path, pack.card.runtime, pack.card.threads, sizes.dims, sizes.shapes, kind)]
