"""`nnmeter import profile`."""

from __future__ import annotations

from pathlib import Path

import click

from nnmeter.cli import options
from nnmeter.cli.output import check_directory, layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.lab.report import LAB


@click.command("profile", short_help="What a runtime's own tool wrote: profiles, reports, traces, a kit's results.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--out", "output", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE",
              help="Measurement file (Parquet) to write.")  # fmt: skip
@click.option("--here", is_flag=True, help="The profiles were made on this machine.")
@click.option("--device", "name", default="", metavar="NAME", help="Id of the device that was profiled.")
@click.option("--hardware", default="", metavar="TEXT", help="Its processor, and what it is in.")
@click.option("--kind", type=click.Choice(["cpu", "gpu", "npu"]), default="cpu", show_default=True,
              help="What executed the models, where the profile does not say.")  # fmt: skip
@click.option(
    "--runtime", default="", metavar="NAME", help="The runtime, where the files do not say: for a plain table."
)
@click.option("--runtime-version", "version", default="", metavar="TEXT", help="Its version.")
@click.option("--threads", type=click.IntRange(1, 4096), default=1, show_default=True, help="Threads of one model.")
@click.option(
    "--precision", default="float32", show_default=True, metavar="TYPE", help="Element type of the computation."
)
@click.option("--rules", metavar="FILE", help="Fusion rules. Default: those of the runtime.")
@click.option("--families", type=click.Path(path_type=Path), metavar="CSV",
              help="CSV file with the columns model and family.")  # fmt: skip
@options.dims_and_shapes
@options.output_format(*LAB.formats("profiles"))
def profile(
    files: tuple[Path, ...],
    output: Path,
    here: bool,
    name: str,
    hardware: str,
    kind: str,
    runtime: str,
    version: str,
    threads: int,
    precision: str,
    rules: str | None,
    families: Path | None,
    dims: dict[str, int],
    shapes: dict[str, tuple[int, ...]],
    report_format: str,
) -> None:
    """Import what a runtime's own tool wrote as measurements: kernels, whole networks, and the graph it executed.

    FILE is a profile, what belongs to it (its model, its whole times), or a folder of these: files of one run are
    named alike. Known are the profiles of ONNX Runtime, OpenVINO, TensorRT, TFLite (LiteRT), ncnn, MNN, ExecuTorch and
    PyTorch, the results of `nnmeter kit`, and a plain CSV table. Every row is imported or refused with a reason; the
    report, which is also written beside the measurements, counts both.
    """
    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.lab.evaluation.evaluate import read_families
    from nnmeter.lab.importing.profiles.run import import_profiles
    from nnmeter.lab.importing.profiles.setting import MeasuredDevice

    check_directory(output, "--out")
    device = MeasuredDevice(name, hardware, runtime, version, threads, precision, kind, here)
    with StatusLine() as status:
        report = import_profiles(
            files,
            output,
            device,
            rules=rules,
            sizes=InputSizes(dims, shapes),
            families=read_families(families) if families is not None else None,
            progress=lambda file, done, total: status.show_bar(file, done, total),
        )
    write_report(LAB.render("profiles", report, report_format, layout_for(None)), None)
