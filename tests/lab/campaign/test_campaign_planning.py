"""The campaign that plans, cross-validates, stops early and minds its memory, on the fake runtime."""

import json
import os
import time

import onnx
import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign import bench, campaign, planner
from nnmeter.lab.campaign.campaign import Recipes, run_campaign
from nnmeter.lab.campaign.planning import PLAN_FILE, read_plans
from nnmeter.lab.campaign.shards import Shard
from nnmeter.lab.campaign.verification import verify_measurements
from nnmeter.lab.measuring import store
from tests.lab.campaign.conftest import FakeRuntime

pytest.importorskip("pyarrow")
KINDS = {"plain": "Conv", "attention": "Softmax", "odd": "Resize"}


def build(seed, recipe, small):
    kernels = [[KINDS[recipe], 1.0 + seed % 5], ["Relu", 0.25]][: 1 if small else 2]
    model = onnx.ModelProto(doc_string=json.dumps(kernels))
    model.graph.name = recipe
    return model


RECIPES = Recipes({"plain": 7.0, "attention": 2.0, "odd": 1.0}, build)


class WithoutProfiler(FakeRuntime):
    has_profiler = False


@pytest.fixture(autouse=True)
def quick_plans(monkeypatch):
    monkeypatch.setattr(campaign, "BLOCK_NETWORKS", 10)
    monkeypatch.setattr(planner, "INTERVAL_S", 1.0)


def measure(folder, runtime, clock, budget_s=12.0, **options):
    return run_campaign(folder, runtime, budget_s=budget_s, recipes=RECIPES, clock=clock, **options)


def test_campaign_plans_anew_and_tells_its_error(runtime, clock, tmp_path):
    seen = []
    done = measure(tmp_path, runtime, clock, progress=seen.append)
    plans = read_plans(tmp_path)
    assert done.plans == len(plans) - 1 >= 2
    assert [plan.first_seed for plan in plans] == sorted({plan.first_seed for plan in plans})
    assert plans[0].weights == {"plain": 0.7, "attention": 0.2, "odd": 0.1}
    assert plans[-1].weights != plans[0].weights
    assert plans[-1].error == pytest.approx(seen[-1].error, abs=1e-5)
    assert seen[0].error is None
    assert done.error is not None
    assert done.peak_bytes > 0
    assert verify_measurements(tmp_path).problems == ()


@pytest.mark.parametrize("shard", [None, Shard(1, 3), Shard(3, 3)])
def test_a_plan_that_is_made_among_the_probes_begins_behind_them(runtime, clock, tmp_path, shard):
    """A slow machine has not measured all of them when the first plan is due."""
    probes = [(5000 + place, "odd") for place in range(61)]
    slow = Recipes(RECIPES.prior, build, probes if shard is None else probes * shard.count)
    run_campaign(tmp_path, runtime, budget_s=12.0, seed=0, recipes=slow, clock=clock, shard=shard)
    first = shard.first_seed(0) if shard else 0
    rows = store.read_measurements(tmp_path)[0]
    assert [row.family for row in rows[:61]] == ["odd"] * 61
    assert len({row.family for row in rows[61:]}) > 1
    assert [plan.first_seed for plan in read_plans(tmp_path)][:2] == [first + 61] * 2
    assert verify_measurements(tmp_path).problems == ()


def test_rows_have_the_recipe_of_their_plan_and_can_be_built_again(runtime, clock, tmp_path):
    measure(tmp_path, runtime, clock)
    for row in store.read_measurements(tmp_path)[0]:
        seed = int(row.network.rpartition("-")[2])
        kernels = json.loads(build(seed, row.family, False).doc_string)
        assert [kernel.type for kernel in row.kernels] == [kind for kind, _ in kernels]


def test_resumed_campaign_goes_on_by_the_plan_that_is_stored(runtime, clock, tmp_path):
    measure(tmp_path, runtime, clock, budget_s=6.0)
    plans = read_plans(tmp_path)
    before = len(store.read_measurements(tmp_path)[0])
    measure(tmp_path, runtime, clock, budget_s=0.5)
    assert read_plans(tmp_path) == plans
    later = store.read_measurements(tmp_path)[0][before:]
    assert later
    for row in later:
        assert row.family == plans[-1].recipe_of(int(row.network.rpartition("-")[2]))


