"""`nnmeter profile --cluster`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from nnmeter.cli.progress import StatusLine

F = TypeVar("F", bound=Callable[..., Any])


class Cluster(NamedTuple):
    """What the options say of a cluster.

    Attributes:
        address: of the scheduler, or a file that has it.
        resource: name of the resource as which workers announce a device.
        block_networks: networks of a block, None for the default.
        blocks: blocks of the campaign in all, None for no end.
    """

    address: str
    resource: str
    block_networks: int | None
    blocks: int | None


def cluster_options(function: F) -> F:
    """Add `--cluster`, `--resource`, `--block` and `--blocks`, all as one `cluster`, None without the first."""

    @click.option("--cluster", "address", metavar="ADDRESS_OR_FILE",
                  help="Measure on the devices of a Dask cluster: tcp://HOST:PORT or a file.")  # fmt: skip
    @click.option("--resource", default="device", show_default=True, metavar="NAME",
                  help="With --cluster: the resource as which workers announce their device.")  # fmt: skip
    @click.option("--block", "block_networks", type=click.IntRange(1, 10_000), metavar="N",
                  help="With --cluster: networks that a worker measures at a time; 40 if not given.")  # fmt: skip
    @click.option("--blocks", type=click.IntRange(1), metavar="N",
                  help="With --cluster: end when the campaign has so many blocks, whatever time it takes.")  # fmt: skip
    @wraps(function)
    def command(
        *arguments: Any,
        address: str | None,
        resource: str,
        block_networks: int | None,
        blocks: int | None,
        **others: Any,
    ) -> Any:
        cluster = None if address is None else Cluster(address, resource, block_networks, blocks)
        if cluster is None and (block_networks or blocks):
            raise click.UsageError("--block and --blocks are about a cluster; give --cluster too")
        return function(*arguments, cluster=cluster, **others)

    return command  # type: ignore[return-value]


def profile_on_cluster(
    cluster: Cluster,
    output: Path,
    runtime: str,
    threads: int,
    budget_s: float,
    seed: int,
    resume: bool,
    until: float | None,
) -> None:
    """Measure on a cluster, and say what comes of it.

    Raises:
        click.UsageError: an option was given that has no meaning there.
    """
    context = click.get_current_context()
    given = {n for n in context.params if context.get_parameter_source(n) is not click.core.ParameterSource.DEFAULT}
    alone = sorted(given & {"models", "device", "dims", "shapes", "assume", "shard", "on"})
    if alone:
        raise click.UsageError("--like, --shard and --on are for one machine; leave them out with --cluster")
    from nnmeter.lab.cluster.campaign import BLOCK_NETWORKS, run_cluster_campaign
    from nnmeter.lab.cluster.connection import connect
    from nnmeter.lab.report.progress import cluster_line

    endless = cluster.blocks is not None and "budget_s" not in given
    with connect(cluster.address) as client, StatusLine() as status:
        link = client.dashboard_link if "dashboard" in client.scheduler_info()["services"] else None

        def say(line: str) -> None:
            nonlocal link
            if link:
                status.note(f"dashboard: {link}")
                link = None
            status.note(line)

        done = run_cluster_campaign(
            output,
            client,
            runtime,
            threads,
            None if endless else budget_s,
            seed,
            lambda latest: status.show(cluster_line(latest)),
            resume,
            until,
            resource=cluster.resource,
            block_networks=cluster.block_networks or BLOCK_NETWORKS,
            blocks=cluster.blocks,
            say=say,
        )
    click.echo(f"{output}: {cluster_line(done)}")
