"""A cluster from an address, a scheduler file or settings of Dask."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.cluster import campaign, connection
from nnmeter.lab.cluster.connection import connect


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster:
        yield cluster


def test_each_way_to_name_a_cluster_leads_to_it(scheduler: Any, tmp_path: Path) -> None:
    address = scheduler.scheduler_address
    scheduler_file, settings = tmp_path / "scheduler.json", tmp_path / "dask.yaml"
    scheduler_file.write_text(json.dumps({"type": "Scheduler", "address": address}))
    settings.write_text(f"scheduler-address: {address}\n")
    for given in (address, str(scheduler_file), str(settings)):
        with connect(given) as client:
            assert client.scheduler.address == address


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "{}", "has no address"),
        ("a.json", "[", "cannot be understood"),
        ("a.json", "[]", "is no table of settings"),
        ("a.yaml", "distributed: {}", "has no scheduler-address"),
        ("a.yaml", "a: [", "cannot be understood"),
        ("a.yaml", "", "is no table of settings"),
        ("a.yaml", None, "No such file"),
        ("a", None, "is no cluster; give tcp://HOST:PORT"),
    ],
)
def test_what_names_no_cluster_is_refused(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    pytest.importorskip("distributed")
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(MeasurementError, match=said):
        connect(str(tmp_path / name))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nothing://x", "tcp://"])
def test_a_scheduler_that_does_not_answer_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(connection, "PATIENCE_S", 0.2)
    with pytest.raises(MeasurementError, match=f"{address}: no scheduler answers .*start one with `dask scheduler`"):
        connect(address)


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MeasurementError, match=r"pip install 'nnmeter\[cluster\]'"):
        connect("tcp://127.0.0.1:8786")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--blocks", "3"], "give --cluster too"),
        (["--cluster", "tcp://a:1", "--shard", "1/2"], "are for one machine"),
        (["--cluster", "tcp://a:1", "--like", "model.onnx"], "are for one machine"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    cli: Callable, tmp_path: Path, options: list[str], said: str
) -> None:
    outcome = cli("profile", "--out", tmp_path / "c", *options)
    assert outcome.code == 2
    assert said in outcome.error_line
    assert not (tmp_path / "c").exists()


def test_the_verb_says_how_to_start_a_device(
    scheduler: Any, cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "PATIENCE_S", 0.2)
    outcome = cli("profile", "--cluster", scheduler.scheduler_address, "--resource", "none", "--out", tmp_path / "c")
    assert outcome.code == 2
    assert "--resources none=1" in outcome.error_line
