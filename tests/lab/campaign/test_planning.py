import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.campaign.coverage import RANGE_CELLS, Coverage
from nnmeter.lab.campaign.cross_validation import cross_validate
from nnmeter.lab.campaign.planning import make_plan, plan_for, prior_plan, read_plans, write_plans
from nnmeter.lab.campaign.recipes import FAMILIES, PRIOR
from nnmeter.lab.campaign.samples import Samples
from nnmeter.lab.measuring.measurement import Measurement

RECIPES = {"even": 4.0, "wild": 1.0, "rest": 5.0}


def product(rows, columns, depth, kind="MatMul"):
    def tensor(*shape):
        return TensorType("float32", shape)

    inputs = (tensor(rows, depth), tensor(depth, columns))
    return KernelSignature(kind, kind, "", inputs, (False, True), (tensor(rows, columns),), ())


def campaign(networks=120, seed=0, noise=0.01, wildness=0.5, profiled=True):
    """Networks of products whose time follows FLOPs; those of `wild` vary as nothing explains."""
    rng = np.random.default_rng(seed)
    plan = prior_plan(0, RECIPES, 0.0)
    rows = []
    for number in range(networks):
        recipe = plan.recipe_of(number)
        kernels, times = [], []
        for _ in range(int(rng.integers(3, 8))):
            kind = "Gemm" if recipe == "wild" else "MatMul"
            kernel = product(*(int(2 ** rng.uniform(4, 9)) for _ in range(3)), kind)
            flops = 2 * kernel.inputs[0].elements * kernel.outputs[0].shape[1]
            spread = wildness if recipe == "wild" else noise
            kernels.append(kernel)
            times.append(float((flops / 4e7 + 0.005) * np.exp(rng.normal(0, spread))))
        total = sum(times) * float(np.exp(rng.normal(0, noise)))
        rows.append(
            Measurement(
                id=f"block:{recipe}-{number}", granularity="block", network=f"{recipe}-{number}", family=recipe,
                kernels=tuple(kernels), latency_ms=total, min_ms=total, median_ms=total, p90_ms=total, runs=9,
                reference_ms=1.0, half_ms=(total, total * 1.001), threads=1, batch=1, sitting="s",
                kernel_ms=tuple(times) if profiled else (),
                kernel_spread=(0.01,) * len(times) if profiled else (), kernel_runs=9 if profiled else 0,
            )
        )  # fmt: skip
    return rows


def samples_of(rows):
    samples = Samples()
    samples.add(rows)
    return samples


def test_recipes_of_seeds_follow_the_weights_in_any_stretch():
    plan = prior_plan(0, {"a": 1.0, "b": 2.0, "c": 7.0}, 0.0)
    for start in (0, 12345, 10**6):
        counts = Counter(plan.recipe_of(seed) for seed in range(start, start + 100))
        assert abs(counts["a"] - 10) <= 2
        assert abs(counts["b"] - 20) <= 2
        assert abs(counts["c"] - 70) <= 2


def test_prior_meets_every_recipe_early():
    plan = prior_plan(0, PRIOR, 0.0)
    assert {plan.recipe_of(seed) for seed in range(2000)} == set(FAMILIES)


def test_small_networks_have_their_share_in_every_recipe():
    plan = prior_plan(0, {"a": 1.0, "b": 1.0}, 0.75)
    small = Counter((plan.recipe_of(seed), plan.is_small(seed)) for seed in range(800))
    for recipe in "ab":
        assert small[recipe, True] == pytest.approx(300, abs=30)
        assert small[recipe, False] == pytest.approx(100, abs=30)
    assert not any(prior_plan(0, {"a": 1.0}, 0.0).is_small(seed) for seed in range(50))


def test_error_is_that_of_the_noise_where_times_follow_sizes():
    quiet = cross_validate(samples_of(campaign(wildness=0.01)).arrays())
    loud = cross_validate(samples_of(campaign(noise=0.15, wildness=0.15)).arrays())
    assert quiet.error < 0.05
    assert loud.error > 2 * quiet.error


def test_cross_validation_is_the_same_bit_for_bit():
    one, other = (cross_validate(samples_of(campaign()).arrays()) for _ in range(2))
    assert one.error == other.error
    assert np.array_equal(one.disagreement, other.disagreement)


def test_operator_that_a_fold_has_not_seen_is_worth_the_mean_of_all():
    rows = campaign(60, wildness=0.01)
    lone = product(64, 64, 64, "Einsum")
    rows[7] = dataclasses.replace(rows[7], kernels=(*rows[7].kernels, lone), kernel_ms=(*rows[7].kernel_ms, 0.02),
                                  kernel_spread=(*rows[7].kernel_spread, 0.01))  # fmt: skip
    arrays = samples_of(rows).arrays()
    validation = cross_validate(arrays)
    (row,) = np.flatnonzero(arrays.group == np.bincount(arrays.group).argmin())
    others = arrays.network % 5 != 7 % 5
    share = np.exp(arrays.log_ms) * arrays.count
    weight = np.sqrt(share / np.bincount(arrays.network, share)[arrays.network] * arrays.count)
    mean = np.average((arrays.log_ms - arrays.log_roofline)[others], weights=weight[others])
    assert validation.kernel_log_error[row] == pytest.approx(arrays.log_roofline[row] + mean - np.log(0.02))
    assert validation.disagreement[row] == 0.0


