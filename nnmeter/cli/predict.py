"""`nnmeter predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.limited import timeout
from nnmeter.cli.output import choose_packs, layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.lab_door import from_lab

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnmeter.devices import DevicePack
    from nnmeter.prediction.predict import Detect
    from nnmeter.prediction.prediction import Prediction


@click.command("predict")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.devices
@options.sizes_and_shapes
@options.assume
@options.values_and_trips
@options.output_format("table", "json", "csv", "md")
@click.option("--strict", is_flag=True, help="Exit with code 1 if a kernel is outside of the trained range.")
@click.option("--explain", is_flag=True, help="Say of each kernel outside of the trained range what is missing.")
@options.kernels_from
@click.option("--here", is_flag=True,
              help="Rescale to the present state of this machine, which must be the pack's own.")  # fmt: skip
@options.output_file
@timeout
def command(
    models: tuple[str, ...],
    devices: tuple[str, ...],
    dims: dict[str, tuple[int, ...]],
    shapes: dict[str, tuple[int, ...]],
    assume: dict[str, tuple[int, ...]],
    values: dict[str, list[float] | list[int]],
    trips: dict[str, int],
    report_format: str,
    strict: bool,
    explain: bool,
    kernels_from: str,
    here: bool,
    output: Path | None,
) -> None:
    """Predict how long each MODEL takes on a device; a folder stands for the .onnx files in it.

    Several devices, or several values of a dimension, give a row each.
    """
    from nnmeter.prediction.predict import LatencyPredictor, predict_on
    from nnmeter.report import render

    paths, several = options.expand_models(models)
    chosen = choose_packs(devices)
    packs = [c.pack for c in chosen]
    _check_single(packs, dims, kernels_from, here)
    state = None
    if here:
        state = from_lab("present_state")(packs[0])
    predictors = [LatencyPredictor(c.pack, c.machine) for c in chosen]
    predictions: list[Prediction] = []
    with StatusLine() as status:
        for done, path in enumerate(paths):
            status.show_bar("predicting", done, len(paths))
            detectors = _ask_runtime(path, packs[0], dims, shapes) if kernels_from == "runtime" else None
            found = predict_on(
                predictors, path, dims, shapes, assume, strict, detectors=detectors, values=values, trips=trips
            )
            predictions += [p if state is None else p.rescaled(state.factor, state.note) for p in found]
    several = several or len(predictions) != 1
    layout = layout_for(output, several, explain)
    write_report(render(predictions, report_format, layout), output, chosen[0].notice)


def _check_single(packs: Sequence[DevicePack], dims: dict[str, tuple[int, ...]], kernels_from: str, here: bool) -> None:
    """Refuse what needs this machine with several devices, and its runtime with several sizes."""
    if here and len(packs) > 1:
        raise click.UsageError("--here is of one device, this machine; name one with --device")
    if kernels_from == "runtime" and (len(packs) > 1 or any(len(sizes) > 1 for sizes in dims.values())):
        raise click.UsageError(
            "--kernels-from runtime is of one device and one size of each dimension; name one of each"
        )


def _ask_runtime(
    path: str, pack: DevicePack, dims: dict[str, tuple[int, ...]], shapes: dict[str, tuple[int, ...]]
) -> list[Detect]:
    sizes = {name: size for name, (size,) in dims.items()}
    return [from_lab("ask_runtime")(path, pack.card.runtime, pack.card.threads, sizes, shapes)]
