"""The scripts of `benchmarks/fuzz`, which are no package."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.cli.conftest import cli
from tests.conftest import REPOSITORY

__all__ = ["cli", "scripts"]


@pytest.fixture(scope="session")
def scripts() -> Iterator[None]:
    """While it lasts, they can be imported by their names."""
    folder = str(REPOSITORY / "benchmarks" / "fuzz")
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
