"""A campaign on a device by wire, in the way that the device is reached."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from nnmeter.lab.campaign.campaign import CampaignProgress
from nnmeter.lab.campaign.shards import Shard
from nnmeter.lab.wire.board import Board
from nnmeter.lab.wire.far_campaign import run_far_campaign
from nnmeter.lab.wire.phone_campaign import run_phone_campaign

_BY_SCHEME: dict[str, Callable[..., CampaignProgress]] = {"ssh": run_far_campaign, "adb": run_phone_campaign}


def run_campaign_on(
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
        budget_s: as there.
        seed: as there.
        progress: as there.
        resume: as there.
        until: as there; with ssh alone.
        like: as there; with ssh alone.
        shard: as there; with ssh alone.

    Raises:
        MeasurementError: the device cannot be reached, is held by another campaign, lacks something, or is another one
            than the campaign was begun on.
    """
    return _BY_SCHEME[board.scheme](out_dir, board, budget_s, seed, progress, resume, until, like, shard)
