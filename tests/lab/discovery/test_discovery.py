"""Fusion rules found on a runtime whose law of fusion is known."""

from __future__ import annotations

import json

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.lab.discovery.bench import models_of
from nnmeter.lab.discovery.campaign import ROUND_SWEEPS, discover_fusion
from nnmeter.lab.discovery.catalogue import SIZES, TESTS, operators_of
from nnmeter.lab.discovery.counting import compare_kernels, kernel_types
from nnmeter.lab.discovery.decision import Verdict
from nnmeter.lab.discovery.findings import BLACK_BOX, SHIPPED, WHITE_BOX, Finding
from nnmeter.lab.discovery.models import build_model
from nnmeter.lab.discovery.ruleset import fusion_rule, rules_of
from tests.fusion.models import CONV, make_graph
from tests.lab.discovery.fake_runtime import LawfulRuntime, NoisyClock

LAW = {("Conv", "Relu"), ("Conv", "Clip"), ("Conv", "BatchNormalization"), ("MatMul", "Add"), ("Add", "Relu")}
NAMES = (
    "Conv > Relu [image]", "Conv > Sigmoid [image]", "Conv > BatchNormalization [image]", "Conv > MaxPool [image]",
    "Conv, BatchNormalization > Relu [image]", "Add > Relu [image]", "MaxPool > Relu [image]",
    "Conv depthwise > Clip [image]", "MatMul > Add bias [matrix]", "MatMul > Relu [matrix]",
    "Div scalar > Softmax [heads]",
)  # fmt: skip
CHOSEN = [test for test in TESTS if test.name in NAMES]


def _discover(clock, law=LAW, tests=CHOSEN, runtime=None, **options):
    runtime = runtime or LawfulRuntime(clock, law)
    options.setdefault("budget_s", 1e6)
    discovery = discover_fusion(runtime, tests=tests, clock=clock, **options)
    assert not runtime.live or all(model.closed for model in runtime.live)
    return discovery


def test_timings_agree_with_the_law():
    discovery = _discover(NoisyClock())
    fused = {f.test.name for f in discovery.findings if f.verdict(BLACK_BOX) is Verdict.FUSED}
    assert fused == {
        "Conv > Relu [image]", "Conv > BatchNormalization [image]", "Add > Relu [image]",
        "Conv depthwise > Clip [image]", "MatMul > Add bias [matrix]",
    }  # fmt: skip
    assert discovery.undecided_share == 0
    (agreement,) = discovery.agreements
    assert (agreement.first, agreement.second) == (BLACK_BOX, WHITE_BOX)
    assert agreement.agreed == agreement.compared == len(CHOSEN)


def test_few_wrong_verdicts_and_few_undecided_over_many_sittings():
    wrong = undecided = tests = 0
    for seed in range(4):
        discovery = _discover(NoisyClock(seed, noise=0.06), seed=seed)
        (agreement,) = discovery.agreements
        wrong += agreement.compared - agreement.agreed
        undecided += discovery.count(BLACK_BOX, Verdict.UNDECIDED)
        tests += len(discovery.findings)
    assert wrong <= 0.03 * tests
    assert undecided <= 0.1 * tests


def test_a_test_is_repeated_until_it_is_decided():
    quiet, loud = ({f.test.name: f.estimate.sweeps for f in _discover(NoisyClock(1, noise)).findings}
                   for noise in (0.003, 0.08))  # fmt: skip
    assert max(quiet.values()) == ROUND_SWEEPS
    assert max(loud.values()) > ROUND_SWEEPS
    assert all(loud[name] >= quiet[name] for name in NAMES)


def test_what_stays_undecided_is_made_again_with_larger_models():
    clock = NoisyClock()
    runtime = LawfulRuntime(clock, LAW, free={"Relu"})
    discovery = _discover(clock, runtime=runtime, tests=[t for t in CHOSEN if t.name == "MaxPool > Relu [image]"])
    (finding,) = discovery.findings
    assert finding.verdict(BLACK_BOX) is Verdict.UNDECIDED
    assert finding.verdict(WHITE_BOX) is Verdict.FREE
    assert finding.size == len(SIZES) - 1
    assert {shape[-1] for shape in runtime.inputs} >= {sizes["H"] for sizes in SIZES}
    assert discovery.undecided_share == 1


