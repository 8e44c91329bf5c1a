"""The page on adding a fusion rule shows a diff that does it: applied to a copy, its own test passes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.docs.applying import AppliedPage

PAGE = REPOSITORY / "docs" / "adding-a-fusion-rule.md"
KERNELS = """
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from tests.fusion.models import make_graph
graph = make_graph("m (bool[4] c, float[4] a, float[4] b) => (float[4] y, float[4] z) { BODY }")
print(*(kernel.type for kernel in detect_kernels(graph, load_rules("onnxruntime_cpu"))))
""".replace("BODY", "n=Not(c) y=Where(n,a,b) z=Where(n,b,a)")


@pytest.mark.skipif(shutil.which("git") is None, reason="applies a diff with git")
def test_the_diff_of_the_page_adds_a_rule_that_passes_its_tests(tmp_path: Path) -> None:
    page = AppliedPage(PAGE, tmp_path)
    assert page.touched == {
        "nnmeter/fusion/rulesets/onnxruntime/__init__.py",
        "nnmeter/fusion/rulesets/onnxruntime/not_two_wheres.py",
        "tests/fusion/rulesets/onnxruntime/test_not_two_wheres.py",
    }
    assert page.run("-c", KERNELS).split() == ["Not", "Where", "Where"]
    assert "onnxruntime_basic.json" in page.run("-m", "nnmeter.fusion.rulesets")
    assert page.run("-c", KERNELS).split() == ["Where", "Where"]
    tests = ("onnxruntime/test_not_two_wheres.py", "test_compiled.py")
    wanted = "not_two_wheres or compile_to or test_of_its_name or says_why"
    folder = "tests/fusion/rulesets"
    page.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", wanted, *(f"{folder}/{name}" for name in tests))
