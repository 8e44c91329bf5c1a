"""What a running campaign shows, and what it says at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnmeter.lab.campaign.campaign import CampaignProgress
    from nnmeter.lab.cluster.campaign import ClusterProgress


def progress_line(progress: CampaignProgress) -> str:
    """What a running campaign shows: time left and error first, the network last."""
    left_s = max(progress.budget_s - progress.elapsed_s, 0.0)
    error = "not known yet" if progress.error is None else f"{100 * progress.error:.1f} %"
    return (
        f"{left_s / 60:.1f} min left, cross-validated error {error}, {progress.networks} networks, "
        f"{progress.kernels} kernels, {progress.refused} refused: {progress.network}"
    )


def cluster_line(progress: ClusterProgress) -> str:
    """What a campaign on a cluster shows, and what it says at its end: devices, rows, and what went wrong."""
    left = ""
    if progress.budget_s is not None:
        left = f"{max(progress.budget_s - progress.elapsed_s, 0.0) / 60:.1f} min left, "
    error = "not known yet" if progress.error is None else f"{100 * progress.error:.1f} %"
    return (
        f"{left}{_counted(len(progress.devices), 'device')}, {progress.networks} networks in "
        f"{_counted(progress.blocks, 'block')}, {progress.kernels} kernels, {progress.refused} refused, "
        f"{_counted(progress.lost, 'block')} lost, {_counted(len(progress.left_out), 'device')} left out, "
        f"cross-validated error {error}; {progress.elapsed_s / 60:.1f} min"
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


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
