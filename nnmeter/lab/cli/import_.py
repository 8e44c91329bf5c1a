"""`nnmeter import`: published latencies by the name of their data set, and `import profile` for what tools wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nnmeter.cli import options
from nnmeter.cli.output import check_directory, layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.files import parse_json
from nnmeter.lab.cli.import_profile import profile
from nnmeter.lab.report import LAB

DATASETS = {
    "hat": "Encoders of transformers in PyTorch, by MIT HAN Lab.",
    "nn-meter-26k": "Networks on phones and an accelerator, by the authors of nn-Meter.",
    "phones-qed-usc": "Networks and kernels on six phones, by QED at USC.",
    "public-networks": "Tables of known networks on any devices.",
    "v100-tensorrt": "Convolutions in TensorRT, by Alibaba.",
}


def _parse_parameters(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, Any]:
    found = {}
    for value in values:
        name, _, text = value.partition("=")
        if not name or not text:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", context, parameter)
        try:
            found[name] = parse_json(text.encode())
        except ValueError:
            raise click.BadParameter(f"{text!r} is neither true, false nor a number", context, parameter) from None
    return found


@click.group("import")
def command() -> None:
    """Import measurements from elsewhere, to train on: profiles of runtimes' own tools, or published latencies."""


command.add_command(profile)


def _add_dataset(name: str, summary: str) -> None:
    @command.command(name, short_help=summary)
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
    def dataset(
        sources: tuple[Path, ...],
        output: Path,
        devices: tuple[str, ...],
        rules: str | None,
        parameters: dict[str, Any],
        limit: int | None,
        report_format: str,
    ) -> None:
        """Import published latencies as measurements.

        SRC is the directory that the authors of the data set publish; of public-networks any tables (.csv, .csv.gz) of
        network, device and latency_ms, and directories of them. Every row is imported or refused; the report, which is
        also written beside the measurements, counts both.
        """
        from nnmeter.lab.importing.run import import_dataset

        check_directory(output, "--out")
        with StatusLine() as status:
            report = import_dataset(
                name, sources, output, devices, rules, parameters, limit,
                progress=lambda file, done: status.show(f"{file}: {done}"),
            )  # fmt: skip
        write_report(LAB.render("imported", report, report_format, layout_for(None)), None)


for _name, _summary in DATASETS.items():
    _add_dataset(_name, _summary)
