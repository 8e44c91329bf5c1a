"""How one block is tried: rules 3 to 5 of `blocks`."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
import io
import re
import shlex
from pathlib import Path

import click

import nnmeter
from nnmeter.cli.main import nnmeter as group
from nnmeter.cli.main import run
from tests.conftest import REPOSITORY
from tests.docs.blocks import Block, commands_of, shown_by

# Verbs that read alone; all others measure, train, write into the user's folders, or take a minute.
READING = ("predict", "compare", "kernels", "devices")
# Options and verbs of theirs that do more.
WRITING = ("refresh", "runtime")
# First words of commands that are of other programs, and are not tried.
FOREIGN = ("pip", "git", "cd", "ls", "export", "mkdocs", "sh", "dask", "sbatch")


def try_python(block: Block, namespace: dict[str, object]) -> None:
    """Runs the block, or checks it by rule 4."""
    missing = [name for name in block.needs if importlib.util.find_spec(name) is None]
    code = compile("\n" * block.line + block.text, str(block.page), "exec")
    if not block.parsed_only and not missing:
        exec(code, namespace)
    elif not missing:
        check_python(block, namespace)


def check_python(block: Block, namespace: dict[str, object]) -> None:
    """Imports what the block imports, and checks its calls of functions that are known by then."""
    tree = ast.parse(block.text)
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(compile(ast.Module([node], []), str(block), "exec"), namespace)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = _found(node.func, {"nnmeter": nnmeter, **namespace}, block)
            if function is not None and getattr(function, "__module__", "").startswith("nnmeter"):
                keywords = {word.arg: None for word in node.keywords if word.arg}
                inspect.signature(function).bind(*node.args, **keywords)


def _found(node: ast.expr, namespace: dict[str, object], block: Block) -> object:
    if isinstance(node, ast.Name):
        return namespace.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "nnmeter":
        assert hasattr(nnmeter, node.attr), f"{block}: there is no nnmeter.{node.attr}"
        return getattr(nnmeter, node.attr)
    return None


def try_commands(block: Block) -> None:
    """Tries every command of a `sh` or `console` block."""
    for command in commands_of(block):
        words = shlex.split(re.sub(r"\s[|>].*$", "", command))
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        if words and words[0] not in FOREIGN:
            _try_command(block, command, words)


def _try_command(block: Block, command: str, words: list[str]) -> None:
    if words[0] == "make":
        targets = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
        for target in words[1:]:
            assert "=" in target or re.search(rf"^{re.escape(target)}:", targets, re.M), f"{block}: no target {target}"
    elif words[0] == "python" and words[1] == "-m":
        assert importlib.util.find_spec(words[2]) is not None, f"{block}: there is no module {words[2]}"
        for word in words[3:]:
            assert "/" not in word or (REPOSITORY / word).exists(), f"{block}: there is no {word}"
    elif words[0] == "python":
        assert (REPOSITORY / words[1]).is_file(), f"{block}: there is no {words[1]}"
    elif words[0] == "nnmeter":
        _try_nnmeter(block, words[1:])
    else:
        raise AssertionError(f"{block}: nobody knows how to try `{command}`")


def _try_nnmeter(block: Block, words: list[str]) -> None:
    verb = words[0]
    command = group.get_command(click.Context(group), verb)
    assert command is not None, f"{block}: there is no verb {verb}"
    if verb in READING and not block.parsed_only and not set(words) & set(WRITING):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert run(words) == 0, f"{block}: nnmeter {' '.join(words)}"
        if block.language == "console" and "--device" in words:
            _compare(block, printed.getvalue())
        return
    fault = fault_of(command, verb, words[1:])
    if fault is not None and "does not exist" in fault:
        # A file that is made on the way is not there; one of the repository must be.
        named = [
            word for word in words if word.startswith(("data/", "docs/", "predictors/")) and not Path(word).exists()
        ]
        fault = f"there is no {', '.join(named)}" if named else None
    assert fault is None, f"{block}: {fault}"


def _compare(block: Block, printed: str) -> None:
    """All lines that the block shows are printed, in that order."""
    lines = iter([line.rstrip() for line in printed.splitlines()])
    for shown in shown_by(block):
        assert shown in lines, f"{block}: it does not print {shown!r}, or not there"


def fault_of(command: click.Command, verb: str, arguments: list[str]) -> str | None:
    """What the verb says of its arguments; None if it takes them."""
    try:
        with command.make_context(verb, list(arguments)):
            return None
    except click.exceptions.Exit as done:
        return None if done.exit_code == 0 else f"exit code {done.exit_code}"
    except click.UsageError as fault:
        return fault.format_message()
