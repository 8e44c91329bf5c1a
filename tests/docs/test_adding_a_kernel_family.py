"""The page on adding a kernel family shows a diff that does it: applied to a copy, its own tests pass."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.docs.applying import AppliedPage

PAGE = REPOSITORY / "docs" / "adding-a-kernel-family.md"


@pytest.mark.skipif(shutil.which("git") is None, reason="applies a diff with git")
def test_the_diff_of_the_page_adds_a_family_that_passes_its_tests(tmp_path: Path) -> None:
    page = AppliedPage(PAGE, tmp_path)
    code = {path for path in page.touched if path.startswith("nnmeter/")}
    assert code == {"nnmeter/kernels/features/spectral.py", "nnmeter/operators/table.py"}
    page.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/kernels")
    assert (tmp_path / "tests" / "kernels" / "test_spectral.py").is_file()
