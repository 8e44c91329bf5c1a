"""`nnmeter train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nnmeter.lab.training.regressors import Regressor


@click.command("train")
@click.argument("sources", nargs=-1, required=True, metavar="DIR_OR_FILE...")
@click.option(
    "--out", "output", type=click.Path(path_type=Path), required=True, metavar="PACK", help="Directory of the new pack."
)
@click.option(
    "--regressor",
    type=click.Choice(["lightgbm", "random-forest"]),
    default="lightgbm",
    show_default=True,
    help="What predicts the ratio of a kernel's time to its roofline.",
)
@click.option("--id", "device_id", metavar="ID", help="Id of the device. Default: from processor, runtime and threads.")
@click.option("--rules", metavar="FILE", help="Fusion rules. Default: those of the runtime that was measured.")
@click.option("--prior", "priors", metavar="ID_OR_PATH", multiple=True,
              help="Pack of a like device to start from; given several times, their geometric mean.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Makes training repeatable.")
def command(
    sources: tuple[str, ...],
    output: Path,
    regressor: Regressor,
    device_id: str | None,
    rules: str | None,
    priors: tuple[str, ...],
    seed: int,
) -> None:
    """Train a predictor on measurements and write it as a device pack.

    DIR_OR_FILE is what `nnmeter profile` or `nnmeter measure` wrote; all must be of one device. Kernels, profiled
    networks, and networks of which only the end-to-end time is known may be mixed.
    """
    from nnmeter.lab.training.build import build_pack

    pack = build_pack(
        sources,
        output,
        regressor=regressor,
        device_id=device_id,
        rules=rules,
        progress=lambda line: click.echo(line, err=True),
        seed=seed,
        prior=priors or None,
    )
    click.echo(f"{pack.id}: {pack.path}")
