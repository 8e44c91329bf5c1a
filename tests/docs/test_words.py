"""The words of documents and help texts: the field's own, one a meaning (docs/words.md)."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from nnmeter.cli.main import VERBS
from nnmeter.cli.main import nnmeter as group
from tests.docs.test_code_blocks import EVERY_PAGE

# Phrase, as a pattern -> what to say.
REPLACED = {
    r"\b(took|take|taken) down\b": "recorded",
    r"\bof what\b": "name the thing",
    r"\bbeyond nothing\b": "say what it is",
    r"\bsittings?\b": "session",
    r"\bwholes\b": "whole networks, or end-to-end times",
    r"\bother means\b": "say who took the time, and how",
}


def faults_in(text: str) -> list[str]:
    return [f"{match[0]!r}: {better}" for phrase, better in REPLACED.items() for match in re.finditer(phrase, text)]


@EVERY_PAGE
def test_pages_use_plain_words(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.S)
    assert faults_in(text) == []


def commands(command: click.Command, name: str) -> list[tuple[str, click.Command]]:
    nested = command.commands.items() if isinstance(command, click.Group) and name else ()
    return [(name, command), *((f"{name} {verb}", inner) for verb, inner in nested)]


@pytest.mark.parametrize("verb", VERBS)
def test_help_texts_use_plain_words(verb: str) -> None:
    found = group.get_command(click.Context(group), verb)
    assert found is not None
    for name, command in commands(found, verb):
        assert faults_in(command.get_help(click.Context(command, info_name=name))) == []


def test_the_glossary_has_a_word_once() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| ", (Path(__file__).parents[2] / "docs" / "words.md").read_text("utf-8"), re.M)
    assert len(rows) > 20
    assert len(set(rows)) == len(rows)