def test_kernels_are_told_apart_within_their_family_and_by_operator():
    """MatMul and Gemm of one family, one three times as slow as the other: neither takes the other's price."""
    rows = []
    for row in campaign(100, wildness=0.01):
        slow = [3.0 if kernel.op_type == "Gemm" else 1.0 for kernel in row.kernels]
        times = tuple(ms * factor for ms, factor in zip(row.kernel_ms, slow, strict=True))
        rows.append(dataclasses.replace(row, kernel_ms=times, latency_ms=sum(times), half_ms=(sum(times),) * 2))
    arrays = samples_of(rows).arrays()
    assert arrays.family_count == 1
    assert arrays.group_count == 2
    validation = cross_validate(arrays)
    for group in (0, 1):
        assert np.median(np.abs(validation.kernel_log_error[arrays.group == group])) < 0.15


def test_cross_validation_leaves_the_threads_of_this_process_alone():
    """scikit-learn's own pools would keep spinning behind the planning, beside what is timed next."""
    import threading

    arrays = samples_of(campaign()).arrays()
    cross_validate(arrays)
    tasks = Path("/proc/self/task")
    before = (threading.active_count(), len(list(tasks.iterdir())) if tasks.is_dir() else 0)
    cross_validate(arrays)
    assert (threading.active_count(), len(list(tasks.iterdir())) if tasks.is_dir() else 0) == before


def test_networks_without_kernel_times_are_told_apart_by_their_kernels():
    rows = campaign(200, wildness=0.01, profiled=False)
    validation = cross_validate(samples_of(rows).arrays())
    assert validation.error < 0.15
    assert np.isnan(validation.kernel_log_error).all()
    assert make_plan(200, RECIPES, 0.75, samples_of(rows))[0].networks == 200


def test_plan_turns_to_the_recipe_that_errs():
    plan, _ = make_plan(120, RECIPES, 0.0, samples_of(campaign()))
    share = sum(RECIPES.values())
    assert plan.weights["wild"] > 2 * RECIPES["wild"] / share
    assert sum(plan.weights.values()) == pytest.approx(1.0, abs=1e-4)
    assert plan.worst[0].startswith("matmul:Gemm|float32")


def test_error_that_measuring_explains_draws_fewer_samples():
    rows = campaign(wildness=0.1, noise=0.1)
    explained = [row if row.family != "wild" else _with_noise(row, 0.5, told=True) for row in rows]
    unexplained = [row if row.family != "wild" else _with_noise(row, 0.5, told=False) for row in rows]
    few, many = (make_plan(120, RECIPES, 0.0, samples_of(r))[0].weights["wild"] for r in (explained, unexplained))
    assert few < many


def _with_noise(row, noise, told):
    factor = float(np.exp(noise * (-1) ** int(row.network.rsplit("-", 1)[1])))
    halves = (row.latency_ms, row.latency_ms * factor**2) if told else (row.latency_ms * factor,) * 2
    return dataclasses.replace(row, latency_ms=row.latency_ms * factor, half_ms=halves)


def test_no_recipe_is_given_up_and_those_never_met_keep_their_place():
    prior = {**RECIPES, "unmet": 2.0}
    plan, _ = make_plan(120, prior, 0.0, samples_of(campaign()))
    total = sum(prior.values())
    for name, weight in plan.weights.items():
        assert 0.15 * prior[name] / total < weight < 9 * prior[name] / total


def test_plan_does_not_depend_on_how_the_samples_came_in():
    rows = campaign()
    piecewise = Samples()
    for start in range(0, len(rows), 7):
        piecewise.add(rows[start : start + 7])
    assert make_plan(120, RECIPES, 0.0, piecewise)[0] == make_plan(120, RECIPES, 0.0, samples_of(rows))[0]


def test_coverage_seeks_cells_that_few_networks_reach():
    coverage = Coverage()
    common, rare = ("type", "Conv", 0), ("type", "Resize", 0)
    for number in range(40):
        coverage.add("usual", [common])
        if number < 3:
            coverage.add("special", [common, rare])
    needs = coverage.needs()
    assert common not in needs
    assert needs[rare] == pytest.approx(1 - 3 / 12)
    assert set(RANGE_CELLS) <= set(needs)
    gains = coverage.expected_gain({})
    assert gains["special"] > gains["usual"] == 0.0


def test_plans_are_stored_and_found_by_seed(tmp_path):
    first = prior_plan(5, PRIOR, 0.75)
    second, _ = make_plan(120, RECIPES, 0.0, samples_of(campaign()))
    write_plans(tmp_path, [first, second])
    plans = read_plans(tmp_path)
    assert plans == [first, second]
    assert plan_for(plans, 4) is None
    assert plan_for(plans, 119) == first
    assert plan_for(plans, 120) == second
    assert [plans[1].recipe_of(s) for s in range(300)] == [second.recipe_of(s) for s in range(300)]


@pytest.mark.parametrize(
    "text", ["", "{}", '{"schema_version": 1, "plans": [{}]}', '{"schema_version": 9, "plans": []}']
)
def test_plan_file_that_cannot_be_trusted_is_refused(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(MeasurementError, match=r"plan\.json"):
        read_plans(tmp_path)


def test_plan_whose_weights_do_not_add_up_is_refused(tmp_path):
    write_plans(tmp_path, [prior_plan(0, RECIPES, 0.0)])
    content = json.loads((tmp_path / "plan.json").read_text())
    content["plans"][0]["weights"]["even"] = 3.0
    (tmp_path / "plan.json").write_text(json.dumps(content))
    with pytest.raises(MeasurementError, match="do not add up"):
        read_plans(tmp_path)
