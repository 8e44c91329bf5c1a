"""`nnmeter jobs`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nnmeter.cli import options
from nnmeter.files import write_output
from nnmeter.lab.cli.times import parse_budget

if TYPE_CHECKING:
    from nnmeter.lab.jobs.shard_job import ShardJob

# Batch system -> what writes its file.
_WRITERS = {"slurm": "slurm_script", "kubernetes": "kubernetes_job", "openpai": "openpai_job"}


@click.command("jobs")
@click.argument("system", type=click.Choice(list(_WRITERS)))
@click.option("--shards", type=click.IntRange(1), required=True, metavar="N",
              help="Parts of the campaign, each a task.")  # fmt: skip
@click.option("--folder", required=True, metavar="PATH",
              help="Absolute path that all machines share; shards are measured into it.")  # fmt: skip
@click.option("--out", "output", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE",
              help="Where to write the job.")  # fmt: skip
@options.runtime
@click.option("--budget", "budget_s", default="20m", show_default=True, callback=parse_budget, metavar="TIME",
              help="How long each shard measures: 20m, 1h30m, 90s.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="First seed of the campaign.")
@click.option("--name", default="nnmeter-profile", show_default=True, metavar="NAME", help="Name of the job.")
@click.option("--memory", "memory_gib", type=click.IntRange(4, 1 << 16), default=8, show_default=True, metavar="GIB",
              help="Memory of a task.")  # fmt: skip
@click.option("--image", metavar="IMAGE", help="Container image that has nnmeter; not of Slurm.")
@click.option("--queue", metavar="NAME", help="Slurm's partition, Kubernetes' namespace, OpenPAI's virtual cluster.")
@click.option("--node-type", metavar="NAME",
              help="Slurm's constraint, Kubernetes' instance type, OpenPAI's SKU: machines of one kind.")  # fmt: skip
@click.option("--volume", metavar="NAME",
              help="Kubernetes' PersistentVolumeClaim that is mounted at --folder; OpenPAI's storage.")  # fmt: skip
def command(system: str, output: Path, **given: Any) -> None:
    """Write the file that has a batch system measure the shards of a campaign.

    Each task is `nnmeter profile --resume --shard I/N`; a task that fails is started again and goes on with its shard.
    `nnmeter profile --merge` makes one campaign of the shards.
    """
    from nnmeter.lab.jobs.shard_job import ShardJob

    job = ShardJob(**given)
    write_output(output, _writer(system)(job))
    click.echo(f"{output}: {job.shards} tasks of {job.budget_s / 60:.1f} min; submit it, and when all have ended:")
    click.echo(f"  {job.afterwards()}")


def _writer(system: str) -> Callable[[ShardJob], str]:
    from importlib import import_module

    found: Callable[[ShardJob], str] = getattr(import_module(f"nnmeter.lab.jobs.{system}"), _WRITERS[system])
    return found
