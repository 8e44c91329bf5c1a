"""`nnmeter profile`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.failures import CheckFailed
from nnmeter.cli.progress import StatusLine
from nnmeter.lab.cli.times import parse_budget

if TYPE_CHECKING:
    from nnmeter.lab.campaign.campaign import CampaignProgress

_PROBLEMS_SHOWN = 20


def _parse_error(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A share from `3%`."""
    if value is None:
        return None
    if not re.fullmatch(r"\d+(\.\d+)?%", value) or not 0 < float(value[:-1]) < 100:
        raise click.BadParameter(f"{value!r} is not an error between 0% and 100%, such as 3%", context, parameter)
    return float(value[:-1]) / 100


@click.command("profile")
@options.runtime
@click.option("--budget", "budget_s", default="20m", show_default=True, callback=parse_budget, metavar="TIME",
              help="How long to measure: 20m, 1h30m, 90s.")  # fmt: skip
@click.option("--until", callback=_parse_error, metavar="ERROR",
              help="Stop earlier, when the cross-validated error of whole networks is reached: 3%.")  # fmt: skip
@click.option("--out", "output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Directory for the measurements.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the campaign that is in DIR.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="First seed of a new campaign.")
@click.option("--like", "models", multiple=True, metavar="MODEL",
              help="Measure the kernels of this ONNX model, in cuts of it. Repeatable.")  # fmt: skip
@click.option("--device", metavar="ID_OR_PATH",
              help="With --like: above all the kernels outside of the trained range of this pack.")  # fmt: skip
@options.dims_and_shapes
@options.assume
@click.option("--verify", "verified", type=click.Path(exists=True, path_type=Path), metavar="DIR_OR_FILE",
              help="Measure nothing; check the measurements that are there.")  # fmt: skip
def command(
    runtime: str,
    threads: int,
    budget_s: float,
    until: float | None,
    output: Path | None,
    resume: bool,
    seed: int,
    models: tuple[str, ...],
    device: str | None,
    dims: dict[str, int],
    shapes: dict[str, tuple[int, ...]],
    assume: dict[str, tuple[int, ...]],
    verified: Path | None,
) -> None:
    """Measure the kernels of random networks, or of models, on this machine, to train a predictor on.

    What to measure is planned anew every couple of minutes from what was measured. What is measured is on disk half a
    minute later at the latest; an interrupted campaign is continued with --resume.
    """
    if verified is not None:
        _verify(verified)
        return
    if output is None:
        raise click.UsageError("--out is missing; give the directory for the measurements")
    if not models and (device or dims or shapes or assume):
        raise click.UsageError("--device, --dim, --shape and --assume are about the models of --like; give those too")
    like = None
    if models:
        like = {"paths": models, "dims": dims, "shapes": shapes, "assume": assume, "device": device}
    from nnmeter.lab.measuring.library_threads import fix_library_threads

    fix_library_threads()  # before anything imports NumPy; the worker inherits it
    from nnmeter.lab.campaign.supervisor import run_supervised_campaign

    with StatusLine() as status:
        done = run_supervised_campaign(
            output,
            runtime,
            threads,
            budget_s,
            seed,
            lambda latest: status.show(progress_line(latest)),
            resume,
            until,
            like,
        )
    click.echo(f"{output}: {last_line(done)}")


def progress_line(progress: CampaignProgress) -> str:
    """What a running campaign shows: time left and error first, the network last."""
    left_s = max(progress.budget_s - progress.elapsed_s, 0.0)
    error = "not known yet" if progress.error is None else f"{100 * progress.error:.1f} %"
    return (
        f"{left_s / 60:.1f} min left, cross-validated error {error}, {progress.networks} networks, "
        f"{progress.kernels} kernels, {progress.refused} refused: {progress.network}"
    )


def last_line(done: CampaignProgress) -> str:
    """What a campaign leaves behind: how much, in which time, how good, and in how much memory."""
    left_s = max(done.budget_s - done.elapsed_s, 0.0)
    if done.error is None:
        error = "cross-validated error unknown (too few networks or too little time)"
    else:
        error = f"cross-validated error {100 * done.error:.1f} %{' as asked for' if done.reached else ''}"
    return (
        f"{done.networks} networks, {done.kernels} kernels, {done.refused} refused in {done.elapsed_s / 60:.1f} min, "
        f"{left_s / 60:.1f} min left; {error}; {done.plans} plans in {done.planning_s:.1f} s; "
        f"at most {done.peak_bytes / 1e9:.2f} GB of memory"
    )


def _verify(path: Path) -> None:
    from nnmeter.lab.campaign.verification import verify_measurements

    report = verify_measurements(path)
    for problem in report.problems[:_PROBLEMS_SHOWN]:
        click.echo(problem)
    found = f"{report.files} files, {report.measurements} networks, {report.kernels} kernels, {report.refused} refused"
    if report.problems:
        raise CheckFailed(f"{path}: {len(report.problems)} problems in {found}; the first are printed above")
    click.echo(f"{path}: {found}; no problems")
