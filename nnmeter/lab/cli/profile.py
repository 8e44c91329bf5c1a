"""`nnmeter profile`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.failures import CheckFailed
from nnmeter.cli.output import layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.lab.cli import wire
from nnmeter.lab.cli.cluster import Cluster, cluster_options, profile_on_cluster
from nnmeter.lab.cli.times import parse_budget, parse_error
from nnmeter.lab.report import LAB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnmeter.lab.campaign.shards import Shard


def _parse_shard(context: click.Context, parameter: click.Parameter, value: str | None) -> Shard | None:
    from nnmeter.errors import MeasurementError
    from nnmeter.lab.campaign.shards import Shard

    try:
        return None if value is None else Shard.parse(value)
    except MeasurementError as fault:
        raise click.BadParameter(str(fault), context, parameter) from fault


@click.command("profile")
@options.runtime
@wire.on
@click.option("--budget", "budget_s", default="20m", show_default=True, callback=parse_budget, metavar="TIME",
              help="How long to measure: 20m, 1h30m, 90s.")  # fmt: skip
@click.option("--until", callback=parse_error, metavar="ERROR",
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
@click.option("--shard", callback=_parse_shard, metavar="I/N",
              help="Measure the I-th of N parts of a campaign, which --merge puts together.")  # fmt: skip
@cluster_options
@click.option("--merge", "merged", multiple=True, type=click.Path(exists=True, path_type=Path), metavar="DIR",
              help="Measure nothing; make one campaign of the shards in DIR, in --out. Repeatable.")  # fmt: skip
@click.option("--verify", "verified", type=click.Path(exists=True, path_type=Path), metavar="DIR_OR_FILE",
              help="Measure nothing; check the measurements that are there.")  # fmt: skip
def command(
    runtime: str,
    threads: int,
    on: str | None,
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
    shard: Shard | None,
    cluster: Cluster | None,
    merged: tuple[Path, ...],
    verified: Path | None,
) -> None:
    """Measure the kernels of random networks, or of models, on this machine or by wire, to train a predictor on.

    The plan is made anew every couple of minutes, from the measurements so far. Measurements are on disk half a minute
    later at the latest; --resume continues an interrupted campaign.
    """
    if verified is not None:
        _verify(verified)
        return
    if output is None:
        raise click.UsageError("--out is missing; give the directory for the measurements")
    if merged:
        _merge(merged, output)
        return
    if cluster is not None:
        profile_on_cluster(cluster, output, runtime, threads, budget_s, seed, resume, until)
        return
    if not models and (device or dims or shapes or assume):
        raise click.UsageError("--device, --dim, --shape and --assume are about the models of --like; give those too")
    like = None
    if models:
        like = {"paths": models, "dims": dims, "shapes": shapes, "assume": assume, "device": device}
    from nnmeter.lab.measuring.library_threads import fix_library_threads

    fix_library_threads()  # before anything imports NumPy; the worker inherits it
    from nnmeter.lab.campaign.supervisor import run_supervised_campaign
    from nnmeter.lab.measuring.store import import_pyarrow
    from nnmeter.lab.report.progress import last_line, progress_line

    import_pyarrow()
    measure = partial(run_supervised_campaign, output, runtime, threads)
    if on is not None:
        from nnmeter.lab.wire.campaign import run_campaign_on

        measure = partial(run_campaign_on, output, wire.chosen_board(on))
    with StatusLine() as status:
        done = measure(budget_s, seed, lambda latest: status.show(progress_line(latest)), resume, until, like, shard)
    click.echo(f"{output}: {last_line(done)}")


def _verify(path: Path) -> None:
    from nnmeter.lab.campaign.verification import verify_measurements

    report = verify_measurements(path)
    write_report(LAB.render("verification", report, "table", layout_for(None)), None)
    if report.problems:
        raise CheckFailed(f"{path}: {len(report.problems)} problems in {report.found}; the first are printed above")


def _merge(shards: Sequence[Path], output: Path) -> None:
    from nnmeter.lab.campaign.shards import merge_shards

    done = merge_shards(shards, output)
    click.echo(f"{output}: {done.networks} networks of {len(done.shards)} shards, {done.refused} refused")
    if done.missing:
        few = ", ".join(map(str, done.missing[:8])) + (" and more" if len(done.missing) > 8 else "")
        click.echo(f"nnmeter: not there: shards {few} of {len(done.shards) + len(done.missing)}", err=True)
