import json
import os
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import jsonschema
import onnx
import pytest

from nnmeter.errors import BudgetError
from tests.comparison.conftest import make_chain
from tests.conftest import REPOSITORY, make_small_model

SCHEMA = json.loads((REPOSITORY / "docs" / "schema" / "check.schema.json").read_text(encoding="utf-8"))

BUDGET = """
device = "{device}"

[[budget]]
models = "models/*.onnx"
{limits}
"""


@pytest.fixture
def repository(cli: Callable, small_pack: Path) -> Callable[[str], Path]:
    """Writes a file of budgets into the present folder, which has two models; `cli` has made it the present one."""
    Path("models").mkdir()
    onnx.save(make_chain((16, 16)), "models/small.onnx")
    onnx.save(make_chain((64, 64)), "models/wide.onnx")

    def write(limits: str) -> Path:
        Path("nnmeter.toml").write_text(BUDGET.format(device=small_pack, limits=limits))
        return Path("nnmeter.toml")

    return write


@pytest.fixture
def times(cli: Callable, repository: Callable, small_pack: Path) -> dict[str, float]:
    """Predicted milliseconds of the two models."""
    found = json.loads(cli("predict", "models", "--device", small_pack, "--format", "json").out)
    return {Path(p["model"]).stem: p["latency_ms"] for p in found}


def test_budgets_that_hold(cli: Callable, repository: Callable) -> None:
    repository("max_ms = 1000\nmin_coverage_percent = 10")
    outcome = cli("check")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith("4 limits on 2 models: all hold\n")


def test_a_model_that_is_too_slow_is_red_with_the_whole_table(
    cli: Callable, repository: Callable, times: dict[str, float]
) -> None:
    repository(f"max_ms = {(times['small'] + times['wide']) / 2}")
    outcome = cli("check")
    assert outcome.code == 1
    assert outcome.error_line == "nnmeter: 2 limits on 2 models: 1 exceeded"
    rows = {line.split()[1]: line.split()[0] for line in outcome.out.splitlines() if "at most" in line}
    assert rows == {"models/small.onnx": "ok", "models/wide.onnx": "OVER"}


def test_a_probability_asks_for_more_than_the_prediction(
    cli: Callable, repository: Callable, times: dict[str, float]
) -> None:
    """At the predicted time itself, half of what is measured is over."""
    repository(f"max_ms = {1.0001 * times['wide']}")
    assert cli("check").code == 0
    repository(f"max_ms = {1.0001 * times['wide']}\nprobability = 0.9")
    outcome = cli("check", "--format", "json")
    assert outcome.code == 1
    document = json.loads(outcome.out)
    jsonschema.validate(document, SCHEMA)
    assert [finding["holds"] for finding in document["findings"]] == [True, False]
    assert document["findings"][1]["value"] == pytest.approx(0.5, abs=0.01)


def test_growth_is_measured_against_the_baseline(cli: Callable, repository: Callable) -> None:
    repository("max_growth_percent = 5")
    outcome = cli("check")
    assert outcome.code == 2
    assert "there is no baseline yet; make it with `nnmeter check --update`" in outcome.error_line
    assert cli("check", "--update").out == "nnmeter-baseline.json: 2 predictions\n"
    written = Path("nnmeter-baseline.json").read_bytes()
    assert cli("check").code == 0
    cli("check", "--update")
    assert Path("nnmeter-baseline.json").read_bytes() == written
    onnx.save(make_chain((16, 16, 16)), "models/small.onnx")
    outcome = cli("check")
    assert outcome.code == 1
    assert "added: /layer" in outcome.out
    shutil.copy("models/small.onnx", "models/another.onnx")
    outcome = cli("check", "--format", "json")
    (new,) = (f for f in json.loads(outcome.out)["findings"] if f["model"] == "models/another.onnx")
    assert (new["value"], new["holds"]) == (None, False)
    assert "not in the baseline" in new["words"]


