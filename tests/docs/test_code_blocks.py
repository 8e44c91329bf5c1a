"""Every code block of the README and of the documents is true: it runs, or at least is what the program takes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from nnmeter.cli.main import nnmeter as group
from nnmeter.cli.main import run
from tests.conftest import REPOSITORY
from tests.docs.blocks import LANGUAGES, Block, blocks_of, commands_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
BLOCKS = [block for page in PAGES for block in blocks_of(page)]

# Verbs that read alone; all others measure, train or write into the user's folders.
READING = ("predict", "kernels", "devices", "evaluate")
# First words of commands that are not nnmeter's, and are not tried here.
FOREIGN = ("pip", "git", "cd", "ls", "export", "docker", "python3", "cat", "curl", "mkdocs", "trtexec", "benchmark_app")


def of_language(*languages: str) -> list[object]:
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.language in languages]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has what the pages speak of: data and packs of the repository, a model, a folder of models."""
    folder = tmp_path_factory.mktemp("workspace")
    for name in ("data", "predictors", "benchmarks"):
        os.symlink(REPOSITORY / name, folder / name)
    zoo = REPOSITORY / "data" / "zoo"
    shutil.copy(zoo / "squeezenet1_1-224.onnx", folder / "model.onnx")
    (folder / "models").mkdir()
    for name in ("resnet18-224", "bert-tiny"):
        shutil.copy(zoo / f"{name}.onnx", folder / "models")
    return folder


@pytest.fixture
def inside(workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return workspace


@pytest.mark.parametrize("block", [pytest.param(block, id=str(block)) for block in BLOCKS])
def test_a_block_says_what_it_is(block: Block) -> None:
    assert block.language in LANGUAGES, f"{block}: name the language behind the fence, one of {', '.join(LANGUAGES)}"


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=p.name) for p in PAGES if any(b.language == "python" for b in blocks_of(p))]
)
def test_python_blocks_of_a_page_run(page: Path, inside: Path) -> None:
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks_of(page):
        if block.language == "python":
            code = compile("\n" * block.line + block.text, str(page), "exec")
            if not block.parsed_only:
                exec(code, namespace)


def commands() -> Iterator[object]:
    for block in BLOCKS:
        if block.language in ("sh", "console"):
            for number, command in enumerate(commands_of(block)):
                yield pytest.param(block, command, id=f"{block}-{number}")


@pytest.mark.parametrize(("block", "command"), list(commands()))
def test_a_command_is_what_the_program_takes(block: Block, command: str, inside: Path) -> None:
    words = shlex.split(re.sub(r"\s[|>].*$", "", command))
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if not words or words[0] in FOREIGN:
        return
    if words[0] == "make":
        targets = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{re.escape(target)}:", targets, re.M) for target in words[1:] if "=" not in target)
    elif words[0] == "python" and len(words) > 1 and words[1].endswith(".py"):
        assert (REPOSITORY / words[1]).is_file(), f"{block}: there is no {words[1]}"
    elif words[0] == "nnmeter":
        try_nnmeter(block, words[1:])
    else:
        pytest.fail(f"{block}: nobody knows how to try `{command}`")


def try_nnmeter(block: Block, words: list[str]) -> None:
    """Run a verb that only reads; of all others parse the options."""
    verb = words[0]
    if verb in READING and not block.parsed_only and "--save" not in words:
        assert run(words) == 0, f"{block}: nnmeter {' '.join(words)}"
        return
    command = group.get_command(click.Context(group), verb)
    assert command is not None, f"{block}: there is no verb {verb}"
    fault = fault_of(command, verb, words[1:])
    # A file that the page speaks of and that is made on the way is not there; any other fault is the page's.
    assert fault is None or "does not exist" in fault, f"{block}: {fault}"


def fault_of(command: click.Command, verb: str, arguments: list[str]) -> str | None:
    """What the verb says of its arguments; None if it takes them."""
    try:
        with command.make_context(verb, list(arguments)):
            return None
    except click.exceptions.Exit as done:
        return None if done.exit_code == 0 else f"exit code {done.exit_code}"
    except click.UsageError as fault:
        return fault.format_message()


@pytest.mark.parametrize("block", of_language("toml"))
def test_toml_is_toml(block: Block) -> None:
    tomllib.loads(block.text)


@pytest.mark.parametrize("block", of_language("json"))
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name}: there is no {target}"


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
