"""Every code block of README, documents and data cards is true: it runs, or at least is what the program takes."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.docs.blocks import LANGUAGES, blocks_of
from tests.docs.trying import try_commands, try_python

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CHANGELOG.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "data").glob("*/README.md")),
]
EVERY_PAGE = pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.relative_to(REPOSITORY).as_posix()) for page in PAGES]
)
# Modules by the name of the distribution, where they differ.
DISTRIBUTIONS = {"sklearn": "scikit-learn"}


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that has what the pages speak of: data and packs of the repository, a model, a folder of models."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    for name in ("data", "predictors", "benchmarks", "docs"):
        os.symlink(REPOSITORY / name, folder / name)
    zoo = REPOSITORY / "data" / "zoo"
    shutil.copy(zoo / "squeezenet1_1-224.onnx", folder / "model.onnx")
    (folder / "models").mkdir()
    for name in ("resnet18-224", "bert-tiny"):
        shutil.copy(zoo / f"{name}.onnx", folder / "models")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return folder


@EVERY_PAGE
def test_the_blocks_of_a_page_are_true(page: Path, inside: Path) -> None:
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks_of(page):
        assert block.language in LANGUAGES, f"{block}: name the language behind the fence: {', '.join(LANGUAGES)}"
        if block.language == "python":
            try_python(block, namespace)
        elif block.language in ("sh", "console"):
            try_commands(block)
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            json.loads(block.text)


def test_the_development_environment_has_all_that_blocks_need() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]

    def brought(extra: str) -> set[str]:
        names: set[str] = set()
        for requirement in extras[extra]:
            nested = re.fullmatch(r"nnmeter\[(.*)\]", requirement)
            names |= (
                set().union(*map(brought, nested[1].split(","))) if nested else {re.split(r"[<>=]", requirement)[0]}
            )
        return names

    needed = {DISTRIBUTIONS.get(name, name) for page in PAGES for block in blocks_of(page) for name in block.needs}
    assert needed
    assert needed <= brought("dev")


@EVERY_PAGE
def test_no_block_hides_in_an_indentation(page: Path) -> None:
    """Text that is indented by four is a block without a language, unless it goes on with a list."""
    fenced = False
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        hidden = line.startswith("    ") and number > 0 and not lines[number - 1]
        assert fenced or not hidden, f"{page.name}:{number + 1}: put it between fences"
        fenced ^= line.lstrip().startswith("```")


@EVERY_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name}: there is no {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors_of(file), f"{page.name}: {target} has no #{anchor}"


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and Python-Markdown both make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