# Elements of the schema of Jenkins (`junit-10.xsd` of its xUnit plugin), with attributes that they must and may have.
JUNIT: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": ({"name", "tests", "failures", "errors"}, {"time", "skipped", "timestamp", "hostname", "id"}),
    "testcase": ({"name"}, {"classname", "time", "group"}),
    "failure": (set(), {"type", "message"}),
}


def test_every_format_at_once_and_twice_the_same_bytes(
    cli: Callable, repository: Callable, times: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(f"max_ms = {times['small'] * 1.01}")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    arguments = ("check", "--junit", "junit.xml", "--benchmark", "benchmark.json", "--summary")
    first = cli(*arguments)
    assert first.code == 1
    suite = ElementTree.fromstring(Path("junit.xml").read_text())
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("classname") for case in suite.iter("testcase") if case.find("failure") is not None] == [
        "models/wide.onnx"
    ]
    for name, (required, allowed) in JUNIT.items():
        for element in suite.iter(name):
            assert required <= set(element.keys()) <= required | allowed
    assert {element.tag for element in suite.iter()} == set(JUNIT)
    benchmark = json.loads(Path("benchmark.json").read_text())
    assert [entry["unit"] for entry in benchmark] == ["ms", "ms"]
    assert {entry["name"]: entry["value"] for entry in benchmark} == {
        f"models/{name}.onnx on test-onnxruntime-1t": pytest.approx(ms, rel=1e-5) for name, ms in times.items()
    }
    summary = Path("summary.md").read_text()
    assert "| **over** | `models/wide.onnx` |" in summary
    files = {name: Path(name).read_bytes() for name in ("junit.xml", "benchmark.json")}
    assert cli(*arguments).out == first.out
    assert {name: Path(name).read_bytes() for name in files} == files
    assert Path("summary.md").read_text() == 2 * summary


def test_sizes_devices_and_names_are_of_each_budget(cli: Callable, repository: Callable, small_pack: Path) -> None:
    repository("max_ms = 1000")
    onnx.save(make_small_model("batch"), "free.onnx")
    text = (
        Path("nnmeter.toml").read_text()
        + f"""
[[budget]]
name = "big"
models = ["free.onnx", "*.onnx"]
device = ["{small_pack}", "epyc-genoa-onnxruntime1.32-1t"]
dims = {{ batch = [1, 8] }}
max_ms = 1000
"""
    )
    folder = Path("deep")
    folder.mkdir()
    Path("nnmeter.toml").write_text(text)
    os.chdir(folder)  # names are relative to the file, not to where the command runs
    document = json.loads(cli("check", "../nnmeter.toml", "--format", "json").out)
    big = [(f["model"], f["device"], f["sizes"]) for f in document["findings"] if f["budget"] == "big"]
    devices = ("test-onnxruntime-1t", "epyc-genoa-onnxruntime1.32-1t")
    assert big == [("free.onnx", device, f"batch={size}") for size in (1, 8) for device in devices]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("max_sm = 40", "budget 1: unknown key 'max_sm'; did you mean 'max_ms'?"),
        ("max_ms = 40\nzzz = 1", "unknown key 'zzz'; known keys are name, models"),
        ("max_ms = 0", "max_ms is not above 0: 0"),
        ("max_ms = '40'", "max_ms is no number: '40'"),
        ("max_ms = nan", "max_ms is no number: nan"),
        ("max_ms = true", "max_ms is no number: True"),
        ("max_ms = 40\nprobability = 1", "probability is not between 0 and 1"),
        ("min_coverage_percent = 5\nprobability = 0.5", "probability is of max_ms"),
        ("min_coverage_percent = 101", "is above 100"),
        ("max_growth_percent = -1", "is below 0"),
        ("", "budget 1 has no limit; give one of max_ms"),
        ("max_ms = 40\ndims = { batch = 0 }", "dims.batch is no whole number above 0"),
        ("max_ms = 40\ndims = { batch = [] }", "dims.batch is an empty list"),
        ("max_ms = 40\nshapes = { input = 3 }", "shapes.input is no list of sizes"),
        ("max_ms = 40\ndevice = 'nowhere'", "unknown device"),
        ("max_ms = 40\nmodels = 'x'", "no TOML: "),
    ],
)
def test_what_may_not_be_written_is_one_line(cli: Callable, repository: Callable, limits: str, message: str) -> None:
    repository(limits)
    outcome = cli("check")
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.error_line