def test_the_budget_is_kept():
    clock = NoisyClock(noise=0.3)
    discovery = _discover(clock, tests=TESTS, budget_s=3.0)
    assert clock.now_s < 6.0
    assert discovery.undecided_share > 0.5
    assert len(discovery.findings) == len(TESTS)
    assert all(finding.executed is not None for finding in discovery.findings)  # kernels are counted all the same


def test_a_runtime_that_does_not_tell_is_found_out_by_timings():
    clock = NoisyClock()
    discovery = _discover(clock, runtime=LawfulRuntime(clock, LAW, tells=False))
    assert all(finding.executed is None for finding in discovery.findings)
    assert {f.best[1] for f in discovery.findings} == {BLACK_BOX}
    with pytest.raises(MeasurementError, match="does not tell what it executes"):
        _discover(clock, runtime=LawfulRuntime(clock, LAW, tells=False), black_box=False)


def test_kernels_alone_need_no_run():
    clock = NoisyClock()
    runtime = LawfulRuntime(clock, LAW)
    discovery = _discover(clock, runtime=runtime, black_box=False)
    assert runtime.runs == 0
    assert {f.test.name for f in discovery.findings if f.verdict(WHITE_BOX) is Verdict.FUSED} >= {"Conv > Relu [image]"}


def test_a_refused_model_leaves_the_other_tests_alone():
    clock = NoisyClock()
    discovery = _discover(clock, runtime=LawfulRuntime(clock, LAW, refuses={"Sigmoid"}))
    refused = [finding for finding in discovery.findings if finding.fault]
    assert [finding.test.name for finding in refused] == ["Conv > Sigmoid [image]"]
    assert discovery.undecided_share == 0
    with pytest.raises(MeasurementError, match="refuses all models"):
        _discover(clock, runtime=LawfulRuntime(clock, LAW, refuses={"Split"}, tells=False))


def test_same_seed_same_findings():
    first, second = (_discover(NoisyClock(3), seed=5) for _ in range(2))
    assert first.findings == second.findings


def test_rules_are_written_and_work():
    discovery = _discover(NoisyClock(), black_box=False, shipped=load_rules("onnxruntime_cpu"))
    document = json.loads(json.dumps(rules_of(discovery)))
    rules = load_rules(document)
    assert {entry["test"] for entry in document["evidence"]["tests"]} == set(NAMES)
    graph = make_graph(
        f"agraph (float[1,32,8,8] x) => (float[1,32,8,8] y) "
        f"{{ a = {CONV}(x, w) b = BatchNormalization(a, s, s, s, s) c = Relu(b) d = {CONV}(c, v) y = Sigmoid(d) }}",
        w=(32, 32, 3, 3), v=(32, 32, 3, 3), s=(32,),
    )  # fmt: skip
    kernels = detect_kernels(graph, rules)
    assert [kernel.type for kernel in kernels] == ["Conv+Relu", "Conv", "Sigmoid"]
    assert len(kernels[0].nodes) == 3


def test_the_rules_of_a_test_fuse_its_model():
    """Each test's own rule saves a kernel in its joined model, and loads."""
    for test in TESTS:
        document = {
            "schema_version": 1, "name": "one", "runtime": "any", "runtime_version": "", "parameters": {},
            "stages": [{"name": "s", "repeat": 4, "passes": [
                {"name": "p", "kind": "rewrite", "rules": [fusion_rule(test)]}]}],
        }  # fmt: skip
        rules = load_rules(document)
        types = {}
        for role, key in models_of(test).items():
            model = build_model(key.domain, operators_of(key.operators, key.domain), SIZES[0], key.alone)
            types[role] = kernel_types(detect_kernels(bind_shapes(read_model(model)), rules))
        count = compare_kernels(types, SIZES[0]["N"])
        # A rule for pools fuses the tail into the pool of the prelude as well: then nothing is said.
        assert count.saved >= 1 or count.verdict is Verdict.FREE, test.name


def test_disagreements_are_listed():
    discovery = _discover(NoisyClock(), law=LAW - {("Conv", "Relu")}, shipped=load_rules("onnxruntime_cpu"))
    shipped = next(a for a in discovery.agreements if (a.first, a.second) == (BLACK_BOX, SHIPPED))
    assert "Conv > Relu [image]" in shipped.disagreements
    assert shipped.share < 1


def test_best_verdict_prefers_the_executed_graph():
    assert Finding(CHOSEN[0]).best is None
