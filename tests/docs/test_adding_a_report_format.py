"""The page "Adding a report format" works as it is written: its diff is one file and a test, and both do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.docs.applying import AppliedPage


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> AppliedPage:
    return AppliedPage(REPOSITORY / "docs" / "adding-a-report-format.md", tmp_path_factory.mktemp("copy"))


def test_a_format_is_one_file_and_its_test(applied: AppliedPage) -> None:
    assert applied.touched == {"nnmeter/report/predictions_jsonl.py", "tests/report/test_predictions_jsonl.py"}


def test_its_test_passes_and_so_do_those_of_all_formats(applied: AppliedPage) -> None:
    files = ["test_predictions_jsonl.py", "test_hostile_names.py", "test_registry.py"]
    applied.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/report/{name}" for name in files))


def test_the_command_line_offers_it(applied: AppliedPage, small_pack: Path) -> None:
    assert "jsonl" in applied.run("-m", "nnmeter", "predict", "--help")