def test_a_file_that_is_missing_or_empty_says_how_to_begin(cli: Callable, repository: Callable) -> None:
    assert "there is no such file of budgets; write one: device" in cli("check").error_line
    onnx.save(make_small_model("batch"), "models/free.onnx")
    repository("max_ms = 3")
    assert "--dim batch=1 is dims = { batch = 1 }" in cli("check").error_line
    Path("nnmeter.toml").write_text("")
    assert "it has no budget; add a table [[budget]]" in cli("check").error_line
    Path("nnmeter.toml").write_text("[[budget]]\nmodels = 'models/*.onnx'\nmax_ms = 3\n")
    assert "has no device; name one" in cli("check").error_line
    Path("nnmeter.toml").write_text("device = 'x'\n[[budget]]\nmodels = 'nets/*.onnx'\nmax_ms = 3\n")
    assert "no file fits 'nets/*.onnx'" in cli("check").error_line
    Path("nnmeter.toml").write_text("device = 'x'\n[[budget]]\nmax_ms = 3\n")
    assert "budget 1 has no models" in cli("check").error_line


@pytest.mark.parametrize("content", ["{}", "[]", "nothing", '{"schema_version": 2}',
                                     '{"schema_version": 1, "entries": [{"model": "a"}]}',
                                     '{"schema_version": 1, "entries": [{"model": "models/small.onnx", "sizes": "",'
                                     ' "device": "test-onnxruntime-1t", "kernels": [["n", "", 1, [], ["C", "C", "",'
                                     ' [["float77", 1]], [0], [], {}]]]}]}',
                                     '{"schema_version": 1, "entries": [{"model": "a", "device": "b", "sizes": "",'
                                     ' "kernels": [[1, 2]]}]}',
                                     '{"schema_version": 1, "entries": [{"model": "a", "device": "b", "sizes": "",'
                                     ' "kernels": [["n", "", 1e999, [], ["Add", "Add", "", [["float32", 1]], [0], [],'
                                     ' {}]]]}]}',
                                     '{"schema_version": 1, "entries": [{"model": "a", "device": "b", "sizes": "",'
                                     ' "kernels": [["n", "", 1, [], ["Add", "Add", "", [["float32", 1]], [0], [],'
                                     ' {"a": {"b": 1}}]]]}]}'])  # fmt: skip
def test_a_damaged_baseline_is_one_line(cli: Callable, repository: Callable, content: str) -> None:
    repository("max_growth_percent = 5")
    Path("nnmeter-baseline.json").write_text(content)
    outcome = cli("check")
    assert outcome.code == 2
    assert "make it anew with `nnmeter check --update`" in outcome.error_line


