"""A campaign on a device by wire: planned, written and resumed here, measured there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nnmeter.lab.campaign.bench import Recipes, default_recipes
from nnmeter.lab.campaign.campaign import CampaignProgress, run_on_bench
from nnmeter.lab.campaign.cuts import CUTS_LIMIT_BYTES, CutNetworks, cut_networks
from nnmeter.lab.campaign.shards import Shard
from nnmeter.lab.measuring.library_threads import fix_library_threads
from nnmeter.lab.measuring.memory import LIMIT_BYTES
from nnmeter.lab.wire.board import Board
from nnmeter.lab.wire.claims import claim_of_campaign, note_machine
from nnmeter.lab.wire.far_bench import FarBench


def run_far_campaign(
    out_dir: str | os.PathLike[str],
    board: Board,
    budget_s: float = 600.0,
    seed: int = 0,
    progress: Callable[[CampaignProgress], None] | None = None,
    resume: bool = True,
    until: float | None = None,
    like: Mapping[str, Any] | None = None,
    shard: Shard | None = None,
) -> CampaignProgress:
    """`nnmeter.lab.campaign.supervisor.run_supervised_campaign` on a device by wire.

    Args:
        out_dir: directory of the campaign, here.
        board: the device.
        budget_s: seconds in all, those without a connection included.
        seed: first seed of a new campaign.
        progress: called after every network.
        resume: whether the directory may hold a campaign already.
        until: cross-validated error at which to stop.
        like: arguments of `nnmeter.lab.campaign.cuts.cut_networks`, to measure the kernels of models.
        shard: which part of a campaign this is, where it is one.

    Raises:
        MeasurementError: the device cannot be reached, is held by another campaign or is another machine than the one
            that the campaign was begun on; `BenchLost` where it was lost, with all that was measured until then kept.
    """
    started = time.perf_counter()
    fix_library_threads()
    directory = Path(out_dir)
    cuts: CutNetworks | None = None
    if like:
        cuts = cut_networks(**like)
        recipes = Recipes({}, lambda seed, recipe, small: cuts(seed))
    else:
        recipes = default_recipes()

    def open_bench() -> FarBench:
        claim = claim_of_campaign(directory)
        limit_bytes = CUTS_LIMIT_BYTES if cuts else LIMIT_BYTES
        bench = FarBench(board, claim, cuts.bare if cuts else None, limit_bytes)
        if claim.machine is None:
            note_machine(directory, claim, bench.session.machine)
        return bench

    return run_on_bench(
        directory, open_bench, recipes, budget_s, seed, progress, resume, until=until, started=started, shard=shard
    )
