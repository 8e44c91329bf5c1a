"""`nnmeter calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from nnmeter.cli import options
from nnmeter.cli.output import check_directory, layout_for, tell, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.lab.report import LAB


@click.command("calibrate")
@click.argument("device", metavar="PACK")
@click.option("--measurements", type=click.Path(path_type=Path), required=True, multiple=True, metavar="FILE",
              help="What `nnmeter measure` wrote on the near device. Repeatable.")  # fmt: skip
@click.option("--out", "directory", type=click.Path(path_type=Path), required=True, metavar="PACK2",
              help="Directory of the new pack.")  # fmt: skip
@click.option("--mix", multiple=True, metavar="ID_OR_PATH",
              help="Pack of a third machine: the mean of its prices and PACK's is corrected. Repeatable.")  # fmt: skip
@click.option("--only", multiple=True, metavar="NAME", help="Calibrate on this measured model. Repeatable.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Calibrate on the first N measurements only.")
@click.option("--candidates", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER",
              help="Models that could be measured next. Default: measurements that are not used, or kernel types of "
              "PACK.")  # fmt: skip
@options.dims_and_shapes
@click.option(
    "--rules",
    metavar="FILE",
    help="Fusion rules: a file or a rule set. Default: those of PACK, or of the measured runtime.",
)
@click.option("--id", "device_id", metavar="ID", help="Id of the device. Default: from processor, runtime and threads.")
@click.option("--repeats", type=click.IntRange(0), default=20, show_default=True,
              help="Random draws for each point of the learning curve; 0 for no curve.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the draws.")
@options.output_format(*LAB.formats("calibration"))
@options.output_file
def command(
    device: str,
    measurements: tuple[Path, ...],
    directory: Path,
    mix: tuple[str, ...],
    only: tuple[str, ...],
    limit: int | None,
    candidates: Path | None,
    dims: dict[str, int],
    shapes: dict[str, tuple[int, ...]],
    rules: str | None,
    device_id: str | None,
    repeats: int,
    seed: int,
    report_format: str,
    output: Path | None,
) -> None:
    """Calibrate a device pack to a near device with 5 to 50 measurements, and say what to measure next.

    The near device may differ from that of PACK in clock, threads, version, machine or runtime.
    """
    from nnmeter.devices import load_pack
    from nnmeter.lab.transfer.calibrate import calibrate_pack

    if output is not None:
        check_directory(output, "--output")
    told: list[str] = []
    with StatusLine() as status:
        pack, report = calibrate_pack(
            load_pack(device),
            measurements,
            directory,
            only=only,
            limit=limit,
            candidates=candidates,
            rules=rules,
            device_id=device_id,
            repeats=repeats,
            seed=seed,
            dims=dims,
            shapes=shapes,
            progress=status.show,
            mix=[load_pack(one) for one in mix],
            notice=told.append,
        )
    for line in told:
        tell(line)
    text = LAB.render("calibration", report.to_dict(), report_format, layout_for(output))
    write_report(text, output, f"wrote {pack.path}")