def test_a_summary_needs_a_workflow(cli: Callable, repository: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    repository("max_ms = 1000")
    assert "$GITHUB_STEP_SUMMARY is not set" in cli("check", "--summary").error_line
    assert "--update checks nothing" in cli("check", "--update", "--junit", "x.xml").error_line


def test_errors_of_budgets_are_errors_of_nnmeter() -> None:
    assert issubclass(BudgetError, ValueError)


def test_the_simple_case_is_an_option_of_predict(
    cli: Callable, small_pack: Path, repository: Callable, times: dict[str, float]
) -> None:
    arguments = ("predict", "models/wide.onnx", "--device", small_pack, "--format", "json")
    report = cli(*arguments).out
    over = cli(*arguments, "--max-ms", 0.9 * times["wide"])
    assert (over.code, over.out) == (1, report)
    assert over.error_line.startswith("nnmeter: over --max-ms 0.")
    assert "models/wide.onnx" in over.error_line
    assert cli(*arguments, "--max-ms", 1.01 * times["wide"]).code == 0
    tight = cli(*arguments, "--max-ms", 1.01 * times["wide"], "--probability", 0.9)
    assert tight.code == 1
    assert "90 % are asked for" in tight.error_line
    assert cli(*arguments, "--max-ms", 100 * times["wide"], "--probability", 0.9).code == 0
    assert "--probability is of --max-ms" in cli(*arguments, "--probability", 0.9).error_line
    assert cli(*arguments, "--max-ms", "nan").code == 2


# The action and the hook, as a workflow and pre-commit run them.


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, str]:
    """An environment whose path has an `nnmeter` of this interpreter."""
    folder = tmp_path / "programs"
    folder.mkdir()
    program = folder / "nnmeter"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m nnmeter "$@"\n')
    program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }


def steps_of(action: Path) -> tuple[dict[str, str], list[dict[str, object]]]:
    """Defaults of the inputs, and the steps, of a composite action."""
    yaml = pytest.importorskip("yaml")
    document = yaml.safe_load(action.read_text(encoding="utf-8"))
    assert document["runs"]["using"] == "composite"
    assert all(step["shell"] == "bash" for step in document["runs"]["steps"])
    return {name: entry["default"] for name, entry in document["inputs"].items()}, document["runs"]["steps"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="the action's steps are for bash")
@pytest.mark.parametrize(("factor", "code"), [(2.0, 0), (0.5, 1)])
def test_the_action_checks_the_budgets(
    repository: Callable, times: dict[str, float], programs: dict[str, str], factor: float, code: int
) -> None:
    repository(f"max_ms = {factor * times['wide']}")
    inputs, steps = steps_of(REPOSITORY / "action.yml")
    inputs |= {"requirement": "none", "junit": "junit.xml", "benchmark": "times.json"}
    run = [step for step in steps if step.get("if") != "inputs.requirement != 'none'"]
    assert len(run) == len(steps) - 1
    for step in run:
        given = {name: value.replace("${{ inputs.", "").replace(" }}", "") for name, value in step["env"].items()}
        environment = {**programs, **{name: inputs[value] for name, value in given.items()}}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
    assert "models/wide.onnx" in Path(programs["GITHUB_STEP_SUMMARY"]).read_text()
    assert Path("junit.xml").is_file() and Path("times.json").is_file()


def test_the_hook_checks_the_budgets(repository: Callable, times: dict[str, float], programs: dict[str, str]) -> None:
    yaml = pytest.importorskip("yaml")
    (hook,) = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["pass_filenames"] is False
    repository(f"max_ms = {0.5 * times['wide']}")
    done = subprocess.run([*shlex.split(hook["entry"])], env=programs, capture_output=True, text=True)
    assert done.returncode == 1
    assert "OVER" in done.stdout


def test_memory_is_limited_too(cli: Callable, repository: Callable, small_pack: Path) -> None:
    found = json.loads(cli("memory", "models", "--device", small_pack, "--format", "json").out)
    small, wide = (document["peak_bytes"] / 2**20 for document in found)
    assert small < wide
    repository(f"max_peak_mib = {(small + wide) / 2}")
    outcome = cli("check", "--format", "json")
    assert outcome.code == 1
    document = json.loads(outcome.out)
    jsonschema.validate(document, SCHEMA)
    assert [(f["limit"], f["holds"]) for f in document["findings"]] == [("max_peak_mib", True), ("max_peak_mib", False)]
    assert document["findings"][0]["value"] == pytest.approx(small, rel=1e-5)
