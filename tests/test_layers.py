"""The house: two halves, layers in each, and arrows that only go down. Imports inside functions count as well."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "nnmeter"

# From the ground up: a module may import from its own layer and from those above it in this list, never from one below.
CORE = (
    (
        "nnmeter._version",
        "nnmeter.errors",
        "nnmeter.limits",
        "nnmeter.collector",
        "nnmeter.wording",
        "nnmeter.children",
    ),
    ("nnmeter.files",),
    ("nnmeter.graph",),
    ("nnmeter.operators",),
    ("nnmeter.binding",),
    ("nnmeter.formats",),
    ("nnmeter.kernels",),
    ("nnmeter.fusion.engine",),
    ("nnmeter.fusion.passes",),
    ("nnmeter.fusion",),
    ("nnmeter.transforms",),
    ("nnmeter.predictor",),
    ("nnmeter.devices",),
    ("nnmeter.prediction",),
    ("nnmeter.memory",),
    ("nnmeter.comparison",),
    ("nnmeter.sparsity",),
    ("nnmeter.checks",),
    ("nnmeter.advice",),
    ("nnmeter.pruning",),
    ("nnmeter.search",),
    ("nnmeter.report",),
    ("nnmeter.lab_door",),
    ("nnmeter.cli",),
    ("nnmeter.api",),
    ("nnmeter", "nnmeter.__main__"),
)
LAB = (
    ("nnmeter.lab",),
    ("nnmeter.lab.runtimes",),
    ("nnmeter.lab.measuring",),
    ("nnmeter.lab.evaluation",),
    ("nnmeter.lab.importing",),
    ("nnmeter.lab.campaign",),
    ("nnmeter.lab.kit",),
    ("nnmeter.lab.wire",),
    ("nnmeter.lab.discovery",),
    ("nnmeter.lab.training",),
    ("nnmeter.lab.transfer",),
    ("nnmeter.lab.jobs",),
    ("nnmeter.lab.cluster",),
    ("nnmeter.lab.report",),
    ("nnmeter.lab.api", "nnmeter.lab.frames"),
    ("nnmeter.lab.cli",),
)
LAYERS = {unit: level for level, units in enumerate(chain(CORE, LAB)) for unit in units}

# The facade stands on everything of the core, and the lab stands on the core without it.
FACADE = ("nnmeter", "nnmeter.__main__", "nnmeter.api")

# Modules that may name the lab without importing it.
DOORS = ("nnmeter.lab_door",)


def module_names() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = module_names()


def imports_of(module: str) -> Iterator[str]:
    """Every module of the package that a module imports, at its top, in functions, and for types alone."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in MODULES or node.module in MODULES:
                    yield full if full in MODULES else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)


IMPORTS = {module: sorted(set(imports_of(module)) - {module}) for module in MODULES}


def unit_of(module: str) -> str:
    """The layer's unit that a module belongs to: the longest that it is, or lies in."""
    return max((unit for unit in LAYERS if module == unit or module.startswith(f"{unit}.")), key=len)


def is_lab(module: str) -> bool:
    return module == "nnmeter.lab" or module.startswith("nnmeter.lab.")


def test_every_module_has_a_layer() -> None:
    strangers = [module for module in MODULES if unit_of(module) == "nnmeter" and module != "nnmeter"]
    assert strangers == []


@pytest.mark.parametrize("module", MODULES)
def test_arrows_go_down(module: str) -> None:
    level = LAYERS[unit_of(module)]
    upwards = [target for target in IMPORTS[module] if LAYERS[unit_of(target)] > level]
    assert upwards == [] or (is_lab(module) and not any(map(is_lab, upwards)))


def test_the_core_never_imports_the_lab() -> None:
    arrows = [(a, b) for a, targets in IMPORTS.items() if not is_lab(a) for b in targets if is_lab(b)]
    assert arrows == []


def test_the_lab_stands_on_the_core_and_not_on_its_facade() -> None:
    arrows = [(a, b) for a, targets in IMPORTS.items() if is_lab(a) for b in targets if b in FACADE]
    assert arrows == []


def test_nothing_but_the_door_names_a_module_of_the_lab() -> None:
    """An import by name would be an arrow that `ast` does not see."""
    naming = set()
    for module, path in MODULES.items():
        if is_lab(module):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("nnmeter.lab."):
                naming.add(module)
    assert naming <= set(DOORS)


def test_no_modules_and_no_packages_import_each_other_in_a_circle() -> None:
    assert circles(IMPORTS) == []
    packages: dict[str, set[str]] = defaultdict(set)
    for module, targets in IMPORTS.items():
        packages[unit_of(module)] |= {unit_of(target) for target in targets} - {unit_of(module)}
    assert circles({name: sorted(targets) for name, targets in packages.items()}) == []


def test_a_circle_would_be_found() -> None:
    assert circles({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}) == [["a", "b", "c"]]


def circles(arrows: dict[str, list[str]]) -> list[list[str]]:
    """Groups of nodes each of which is reached from every other one of its group."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        pending = list(arrows.get(start, ()))
        while pending:
            node = pending.pop()
            if node not in seen:
                seen.add(node)
                pending += arrows.get(node, ())
        return seen

    reach = {node: reached(node) for node in arrows}
    groups = {tuple(sorted({node} | {b for b in reach[node] if node in reach.get(b, ())})) for node in arrows}
    return sorted(list(group) for group in groups if len(group) > 1)
