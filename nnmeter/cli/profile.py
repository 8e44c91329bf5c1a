"""`nnmeter profile`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from nnmeter.cli import options
from nnmeter.cli.progress import StatusLine

_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0}


def _parse_budget(context: click.Context, parameter: click.Parameter, value: str) -> float:
    """Seconds from `20m`, `1h30m`, `90s`."""
    if not re.fullmatch(r"(\d+(\.\d+)?[hms])+", value):
        raise click.BadParameter(f"{value!r} is not a time such as 20m, 1h30m or 90s", context, parameter)
    return sum(float(number) * _UNITS_S[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)([hms])", value))


@click.command("profile")
@options.runtime
@click.option("--budget", "budget_s", default="20m", show_default=True, callback=_parse_budget, metavar="TIME",
              help="How long to measure: 20m, 1h30m, 90s.")  # fmt: skip
@click.option("--out", "output", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR",
              help="Directory for the measurements.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the campaign that is in DIR.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="First seed of a new campaign.")
def command(runtime: str, threads: int, budget_s: float, output: Path, resume: bool, seed: int) -> None:
    """Measure the kernels of random networks on this machine, to train a predictor on.

    What is measured is on disk at the latest a minute later; an interrupted campaign is continued with --resume.
    """
    from nnmeter.profiling.campaign import CampaignProgress, run_campaign
    from nnmeter.runtimes import load_runtime

    with StatusLine() as status:

        def tell(progress: CampaignProgress) -> None:
            left_s = max(progress.budget_s - progress.elapsed_s, 0.0)
            status.show(
                f"{progress.networks} networks, {progress.kernels} kernels, {progress.refused} refused, "
                f"{left_s / 60:.1f} min left: {progress.network}"
            )

        done = run_campaign(output, load_runtime(runtime), threads, budget_s, seed, tell, resume)
    click.echo(f"{output}: {done.networks} networks, {done.kernels} kernels in {done.elapsed_s / 60:.1f} min")
