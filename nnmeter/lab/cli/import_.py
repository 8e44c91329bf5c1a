"""`nnmeter import`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nnmeter.cli import options
from nnmeter.cli.output import check_directory, layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.lab.report import LAB

DATASETS = ("hat", "nn-meter-26k", "phones-qed-usc", "public-networks", "v100-tensorrt")


def _parse_parameters(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, Any]:
    found = {}
    for value in values:
        name, _, text = value.partition("=")
        if not name or not text:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", context, parameter)
        try:
            found[name] = json.loads(text)
        except ValueError:
            raise click.BadParameter(f"{text!r} is neither true, false nor a number", context, parameter) from None
    return found


@click.command("import")
@click.argument("dataset", type=click.Choice(DATASETS))
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SRC...")
@click.option("--out", "output", type=click.Path(path_type=Path), required=True, metavar="FILE",
              help="Parquet file to write, or a directory for several devices.")  # fmt: skip
@click.option("--device", "devices", multiple=True, metavar="NAME",
              help="Import this device only; may have wildcards. Repeatable.")  # fmt: skip
@click.option("--rules", metavar="FILE", help="Fusion rules. Default: those of the devices' runtimes.")
@click.option("--set", "parameters", multiple=True, metavar="NAME=VALUE", callback=_parse_parameters,
              help="A parameter of the fusion rules, for instance sums_join=false. Repeatable.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Read N rows of each file at most.")
@options.output_format(*LAB.formats("imported"))
def command(
    dataset: str,
    sources: tuple[Path, ...],
    output: Path,
    devices: tuple[str, ...],
    rules: str | None,
    parameters: dict[str, Any],
    limit: int | None,
    report_format: str,
) -> None:
    """Import published latencies as measurements, to train on.

    SRC is the directory that the authors of DATASET publish; of public-networks any tables (.csv, .csv.gz) of network,
    device and latency_ms, and directories of them. Every row is imported or refused; the report, which is also written
    beside the measurements, counts both.
    """
    from nnmeter.lab.importing.run import import_dataset

    check_directory(output, "--out")
    with StatusLine() as status:
        report = import_dataset(
            dataset, sources, output, devices, rules, parameters, limit,
            progress=lambda name, done: status.show(f"{name}: {done}"),
        )  # fmt: skip
    write_report(LAB.render("imported", report, report_format, layout_for(None)), None)
