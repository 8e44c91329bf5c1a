"""What `--on` names: a device by its address, or one of `devices.toml` by its name.

    [pi4]                             # nnmeter profile --on pi4 ...
    address = "ssh://user@board:22"   # or "adb://SERIAL"
    runtime = "onnxruntime"           # unless --runtime is given
    threads = 4                       # unless --threads is given
    cores = "4-7"                     # the processes that measure are kept to these
    lock = "/var/lock/board"          # a file there; what has one lock is measured by one campaign at a time
    python = "/opt/venv/bin/python3"  # over ssh; otherwise python3
    bin = "android-arm64"             # over adb: folder here with the runtime's program and its libraries
    program = "/data/local/tmp/perf"  # over adb: the program, where it is there already

Rules:

1. `--on NAME` looks into `devices.toml` of the user's folder; `--on FILE:NAME` into that file. A relative `bin` begins
   at the folder of the file.
2. Unknown keys are errors. Whatever a file says is an argument of `ssh` or `adb`, never an option of it, and no shell
   here sees it.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnmeter.devices.catalog import user_directory
from nnmeter.errors import MeasurementError, brief
from nnmeter.files import read_limited
from nnmeter.lab.wire.cores import cores_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEVICES_FILE = "devices.toml"
_MOST_BYTES = 1 << 20
_MOST_THREADS = 4096
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,250}"
_SSH = re.compile(
    rf"ssh://(?:(?P<user>{_NAME})@)?(?P<host>{_NAME}|\[[0-9A-Fa-f:.]+(?:%{_NAME})?\])(?::(?P<port>\d{{1,5}}))?/?"
)
_ADB = re.compile(r"adb://(?P<serial>[A-Za-z0-9][A-Za-z0-9._:-]{0,250})/?")
_EXAMPLE = "ssh://user@board, ssh://user@board:2222 or adb://SERIAL"


@dataclass(frozen=True, slots=True)
class Board:
    """A device that is reached by wire.

    Attributes:
        name: what the user calls it: its name in `devices.toml`, or its address.
        scheme: `ssh` or `adb`.
        host: of ssh, or the serial number of adb.
        user: of ssh; None for ssh's own choice.
        port: of ssh; None for ssh's own choice.
        runtime: to measure; None if not said.
        threads: that execute one network; None if not said.
        cores: that the measuring process is kept to, as `taskset -c` takes them; None for all.
        lock: path there of the file whose lock is held; None for one in the user's folder there.
        python: command of Python there.
        bin: folder here with the runtime's program for a phone; None if not said.
        program: path there of the runtime's program; None if not said.
    """

    name: str
    scheme: str
    host: str
    user: str | None = None
    port: int | None = None
    runtime: str | None = None
    threads: int | None = None
    cores: str | None = None
    lock: str | None = None
    python: str = "python3"
    bin: Path | None = None
    program: str | None = None

    @property
    def address(self) -> str:
        """As `--on` takes it."""
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{user}{self.host}{port}"

    def filled(self, runtime: str, threads: int) -> Board:
        """With a runtime and a number of threads, where it does not say."""
        return replace(self, runtime=self.runtime or runtime, threads=self.threads or threads)

    @property
    def shown(self) -> str:
        """For messages: the name, with the address where it is another."""
        return self.name if self.name == self.address else f"{self.name} ({self.address})"


def find_board(on: str, runtime: str | None = None, threads: int | None = None) -> Board:
    """The device that `--on` names (rule 1).

    Args:
        on: an address, NAME or FILE:NAME.
        runtime: given by the user, which counts more than the file.
        threads: the same.

    Raises:
        MeasurementError: it is neither, or the file is missing or says what it may not.
    """
    board = parse_address(on) if "://" in on else _from_file(on)
    return replace(board, runtime=runtime or board.runtime, threads=threads or board.threads)


def parse_address(text: str) -> Board:
    """The device at an address.

    Raises:
        MeasurementError: it is none.
    """
    match = _SSH.fullmatch(text)
    if match:
        port = int(match["port"]) if match["port"] else None
        if port is None or 0 < port < 65536:
            board = Board(text, "ssh", match["host"], match["user"], port)
            return replace(board, name=board.address)
    match = _ADB.fullmatch(text)
    if match:
        board = Board(text, "adb", match["serial"])
        return replace(board, name=board.address)
    raise MeasurementError(f"{text!r:.80} is no address of a device; give {_EXAMPLE}, or a name in {DEVICES_FILE}")


def _from_file(on: str) -> Board:
    place, _, name = on.rpartition(":")
    path = Path(place) if place else user_directory() / DEVICES_FILE
    try:
        document = tomllib.loads(read_limited(path, _MOST_BYTES).decode("utf-8"))
    except FileNotFoundError:
        raise MeasurementError(
            f"{path}: is not there, so no device is called {name!r:.60}; make it, or give an address: {_EXAMPLE}"
        ) from None
    except OSError as fault:
        raise MeasurementError(f"{path}: cannot be read ({fault.strerror})") from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise MeasurementError(f"{path}: no TOML: {brief(fault, 200)}") from None
    if name not in document:
        known = ", ".join(sorted(map(str, document))[:12]) or "none"
        raise MeasurementError(f"{path}: has no device {name!r:.60}; it has {known}")
    return _board(name, document[name], path)


def _board(name: str, entry: Any, path: Path) -> Board:
    where = f"{path}: device {name}"
    if not isinstance(entry, dict):
        raise MeasurementError(f"{where}: is no table; begin it with [{name}]")
    unknown = sorted(entry.keys() - _KEYS.keys())
    if unknown:
        raise MeasurementError(f"{where}: {unknown[0]!r:.40} is unknown; known are {', '.join(_KEYS)}")
    if "address" not in entry:
        raise MeasurementError(f"{where}: has no address; give {_EXAMPLE}")
    values = {key: _KEYS[key](value, f"{where}: {key}") for key, value in entry.items()}
    board = parse_address(values.pop("address"))
    if "bin" in values:
        values["bin"] = path.parent / values["bin"]
    return replace(board, name=name, **values)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 400 or not value.isprintable():
        raise MeasurementError(f"{where} is {value!r:.60}; give a text")
    return value


def _threads(value: Any, where: str) -> int:
    if type(value) is not int or not 0 < value <= _MOST_THREADS:
        raise MeasurementError(f"{where} is {value!r:.60}; give a number from 1 to {_MOST_THREADS}")
    return value


def _cores(value: Any, where: str) -> str:
    cores_of(_text(value, where))
    return str(value)


def _absolute(value: Any, where: str) -> str:
    if not _text(value, where).startswith("/"):
        raise MeasurementError(f"{where} is {value!r:.60}; give an absolute path there")
    return str(value)


_KEYS: Mapping[str, Callable[[Any, str], Any]] = {
    "address": _text,
    "runtime": _text,
    "threads": _threads,
    "cores": _cores,
    "lock": _absolute,
    "python": _text,
    "bin": _text,
    "program": _absolute,
}


def ssh_command(board: Board) -> list[str]:
    """The command that lands on a board: the system's ssh, with the user's own settings.

    It never asks (`BatchMode`), notices a wire that is cut in silence within 20 seconds, forwards nothing, and shares
    no connection with others, which would not notice.
    """
    start = "import sys,json;exec(json.loads(sys.stdin.buffer.readline()))"
    return [
        "ssh", "-T", "-e", "none", "-S", "none",
        "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ClearAllForwardings=yes", "-o", "ForwardAgent=no",
        "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
        *(["-p", str(board.port)] if board.port else []),
        "--", f"{board.user}@{board.host.strip('[]')}" if board.user else board.host.strip("[]"),
        f"cd / && exec {_in_shell(board.python)} -c \"{start}\"",
    ]  # fmt: skip


def _in_shell(path: str) -> str:
    """A command as the far shell takes it, which knows what `~/` is."""
    home, rest = ('"$HOME"/', path[2:]) if path.startswith("~/") else ("", path)
    return home + shlex.quote(rest)
