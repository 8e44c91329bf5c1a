"""The page on adding a runtime shows a diff that does it: applied to a copy, its own test passes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.docs.applying import AppliedPage

PAGE = REPOSITORY / "docs" / "adding-a-runtime.md"
POINT = "nnmeter.lab.runtimes.onnx_reference:ReferenceAdapter"
VERSION = """
from nnmeter.fusion.ruleset_index import rule_set_of
print(rule_set_of("onnx-reference").distributions)
"""


@pytest.mark.skipif(shutil.which("git") is None, reason="applies a diff with git")
def test_the_diff_of_the_page_adds_a_runtime_that_passes_its_test(tmp_path: Path) -> None:
    page = AppliedPage(PAGE, tmp_path)
    assert page.touched == {
        "nnmeter/lab/runtimes/onnx_reference.py",
        "nnmeter/fusion/rulesets/onnx_reference.py",
        "nnmeter/fusion/rulesets/__init__.py",
        "pyproject.toml",
        "tests/lab/runtimes/test_onnx_reference.py",
    }
    assert f'onnx-reference = "{POINT}"' in (tmp_path / "pyproject.toml").read_text(encoding="utf-8")
    assert "onnx_reference_cpu.json" in page.run("-m", "nnmeter.fusion.rulesets")
    assert page.run("-c", VERSION).strip() == "('onnx',)"
    tests = (
        "tests/lab/runtimes/test_onnx_reference.py",
        "tests/fusion/rulesets/test_compiled.py",
        "tests/test_layers.py",
    )
    page.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "onnx_reference or layers", *tests)
