"""The code blocks of the documents: which there are, and how each kind is tried.

Rules:

1. A block is what stands between two fences. Its language is the word behind the first one. A block without a language
   is an error: nobody could tell what to do with it.
2. The blocks of a page are tried in the order of the page, in one folder of its own that has the repository's data.
   `python` blocks share one namespace.
3. Of a `sh` block every command is tried. A verb of nnmeter that only reads runs. Of one that measures or trains the
   options are parsed. A script, a module, a path of tests and a target of make must be there. A command of another
   program must be one that the tests know.
4. `<!-- parsed, not run -->` before a block is for what takes minutes or needs another machine: commands are parsed;
   of Python the imports run, and the calls of nnmeter are checked against its signatures.
5. `<!-- needs: NAME, ... -->` before a block names the packages that it needs; without one of them it is parsed only.
   Behind a semicolon, `takes minutes` says the same as rule 4. The development environment has all of them.
6. `toml` and `json` blocks are parsed. `text` and `console` blocks show output, and what a `$` begins in the latter is
   a command. Where it names a device, what is shown must be what it prints: `...` stands for any lines, and what the
   device is to this machine is not compared. `diff` blocks are of pages that have a test of their own (`applying`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("python", "sh", "toml", "json", "text", "console", "diff", "yaml", "html", "mermaid")
PARSED = "<!-- parsed, not run -->"
_NEEDS = re.compile(r"<!-- needs: (?P<packages>[\w, -]+?)(?P<minutes>; takes minutes)? -->$")
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```\s*$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """One block of a page.

    Attributes:
        page: the page.
        line: the line that the block begins on.
        language: the word behind its fence.
        text: what stands between the fences.
        parsed_only: whether rule 4 excepts it.
        needs: modules that it needs (rule 5).
    """

    page: Path
    line: int
    language: str
    text: str
    parsed_only: bool
    needs: tuple[str, ...]

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
        comment = _NEEDS.search(before.rstrip())
        needs = tuple(re.split(r",\s*", comment["packages"])) if comment else ()
        parsed_only = before.rstrip().endswith(PARSED) or bool(comment and comment["minutes"])
        found.append(Block(page, before.count("\n") + 1, match["language"], text, parsed_only, needs))
    return found


def commands_of(block: Block) -> list[str]:
    """The commands of a `sh` or `console` block, lines that go on being joined, comments left out."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    commands = [re.sub(r"\s+#\s.*$", "", line).strip() for line in lines]
    return [re.sub(r"\s+", " ", command) for command in commands if command and not command.startswith("#")]


def shown_by(block: Block) -> list[str]:
    """The output that a `console` block shows, without lines that depend on the machine and without `...`."""
    lines = [line.rstrip() for line in block.text.splitlines() if not line.startswith("$ ")]
    return [line for line in lines if line and line != "..." and not line.startswith("machine: ")]
