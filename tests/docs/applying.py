"""Applies the diffs that a page of the documentation shows to a copy of the package, and runs Python there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import REPOSITORY

COPIED = ("nnmeter", "tests", "pyproject.toml")
_DIFF = re.compile(r"^```diff\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class AppliedPage:
    """A copy of the package and its tests, changed as the `diff` blocks of a page say."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.folder = folder
        self.diff = "".join(_DIFF.findall(page.read_text(encoding="utf-8")))
        if not self.diff:
            raise AssertionError(f"{page.name}: no block of ```diff")
        for name in COPIED:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)
        done = self._ran(["git", "apply", "--unidiff-zero", "-"], self.diff)
        assert done.returncode == 0, f"{page.name}: the diff does not apply: {done.stderr}"

    @property
    def touched(self) -> set[str]:
        """The files that the diff changes or adds."""
        return set(re.findall(r"^\+\+\+ b/(.*)$", self.diff, re.MULTILINE))

    def run(self, *arguments: str) -> str:
        """Runs Python in the copy, and gives its output; a failure is an assertion with its end."""
        done = self._ran([sys.executable, *arguments])
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout

    def _ran(self, command: Sequence[str], given: str | None = None) -> subprocess.CompletedProcess[str]:
        # git finds no repository above the copy, so that paths are those of the copy alone.
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder),
            "GIT_CEILING_DIRECTORIES": str(self.folder.parent),
        }
        return subprocess.run(
            command, cwd=self.folder, input=given, text=True, capture_output=True, env=environment, check=False
        )
