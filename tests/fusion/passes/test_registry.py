"""Every pass is declared once, documents its fields, and has a test of its own; fields are checked when rules load."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest

from nnmeter.errors import DeviceError
from nnmeter.fusion.engine.passes import PassKind
from nnmeter.fusion.loading import load_rules
from nnmeter.fusion.passes.registry import PASS_KINDS
from tests.conftest import REPOSITORY

PASSES = REPOSITORY / "nnmeter" / "fusion" / "passes"
MODULES = sorted(path.relative_to(PASSES) for path in PASSES.glob("*/*.py") if path.name != "__init__.py")


def declared_in(module: Path) -> tuple[PassKind, ...]:
    name = ".".join(("nnmeter.fusion.passes", *module.with_suffix("").parts))
    return tuple(getattr(importlib.import_module(name), "PASSES", ()))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_with_a_pass_has_a_test_with_a_test_in_it(module: Path) -> None:
    if not declared_in(module):
        return
    test = Path(__file__).parent / module.parent / f"test_{module.name}"
    assert test.is_file(), f"{test} is missing"
    functions = [node.name for node in ast.parse(test.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert any(name.startswith("test_") for name in functions)


def test_the_registry_has_every_pass_that_a_module_declares() -> None:
    declared = [kind for module in MODULES for kind in declared_in(module)]
    assert sorted(kind.name for kind in declared) == sorted(PASS_KINDS)
    assert all(PASS_KINDS[kind.name] is kind for kind in declared)


@pytest.mark.parametrize("module", [module for module in MODULES if declared_in(module)], ids=str)
def test_the_docstring_of_a_module_names_every_field(module: Path) -> None:
    text = ast.get_docstring(ast.parse((PASSES / module).read_text())) or ""
    missing = [field for kind in declared_in(module) for field in kind.fields if f"`{field}`" not in text]
    assert missing == []


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        ({"kind": "unshare"}, "pass 'p': needs a field 'operators'"),
        ({"kind": "unshare", "operators": "Conv"}, "pass 'p': field 'operators': is 'Conv', not a list"),
        ({"kind": "unshare", "operators": ["Conv", 3]}, "field 'operators': item 1: is 3, not a word"),
        ({"kind": "unshare", "operators": [], "operator": []}, "unknown field 'operator'; known are operators"),
        ({"kind": "link", "links": [{"into": []}]}, "field 'links': item 0: needs a field 'operators'"),
        ({"kind": "fold_constants", "limit": -1}, "field 'limit': is -1, not a whole number from 0"),
        ({"kind": "retype", "types": {"float32": "f16"}, "cast": "Cast"}, "'float32': is 'f16', not an element type"),
        ({"kind": "push_transposes", "handlers": {"up": []}}, "is 'up', not one of"),
        ({"kind": "unshare", "operators": [], "repeat": 0}, "repeat is 0"),
        ({"kind": "unshare", "operators": [], "only_if": 1}, "'only_if' the name of a parameter"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_its_pass(item: dict[str, Any], fault: str) -> None:
    data = {
        "schema_version": 1,
        "name": "test",
        "runtime": "none",
        "stages": [{"name": "s", "passes": [{"name": "p", **item}]}],
    }
    with pytest.raises(DeviceError) as caught:
        load_rules(data)
    assert fault in str(caught.value)
    assert "stage 's': pass 'p'" in str(caught.value)
