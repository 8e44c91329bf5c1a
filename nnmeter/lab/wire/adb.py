"""A phone through Android's `adb`: commands in its shell, and folders to and from it. No root.

A command's end is told by a line of its own (`_END`), so that a wire that was cut is not taken for a program that
failed, whatever the version of adb.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from nnmeter.errors import MeasurementError
from nnmeter.lab.wire.connection import Cut
from nnmeter.lab.wire.messages import text_of

SHORT_S, LONG_S = 60.0, 3600.0
_END = "nnmeter-exit"
_MOST_OUTPUT = 1 << 20


class Done(NamedTuple):
    """How a command on the phone ended.

    Attributes:
        code: its exit code.
        said: what it wrote, to either stream.
    """

    code: int
    said: str


class Adb:
    """One phone."""

    def __init__(self, serial: str) -> None:
        """Find the program.

        Raises:
            MeasurementError: it is not here.
        """
        program = shutil.which("adb")
        if program is None:
            raise MeasurementError(f"adb://{serial}: needs the program adb; install Android's platform tools")
        self._command = [program, "-s", serial]

    def shell(self, command: str, listen: Callable[[str], None] | None = None, seconds: float = SHORT_S) -> Done:
        """Runs a command in the phone's shell.

        Args:
            command: in its language.
            listen: told each line as it comes.
            seconds: after which the wire is taken to be cut.

        Raises:
            Cut: the wire was cut before its end.
        """
        process = subprocess.Popen(
            [*self._command, "shell", f"( {command} ) 2>&1; code=$?; echo; echo {_END} $code"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout
        watch = threading.Timer(seconds, process.kill)
        watch.start()
        lines: list[str] = []
        size = 0
        try:
            while line := process.stdout.readline(4096):
                text = text_of(line.decode("utf-8", "replace")).strip()
                if not text:
                    continue
                size += len(text)
                if text.startswith(f"{_END} ") and text[len(_END) + 1 :].isdecimal():
                    return Done(int(text[len(_END) + 1 :]), "\n".join(lines))
                if size < _MOST_OUTPUT:
                    lines.append(text)
                if listen is not None:
                    listen(text)
        finally:
            watch.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
        raise Cut("; ".join(lines[-2:]) or "adb ended without a word")

    def copy(self, direction: str, sources: Sequence[str | Path], target: str | Path) -> None:
        """Pushes or pulls files and folders.

        Raises:
            Cut: not all of it was copied.
        """
        command = [*self._command, direction, *map(str, sources), str(target)]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONG_S, start_new_session=True
            )
        except subprocess.TimeoutExpired:
            raise Cut(f"adb {direction} took more than {LONG_S:g} s") from None
        if done.returncode:
            said = text_of((done.stderr or done.stdout).decode("utf-8", "replace")).strip()
            raise Cut(said or f"adb {direction} ended with exit code {done.returncode}")
