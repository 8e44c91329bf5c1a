"""The compiled rule sets: what the modules state, with a reason and a source, each module with a test of its name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nnmeter.fusion.loading import RULESETS
from nnmeter.fusion.rulesets import RULE_SETS
from nnmeter.fusion.rulesets.builder import compile_rule_set
from nnmeter.fusion.rulesets.compiling import COMPILED, compile_all, compiled_text, rule_set
from tests.conftest import REPOSITORY

MODULES = REPOSITORY / "nnmeter" / "fusion" / "rulesets"
TESTS = REPOSITORY / "tests" / "fusion" / "rulesets"

# Modules that hold no pattern of their own, and modules that one test covers together.
WITHOUT_PATTERNS = {"__init__", "machine", "shared", "sources"}
TOGETHER = {"tflite": "linking", "openvino_myriad": "linking", "tensorrt": "linking"}


@pytest.mark.parametrize("name", RULE_SETS)
def test_the_file_is_what_the_modules_compile_to(name: str) -> None:
    text = (COMPILED / f"{name}.json").read_text(encoding="utf-8")
    assert text == compiled_text(rule_set(name)), "run python -m nnmeter.fusion.rulesets"


def test_every_file_is_of_a_rule_set_and_small() -> None:
    assert COMPILED == RULESETS
    assert {path.stem for path in COMPILED.iterdir()} == set(RULE_SETS)
    assert max(path.stat().st_size for path in COMPILED.iterdir()) < 300_000


def test_compiling_writes_what_changed_only(tmp_path: Path) -> None:
    assert {path.stem for path in compile_all(tmp_path)} == set(RULE_SETS)
    (tmp_path / "tensorrt_cuda.json").write_text("{}", encoding="utf-8")
    assert [path.stem for path in compile_all(tmp_path)] == ["tensorrt_cuda"]


@pytest.mark.parametrize("name", RULE_SETS)
def test_every_rule_and_procedure_says_why_and_where_it_is_from(name: str) -> None:
    stages = compile_rule_set(rule_set(name))["stages"]
    passes = [item for stage in stages for item in stage.get("passes", ())]
    stating = [rule for item in passes for rule in item.get("rules", ())]
    stating += [item for item in passes if item["kind"] != "rewrite"]
    assert stating or not stages  # a runtime that fuses nothing has none
    assert [item["name"] for item in stating if not (item["why"].endswith(".") and item["source"])] == []


@pytest.mark.parametrize("name", RULE_SETS)
def test_a_rule_is_one_line(name: str) -> None:
    text = (COMPILED / f"{name}.json").read_text(encoding="utf-8")
    rules = [
        rule["name"]
        for stage in json.loads(text)["stages"]
        for item in stage.get("passes", ())
        for rule in item.get("rules", ())
    ]
    lines = [json.loads(line.rstrip(",")) for line in text.splitlines() if '"match":' in line]
    assert [line["name"] for line in lines] == rules


@pytest.mark.parametrize("package", ["onnxruntime", "openvino", "mnn", "tract", "mobile"])
def test_every_module_has_a_test_of_its_name(package: str) -> None:
    modules = {path.stem for path in (MODULES / package).glob("*.py")} - WITHOUT_PATTERNS - {"plain_network"}
    tests = {path.stem.removeprefix("test_") for path in (TESTS / package).glob("test_*.py")}
    assert {TOGETHER.get(module, module) for module in modules} == tests


def test_a_prediction_does_not_import_the_builder(small_model: Path, small_pack: Path) -> None:
    arguments = ["predict", str(small_model), "--device", str(small_pack)]
    probe = (
        f"import sys\nfrom nnmeter.cli.main import run\ncode = run({arguments})\n"
        "print('loaded:', *(name for name in sys.modules if name.startswith('nnmeter.fusion.rulesets')))\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"
