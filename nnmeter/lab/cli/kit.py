"""`nnmeter kit`."""

from __future__ import annotations

from pathlib import Path

import click

from nnmeter.cli import options
from nnmeter.cli.output import tell
from nnmeter.cli.progress import StatusLine
from nnmeter.lab.cli.times import parse_budget


@click.command("kit")
@click.option("--runtime", required=True, metavar="NAME",
              help="Runtime of the device: onnxruntime, openvino, tensorrt.")  # fmt: skip
@click.option("--budget", "budget_s", default="20m", show_default=True, callback=parse_budget, metavar="TIME",
              help="How long the device may measure: 20m, 1h30m, 90s.")  # fmt: skip
@click.option(
    "--out", "output", type=click.Path(path_type=Path), required=True, metavar="KIT", help="Folder of the kit."
)
@click.option("--threads", type=click.IntRange(1, 4096), default=1, show_default=True, help="Threads of one network.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="First seed of a first kit.")
@click.option("--model", "models", multiple=True, metavar="MODEL",
              help="A real network in place of those that ship, or a folder of them. Repeatable.")  # fmt: skip
@click.option("--no-models", is_flag=True, help="Random networks only.")
@click.option("--after", "after", multiple=True, metavar="FILE",
              help="Measurements of a first kit; measure what is uncertain after them. Repeatable.")  # fmt: skip
@click.option("--max-mib", type=click.IntRange(8, 1 << 20), default=300, show_default=True, metavar="MIB",
              help="Weights and activations of one network at most.")  # fmt: skip
def command(
    runtime: str,
    budget_s: float,
    output: Path,
    threads: int,
    seed: int,
    models: tuple[str, ...],
    no_models: bool,
    after: tuple[str, ...],
    max_mib: int,
) -> None:
    """Make a folder to carry to a device that has a runtime's own program and no Python.

    It holds random networks, planned as those of `nnmeter profile`, a few real ones, and a script that measures them.
    What it brings back becomes measurements by `nnmeter import profile KIT/results`.
    """
    from nnmeter.lab.kit.build import make_kit
    from nnmeter.lab.training.build import read_all

    if models and no_models:
        raise click.UsageError("--model and --no-models contradict each other; give one of them")
    paths = options.expand_models(models)[0] if models else []
    with StatusLine() as status:
        kit = make_kit(
            output,
            runtime,
            budget_s,
            threads=threads,
            seed=seed,
            models=[] if no_models else paths or None,
            after=read_all(after, tell)[0] if after else (),
            most_mib=max_mib,
            progress=lambda name, done, total: status.show_bar("drawing networks", done, total),
        )
    real = f" and {len(kit.real)} real ones" if kit.real else ""
    click.echo(f"{kit.path}: {kit.networks} random networks{real}, {kit.rows} rows, {kit.bytes / 1e6:.0f} MB")
    click.echo(f"copy it to the device and run it there: sh run.sh ({kit.path}/README.md says more)")
