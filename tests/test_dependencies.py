"""What `pyproject.toml` declares is what the package imports, in functions too: no more, no less."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

tomllib = pytest.importorskip("tomllib")

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

# Distribution -> what it is imported as, where that is another name.
MODULES = {"scikit-learn": "sklearn"}

# What the core imports behind a question: beside the model, result or search that the user already has in that package.
OF_THE_USER = {"keras", "modelopt", "olive", "optuna", "pandas", "torch", "onnx_ir", "onnxscript", "transformers"}


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0]


def modules_of(requirements: list[str]) -> set[str]:
    """The modules of requirements, with those of extras of ours that they name."""
    found: set[str] = set()
    for requirement in requirements:
        name = name_of(requirement)
        if name == PROJECT["name"]:
            for extra in re.search(r"\[(.*)\]", requirement)[1].split(","):  # type: ignore[index]
                found |= modules_of(EXTRAS[extra])
        else:
            found.add(MODULES.get(name, name.replace("-", "_")))
    return found


def imports_in(folder: Path) -> dict[str, set[Path]]:
    """Packages of others, each with the files that import it: statements, and `import_module` of a literal."""
    found: dict[str, set[Path]] = defaultdict(set)
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "import_module":
                names = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and top not in ("nnmeter", "fuzz_mutations", "fuzz_seeds"):
                    found[top].add(path)
    return found


PACKAGE = imports_in(REPOSITORY / "nnmeter")
LAB = REPOSITORY / "nnmeter" / "lab"
CORE_MODULES = modules_of(PROJECT["dependencies"])

# Comes with scikit-learn, and is left out where it is not there (`library_threads`); is what `dask[distributed]` adds.
COMES_ALONG = {"threadpoolctl": "sklearn", "distributed": "dask"}


def test_the_core_imports_what_every_installation_brings() -> None:
    strangers = {name for name, files in PACKAGE.items() if any(not path.is_relative_to(LAB) for path in files)}
    assert strangers - CORE_MODULES <= OF_THE_USER


def test_the_lab_imports_what_an_extra_brings() -> None:
    of_extras = modules_of(
        EXTRAS["lab"] + EXTRAS["openvino"] + EXTRAS["mnn"] + EXTRAS["tract"] + EXTRAS["plot"] + EXTRAS["cluster"]
    )
    missing = set(PACKAGE) - CORE_MODULES - of_extras - OF_THE_USER - set(COMES_ALONG)
    assert missing == set()
    assert set(COMES_ALONG.values()) <= of_extras


def test_everything_that_is_declared_is_imported() -> None:
    beside = imports_in(REPOSITORY / "benchmarks")
    for name in ("lab", "openvino", "mnn", "tract", "plot", "cluster"):
        assert modules_of(EXTRAS[name]) <= set(PACKAGE), name
    assert modules_of(EXTRAS["torch"]) <= set(PACKAGE)
    assert modules_of(EXTRAS["fuzz"]) <= set(beside)
    assert set(PACKAGE) >= CORE_MODULES


def test_extras_that_error_messages_name_are_declared() -> None:
    named = set()
    for path in (REPOSITORY / "nnmeter").rglob("*.py"):
        named |= set(re.findall(r"nnmeter\[(\w+)\]", path.read_text(encoding="utf-8")))
    for page in [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]:
        named |= set(re.findall(r"nnmeter\[(\w+)\]", page.read_text(encoding="utf-8")))
    assert named
    assert named <= set(EXTRAS)
