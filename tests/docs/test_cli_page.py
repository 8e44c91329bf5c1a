"""The page on the command line names every verb, and every option of every verb."""

from __future__ import annotations

import re

import click
import pytest

from nnmeter.cli.main import VERBS
from nnmeter.cli.main import nnmeter as group
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([\w-]+)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))


def options_of(command: click.Command) -> set[str]:
    """Long options of a verb and of its own verbs, `--help` left out."""
    found = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found |= options_of(command.get_command(click.Context(command), name) or command)
    return found - {"--help"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_in_its_section(verb: str) -> None:
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    assert verb in SECTIONS, f"docs/cli.md has no section on {verb}"
    assert options_of(command) <= set(re.findall(r"--[a-z][\w-]*", SECTIONS[verb]))


@pytest.mark.parametrize("verb", VERBS)
def test_what_a_verb_is_called_with_are_options_that_it_has(verb: str) -> None:
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    synopsis = re.findall(r"^```text\n(.*?)^```$", SECTIONS[verb], re.M | re.S)[0]  # what follows is what it printed
    assert set(re.findall(r"--[a-z][\w-]*", synopsis)) <= options_of(command)


def test_every_verb_is_in_the_table_of_verbs() -> None:
    table = PAGE[: PAGE.index("## Exit codes")]
    assert all(re.search(rf"^\| `{verb}[ `]", table, re.M) for verb in VERBS)
