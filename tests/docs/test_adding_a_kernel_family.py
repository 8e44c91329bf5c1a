"""The page on adding a kernel family shows a diff that does it: applied to a copy, its own tests pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "adding-a-kernel-family.md"


@pytest.mark.skipif(shutil.which("git") is None, reason="applies a diff with git")
def test_the_diff_of_the_page_adds_a_family_that_passes_its_tests(tmp_path: Path) -> None:
    (diff,) = re.findall(r"^```diff\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for name in ("nnmeter", "tests/kernels", "tests/__init__.py", "tests/conftest.py", "pyproject.toml"):
        source, target = REPOSITORY / name, tmp_path / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    applied = subprocess.run(
        ["git", "apply", "--unidiff-zero", "-"],
        cwd=tmp_path,
        input=diff,
        text=True,
        capture_output=True,
        env=environment,
    )
    assert applied.returncode == 0, applied.stderr
    touched = set(re.findall(r"^\+\+\+ b/(.*)$", diff, re.MULTILINE))
    code = {path for path in touched if path.startswith("nnmeter/")}
    assert code == {"nnmeter/kernels/features/spectral.py", "nnmeter/operators/table.py"}
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/kernels",
            "tests/kernels/test_spectral.py",
        ],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        env=environment,
    )
    assert run.returncode == 0, run.stdout[-2000:]
