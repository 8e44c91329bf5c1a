"""Campaigns in shards, and what they become together."""

import json
import shutil

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign import campaign, planner
from nnmeter.lab.campaign.campaign import run_campaign
from nnmeter.lab.campaign.planning import read_plans
from nnmeter.lab.campaign.shards import SHARD_SEEDS, Shard, merge_shards
from nnmeter.lab.campaign.verification import verify_measurements
from nnmeter.lab.measuring import lock, store
from tests.lab.campaign.campaign_child import build
from tests.lab.campaign.conftest import FakeClock, FakeRuntime

pytest.importorskip("pyarrow")
PROBES = [(2002 + place, "odd") for place in range(7)]
RECIPES = campaign.Recipes({"even": 6.0, "odd": 3.0, "rare": 1.0}, build, PROBES)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(campaign, "BLOCK_NETWORKS", 5)
    monkeypatch.setattr(planner, "INTERVAL_S", 4.0)
    monkeypatch.setattr(lock, "PATIENCE_S", 0.1)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Three shards of one campaign, the second measured in two goes and on a machine in another state."""
    folder = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(campaign, "BLOCK_NETWORKS", 5)
        patched.setattr(planner, "INTERVAL_S", 4.0)
        for number in (1, 2, 3):
            clock = FakeClock()
            patched.setattr(FakeRuntime, "clock", clock)
            clock.slowness = lambda now_s, number=number: 1.0 + 0.5 * (number == 2)
            for budget_s in (3.0, 4.0) if number == 2 else (6.0,):
                measure(folder / str(number), FakeRuntime(), clock, budget_s, shard=Shard(number, 3))
    return folder


@pytest.fixture
def shards(measured, tmp_path):
    shutil.copytree(measured, tmp_path / "shards")
    return [tmp_path / "shards" / str(number) for number in (1, 2, 3)]


def measure(place, runtime, clock, budget_s, threads=1, seed=100, shard=None):
    run_campaign(place, runtime, threads, budget_s=budget_s, seed=seed, recipes=RECIPES, clock=clock, shard=shard)


def rows_of(place):
    return {int(row.network.rpartition("-")[2]): row for row in store.read_measurements(place)[0]}


def test_merged_shards_are_one_campaign_without_loss_or_doubles(shards, tmp_path):
    done = merge_shards([tmp_path / "shards"], tmp_path / "merged")
    report = verify_measurements(tmp_path / "merged")
    assert report.problems == ()
    assert (done.shards, done.missing) == ((1, 2, 3), ())
    parts = [rows_of(place) for place in shards]
    assert set(rows_of(tmp_path / "merged")) == set().union(*parts)
    assert done.networks == report.measurements == sum(map(len, parts))
    assert done.refused == report.refused > 0
    assert read_plans(tmp_path / "merged") == [plan for place in shards for plan in read_plans(place)]


def test_probes_are_shared_out(shards):
    """The network of a probe is that of its own seed: a seed counts what it has of kernels."""
    for number, place in enumerate(shards, 1):
        rows = rows_of(place)
        first = 100 + (number - 1) * SHARD_SEEDS
        assert min(rows) == first
        of_probes = [rows[first + k].kernels for k in range(2)]
        made = [build(PROBES[3 * k + number - 1][0], "odd", False).doc_string for k in range(2)]
        assert [len(kernels) for kernels in of_probes] == [len(json.loads(text)) for text in made]


def test_merged_times_are_in_the_state_of_the_first_shard(shards, tmp_path):
    merge_shards(shards[::-1], tmp_path / "merged")
    rows, fingerprint = store.read_measurements(tmp_path / "merged")
    assert [row.reference_ms for row in rows] == pytest.approx([1.0] * len(rows))
    assert fingerprint["reference_ms"] == pytest.approx(1.0)
    own = rows_of(shards[1])
    assert [row.reference_ms for row in own.values()] == pytest.approx([1.5] * len(own))
    merged = rows_of(tmp_path / "merged")
    for seed, row in own.items():
        assert merged[seed].latency_ms == pytest.approx(row.latency_ms / 1.5**0.8, rel=1e-5)


def test_a_missing_shard_is_named(shards, tmp_path):
    done = merge_shards([shards[2], shards[0]], tmp_path / "merged")
    assert (done.shards, done.missing) == ((1, 3), (2,))
    assert verify_measurements(tmp_path / "merged").problems == ()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"seed": 7, "shard": Shard(2, 3)}, "does not belong to shard 1/3 from seed 100"),
        ({"threads": 2, "shard": Shard(2, 3)}, "another device"),
        ({}, "is a whole campaign, no shard"),
        ({"shard": Shard(1, 3)}, r"is shard 1/3, as .* is"),
    ],
)
def test_what_does_not_belong_together_is_not_merged(shards, runtime, clock, tmp_path, other, said):
    measure(tmp_path / "other", runtime, clock, 1.0, **other)
    with pytest.raises(MeasurementError, match=said):
        merge_shards([shards[0], tmp_path / "other"], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_shards_that_are_damaged_or_being_measured_are_not_merged(shards, tmp_path):
    with lock.DirectoryLock(shards[1]), pytest.raises(MeasurementError, match="another process"):
        merge_shards(shards, tmp_path / "merged")
    store.part_files(shards[1])[1].unlink()
    with pytest.raises(MeasurementError, match="but the part before it ends at"):
        merge_shards(shards, tmp_path / "merged")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["shards"]


def test_a_shard_is_resumed_as_the_shard_that_it_is(shards, runtime, clock, tmp_path):
    with pytest.raises(MeasurementError, match="holds shard 1/3, not shard 2/3"):
        measure(shards[0], runtime, clock, 0.5, shard=Shard(2, 3))
    with pytest.raises(MeasurementError, match="holds shard 1/3, not a whole campaign"):
        measure(shards[0], runtime, clock, 0.5)
    merge_shards(shards, tmp_path / "merged")
    with pytest.raises(MeasurementError, match="was merged from shards"):
        measure(tmp_path / "merged", runtime, clock, 0.5)


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "-1/3", "1/0", "1/1000000", "1/3/5", "١/٣", "a/b"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(MeasurementError, match="shard"):
        Shard.parse(text)
