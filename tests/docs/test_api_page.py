"""The page that the site fills with docstrings names every public name, where it is at home."""

from __future__ import annotations

import re
from importlib import import_module

import nnmeter
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r'^::: ([\w.]+)\.(\w+)\n    options:\n      heading: "nnmeter\.(\w+)"$', PAGE, re.M)


def test_every_public_name_is_there_once() -> None:
    assert sorted(name for _, _, name in ENTRIES) == sorted(set(nnmeter.__all__) - {"__version__"})
    assert PAGE.count("\n::: ") == len(ENTRIES)


def test_each_is_what_nnmeter_gives_under_that_name() -> None:
    for module, name, heading in ENTRIES:
        assert name == heading
        assert getattr(import_module(module), name) is getattr(nnmeter, name)
