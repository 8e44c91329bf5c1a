"""`nnmeter evaluate`: several files, the training measurements, and the picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.cli.test_training import FINGERPRINT, made_up

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models in two files of two sittings, and the networks of a campaign."""
    from nnmeter.lab.measuring.store import write_measurements

    directory = tmp_path_factory.mktemp("measured")
    models = made_up("model", 6, 1)
    write_measurements(directory / "first.parquet", models[:4], FINGERPRINT)
    write_measurements(directory / "second.parquet", models[4:], FINGERPRINT)
    write_measurements(directory / "campaign.parquet", made_up("block", 5, 2), FINGERPRINT)
    return directory


def test_measurements_of_several_files_are_one_scorecard(cli: Callable, measured: Path, small_pack: Path) -> None:
    files = ("--measurements", measured / "first.parquet", "--measurements", measured / "second.parquet")
    outcome = cli("evaluate", small_pack, *files, "--format", "json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert document["overall"]["models"] == 6
    assert set(document["kernels"]["families"]) == {"convolution", "elementwise"}
    assert document["machine"]["verdict"] == "another_machine"


def test_training_adds_the_baseline_of_the_nearest_kernel(cli: Callable, measured: Path, small_pack: Path) -> None:
    arguments = ("evaluate", small_pack, "--measurements", measured / "first.parquet")
    assert "nearest profiled kernel" not in cli(*arguments).out
    with_training = cli(*arguments, "--training", measured / "campaign.parquet")
    assert with_training.code == 0, with_training.err
    assert "nearest profiled kernel" in with_training.out


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_is_drawn(cli: Callable, measured: Path, small_pack: Path, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / f"plot.{suffix}"
    outcome = cli("evaluate", small_pack, "--measurements", measured / "first.parquet", "--plot", plot)
    assert outcome.code == 0, outcome.err
    assert plot.stat().st_size > 10_000


@pytest.mark.parametrize("name", ["plot.pdf", "no/such/directory/plot.svg"])
def test_a_picture_that_cannot_be_written_is_refused_first(cli: Callable, small_pack: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    outcome = cli("evaluate", small_pack, "--measurements", "missing.parquet", "--plot", name)
    assert outcome.code == 2
    assert name in outcome.error_line


def test_without_matplotlib_the_extra_is_named(
    cli: Callable, small_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    outcome = cli("evaluate", small_pack, "--measurements", "missing.parquet", "--plot", "plot.svg")
    assert outcome.code == 2
    assert "nnmeter[plot]" in outcome.error_line
