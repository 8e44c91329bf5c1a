"""Code blocks of Markdown pages: which there are, and how each kind is tried.

Rules:

1. A block is what stands between two fences. Its language is the word behind the first one.
2. `python` blocks of a page run one after another, in one namespace, in a workspace with the repository's data.
3. Of a `sh` block every command is tried: a verb of nnmeter that only reads runs; one that measures or trains has its
   options parsed, and so has every command of a block that the comment `<!-- parsed, not run -->` stands before; a
   script and a target of make must be there. Lines that are no such command must be known to the tests.
4. `toml` and `json` blocks are parsed. `text` and `console` blocks show output, and what a `$` begins in the latter is
   a command. `diff` blocks are of pages that have a test of their own (`applying`).
5. A block without a language is an error: nobody could tell what to do with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("python", "sh", "toml", "json", "text", "console", "diff", "yaml", "html", "mermaid")
PARSED = "<!-- parsed, not run -->"
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```\s*$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """One block of a page: its language and text, the line that it begins on, and whether rule 3 excepts it."""

    page: Path
    line: int
    language: str
    text: str
    parsed_only: bool

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    content = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(content):
        before = content[: match.start()]
        indent = len(match["indent"])
        text = "".join(line[indent:] for line in match["text"].splitlines(keepends=True))
        parsed_only = before.rstrip().endswith(PARSED)
        found.append(Block(page, before.count("\n") + 1, match["language"], text, parsed_only))
    return found


def commands_of(block: Block) -> list[str]:
    """The commands of a `sh` or `console` block, lines that go on being joined, comments left out."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    commands = [re.sub(r"\s+#\s.*$", "", line).strip() for line in lines]
    return [re.sub(r"\s+", " ", command) for command in commands if command and not command.startswith("#")]
