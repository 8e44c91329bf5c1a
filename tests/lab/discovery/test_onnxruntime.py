"""The executed graph of ONNX Runtime as a source of fusion rules, and the command."""

from __future__ import annotations

import json

import pytest

from nnmeter.cli.main import run
from nnmeter.fusion.loading import load_rules
from nnmeter.lab.discovery.campaign import discover_fusion
from nnmeter.lab.discovery.catalogue import TESTS
from nnmeter.lab.discovery.decision import Verdict
from nnmeter.lab.discovery.findings import SHIPPED, WHITE_BOX

pytest.importorskip("onnxruntime")

EXPECTED = {
    "Conv > Relu [image]": Verdict.FUSED,
    "Conv > BatchNormalization [image]": Verdict.FUSED,
    "Conv > Softmax [image]": Verdict.SEPARATE,
    "MaxPool > Relu [image]": Verdict.SEPARATE,
    "MatMul > Add bias [matrix]": Verdict.FUSED,
    "MatMul > Relu [matrix]": Verdict.SEPARATE,
    "Sigmoid > Mul origin [tokens]": Verdict.FUSED,
    "Gelu parts > Mul half [tokens]": Verdict.FUSED,
    "Add > LayerNormalization [tokens]": Verdict.FUSED,
}


def test_the_executed_graph_tells():
    from nnmeter.lab.runtimes import load_runtime

    tests = [test for test in TESTS if test.name in EXPECTED]
    assert len(tests) == len(EXPECTED)
    discovery = discover_fusion(
        load_runtime("onnxruntime"), tests=tests, black_box=False, shipped=load_rules("onnxruntime_cpu")
    )
    assert {f.test.name: f.verdict(WHITE_BOX) for f in discovery.findings} == EXPECTED
    (agreement,) = discovery.agreements
    assert (agreement.first, agreement.second, agreement.share) == (WHITE_BOX, SHIPPED, 1.0)
    relu = next(f for f in discovery.findings if f.test.name == "Conv > Relu [image]")
    assert [kind.removeprefix("nchwc.") for kind in relu.executed.kernels] == ["Conv+Relu"]


def test_the_command_writes_rules_and_a_report(tmp_path, capsys):
    rules_file = tmp_path / "rules.json"
    arguments = ["fusion", "--out", str(rules_file), "--white-box", "--only", "conv>relu", "--only", "Gelu parts*"]
    assert run([*arguments, "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [test["test"] for test in report["tests"]] == ["Conv > Relu [image]", "Gelu parts > Mul half [tokens]"]
    assert {test["verdict"] for test in report["tests"]} == {"fused"}
    assert report["compared_with"] == "onnxruntime-cpu"
    rules = load_rules(rules_file)
    (found,) = [item for item in rules.stages[0].passes if item.name == "found"]
    assert {rule.name for rule in found.fields["rules"]} == {test["test"] for test in report["tests"]}


@pytest.mark.parametrize("report_format", ["table", "md"])
def test_the_command_times(tmp_path, capsys, report_format):
    arguments = ["fusion", "--out", str(tmp_path / "rules.json"), "--only", "Conv > Relu", "--budget", "1s"]
    assert run([*arguments, "--format", report_format]) == 0
    report = capsys.readouterr().out
    assert "Conv > Relu [image]" in report
    assert "executed graph" in report


def test_an_unknown_test_is_named(tmp_path, capsys):
    assert run(["fusion", "--out", str(tmp_path / "rules.json"), "--only", "Conv > Nothing"]) == 2
    assert "'Conv > Nothing': there is no such test" in capsys.readouterr().err
    assert not (tmp_path / "rules.json").exists()