def test_plan_is_the_same_whether_or_not_the_campaign_was_interrupted(runtime, clock, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    measure(whole, runtime, clock, budget_s=12.0)
    last = read_plans(whole)[-1]

    fresh = planner.Planner(halves, RECIPES.prior, False, 0.0, 100.0, lambda: 0.0)
    rows = store.read_measurements(whole)[0][: last.networks]
    fresh.add(rows)
    halves.mkdir()
    fresh._evaluate(last.first_seed)
    assert read_plans(halves)[-1] == last


def test_campaign_stops_when_its_error_is_reached(runtime, clock, tmp_path):
    done = measure(tmp_path, runtime, clock, budget_s=500.0, until=0.5)
    assert done.reached
    assert done.error <= 0.5
    assert done.elapsed_s < 100.0


def test_error_that_is_not_reached_lets_the_budget_end(runtime, clock, tmp_path):
    done = measure(tmp_path, runtime, clock, budget_s=5.0, until=1e-9)
    assert not done.reached
    assert done.elapsed_s >= 5.0


def test_without_a_profiler_most_networks_are_small(clock, tmp_path):
    measure(tmp_path, WithoutProfiler(), clock)
    rows = store.read_measurements(tmp_path)[0]
    assert all(row.kernel_ms == () for row in rows)
    small = sum(len(row.kernels) == 1 for row in rows)
    assert 0.65 < small / len(rows) < 0.85
    assert verify_measurements(tmp_path).problems == ()


def test_planning_keeps_to_its_share_of_the_time(clock, runtime, tmp_path):
    slow = planner.Planner(tmp_path, RECIPES.prior, False, 0.0, 100.0, clock)
    measure(tmp_path / "campaign", runtime, clock, budget_s=6.0)
    slow.add(store.read_measurements(tmp_path / "campaign")[0])
    assert slow.plan_if_due(50)
    slow._rate_s = 100.0
    clock.now_s += 50.0
    assert not slow.plan_if_due(60)
    assert slow.last_evaluation_s() == 0.0


def test_a_guess_of_what_planning_takes_does_not_put_the_first_plan_off(clock, runtime, tmp_path):
    """A machine that measures kernels faster than the guess prices them made no plan in twelve minutes."""
    fast = planner.Planner(tmp_path, RECIPES.prior, False, 0.0, 10_000.0, clock)
    measure(tmp_path / "campaign", runtime, clock, budget_s=6.0)
    fast.add(store.read_measurements(tmp_path / "campaign")[0])
    fast._rate_s = 10.0 / fast._samples.kernel_count  # 10 s, which are a share of 333 s
    clock.now_s += planner.INTERVAL_S
    assert fast.plan_if_due(50)


def test_a_process_that_goes_on_plans_when_the_last_plan_is_old(clock, runtime, tmp_path):
    folder = tmp_path / "campaign"
    measure(folder, runtime, clock, budget_s=6.0)
    rows, due = store.read_measurements(folder)[0], []
    for age_s in (0.0, 30.0):
        os.utime(folder / PLAN_FILE, (time.time() - age_s, time.time() - age_s))
        following = planner.Planner(folder, RECIPES.prior, False, 0.0, 1000.0, lambda: 0.5)
        following.add(rows)
        due.append(following.plan_if_due(500))
    assert due == [False, True]


def test_network_that_would_not_fit_is_refused_before_it_is_compiled(runtime, clock, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "resident_bytes", lambda: 10**9)
    monkeypatch.setattr(bench, "_keep_below", lambda limit: None)
    monkeypatch.setattr(runtime, "compile", _compiled_only_if_reference(runtime.compile))
    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path, runtime, clock, memory_limit_bytes=10**9, progress=_stop_after(3))
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert len(reasons) == 3
    assert "more than the limit of 1.0 GB" in reasons[0]
    assert store.part_files(tmp_path) == []


def test_process_that_holds_too_much_between_networks_ends_the_campaign(runtime, clock, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "_check_memory", lambda proto, limit: None)
    monkeypatch.setattr(bench, "resident_bytes", lambda: 4 * 10**9)
    with pytest.raises(MeasurementError, match=r"holds 4\.0 GB between networks"):
        measure(tmp_path, runtime, clock)
    assert len(store.read_measurements(tmp_path)[0]) == 1, "what was measured is kept"


def test_part_that_a_loss_of_power_damaged_is_set_aside(runtime, clock, tmp_path):
    measure(tmp_path, runtime, clock, budget_s=3.0)
    last = store.part_files(tmp_path)[-1]
    last.write_bytes(b"")
    (tmp_path / ".part-0000000-0000001.parquet.abc").write_bytes(b"half")
    measure(tmp_path, runtime, clock, budget_s=3.0)
    assert (tmp_path / last.with_suffix(".damaged").name).exists()
    assert not list(tmp_path.glob(".part-*"))
    assert verify_measurements(tmp_path).problems == ()


def _stop_after(count):
    def progress(latest):
        if latest.refused == count:
            raise KeyboardInterrupt

    return progress


def _compiled_only_if_reference(original):
    def compile_(model, *args, **options):
        assert isinstance(model, bytes), "a network that does not fit was compiled"
        return original(model, *args, **options)

    return compile_
