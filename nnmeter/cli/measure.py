"""`nnmeter measure`."""

from __future__ import annotations

from pathlib import Path

import click

from nnmeter.cli import options
from nnmeter.cli.output import check_directory
from nnmeter.cli.progress import StatusLine


@click.command("measure")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.runtime
@options.dims_and_shapes
@click.option("--out", "output", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE",
              help="Parquet file to write.")  # fmt: skip
@click.option("--families", type=click.Path(path_type=Path), metavar="CSV", help="Columns model,family.")
@click.option("--passes", type=click.IntRange(1), default=6, show_default=True, help="Passes over all models.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=0.4, show_default=True,
              help="Time for one model in one pass.")  # fmt: skip
def command(
    models: tuple[str, ...],
    runtime: str,
    threads: int,
    dims: dict[str, int],
    shapes: dict[str, tuple[int, ...]],
    output: Path,
    families: Path | None,
    passes: int,
    seconds: float,
) -> None:
    """Time each MODEL on this machine, whole and kernel by kernel; a folder stands for the .onnx files in it."""
    from nnmeter.api import load_model
    from nnmeter.profiling.fingerprint import take_fingerprint
    from nnmeter.profiling.protocol import measure_models
    from nnmeter.profiling.store import write_measurements
    from nnmeter.report.numbers import format_ms
    from nnmeter.runtimes import load_runtime

    check_directory(output, "--out")
    paths, _ = options.expand_models(models)
    for path in paths:
        load_model(path, dims, shapes)  # a bad model is known before an hour has gone into the good ones
    adapter = load_runtime(runtime)
    of_model = {}
    if families is not None:
        from nnmeter.evaluation.evaluate import read_families

        of_model = read_families(families)
    with StatusLine() as status:
        measurements = measure_models(
            paths,
            adapter,
            threads,
            passes,
            seconds,
            families=of_model,
            dims=dims,
            shapes=shapes,
            progress=lambda text, done, total: status.show(f"[{done}/{total}] {text}"),
        )
    fingerprint = take_fingerprint(adapter.name, adapter.version(), threads, adapter.device_settings(threads))
    fingerprint["reference_ms"] = measurements[0].reference_ms
    write_measurements(output, measurements, fingerprint)
    for measurement in measurements:
        click.echo(f"{format_ms(measurement.latency_ms):>8} ms  {measurement.network}")
