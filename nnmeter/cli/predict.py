"""`nnmeter predict`."""

from __future__ import annotations

from pathlib import Path

import click

from nnmeter.cli import options
from nnmeter.cli.limited import timeout
from nnmeter.cli.output import choose_pack, layout_for, write_report
from nnmeter.cli.progress import StatusLine


@click.command("predict")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.device
@options.dims_and_shapes
@options.output_format("table", "json", "csv", "md")
@click.option("--strict", is_flag=True, help="Exit with code 1 if a kernel has no trained price.")
@options.kernels_from
@click.option("--here", is_flag=True,
              help="Rescale to the present state of this machine, which must be the pack's own.")  # fmt: skip
@options.output_file
@timeout
def command(
    models: tuple[str, ...],
    device: str | None,
    dims: dict[str, int],
    shapes: dict[str, tuple[int, ...]],
    report_format: str,
    strict: bool,
    kernels_from: str,
    here: bool,
    output: Path | None,
) -> None:
    """Predict how long each MODEL takes on a device; a folder stands for the .onnx files in it."""
    from nnmeter.predictor.latency import LatencyPredictor
    from nnmeter.report import render

    paths, several = options.expand_models(models)
    pack, notice = choose_pack(device)
    state = None
    if here:
        from nnmeter.profiling.here import present_state

        state = present_state(pack)
    predictor = LatencyPredictor(pack)
    predictions = []
    with StatusLine() as status:
        for done, path in enumerate(paths):
            status.show_bar("predicting", done, len(paths))
            detect = None
            if kernels_from == "runtime":
                from nnmeter.runtimes.detection import ask_runtime

                detect = ask_runtime(path, pack.card.runtime, pack.card.threads, dims, shapes)
            prediction = predictor.predict(path, dims=dims, shapes=shapes, strict=strict, detect=detect)
            predictions.append(prediction if state is None else prediction.rescaled(state.factor, state.note))
    write_report(render(predictions, report_format, layout_for(output, several)), output, notice)
