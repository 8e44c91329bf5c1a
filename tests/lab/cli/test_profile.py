from collections.abc import Callable
from pathlib import Path

import pytest

from nnmeter.lab.campaign.campaign import CampaignProgress
from nnmeter.lab.report.progress import last_line, progress_line

pytest.importorskip("pyarrow")


@pytest.mark.parametrize("until", ["3", "0%", "100%", "-3%", "%", "3 %"])
def test_error_that_is_no_percentage_is_refused(cli: Callable, until: str) -> None:
    outcome = cli("profile", "--until", until, "--out", "d")
    assert outcome.code == 2
    assert "is not an error between 0% and 100%" in outcome.error_line


def test_directory_is_asked_for(cli: Callable) -> None:
    outcome = cli("profile", "--budget", "1s")
    assert outcome.code == 2
    assert "--out is missing" in outcome.error_line


def test_lines_state_time_left_error_and_memory() -> None:
    progress = CampaignProgress(
        12,
        340,
        1,
        90.0,
        1200.0,
        "plain-12",
        error=0.0312,
        plans=1,
        planning_s=1.2,
        peak_bytes=1_500_000_000,
        reached=True,
    )
    assert progress_line(progress).startswith("18.5 min left, cross-validated error 3.1 %")
    assert last_line(progress) == (
        "12 networks, 340 kernels, 1 refused in 1.5 min, 18.5 min left; cross-validated error 3.1 % as asked for; "
        "1 plans in 1.2 s; at most 1.50 GB of memory"
    )
    unknown = CampaignProgress(1, 2, 0, 1.0, 2.0, "plain-1")
    assert "error not known yet" in progress_line(unknown)
    assert "error unknown" in last_line(unknown)


def test_campaign_is_verified_and_damage_found(cli: Callable, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    campaign = tmp_path / "campaign"
    for _ in range(5):  # a busy machine may need more than one budget for its first network
        first = cli("profile", "--budget", "2s", "--until", "3%", "--out", campaign, "--resume")
        if any(campaign.glob("part-*.parquet")):
            break
    assert first.code == 0, first.err
    assert "min left" in first.out
    assert "cross-validated error" in first.out
    whole = cli("profile", "--verify", campaign)
    assert whole.code == 0, whole.err
    assert "no problems" in whole.out
    part = next(campaign.glob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    broken = cli("profile", "--verify", campaign)
    assert broken.code == 1
    assert "damaged" in broken.out
    assert "problems" in broken.error_line
