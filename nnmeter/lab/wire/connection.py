"""One connection to the far side: a process whose standard input and output carry lines of JSON.

A connection is cut when the process ends, when what it says is no longer lines of JSON, or when nothing comes for
`SILENCE_S`, pings being answered every `PING_S`. It does not come back; `nnmeter.lab.wire.session` makes another one.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import IO, Any

from nnmeter.files import parse_json
from nnmeter.lab.wire.messages import text_of

PING_S = 10.0
SILENCE_S = 45.0
MOST_LINE = 16 << 20
_MOST_NOISE = 200  # lines that a login script may print before anything of ours does
_LAST_WORDS = 3
_MOST_WAITING = 64
_FAREWELL_S = 3.0

Message = dict[str, Any]


class Cut(Exception):
    """The connection is gone; the text says what was last heard."""


class Connection:
    """A started command, and messages to and from it."""

    def __init__(self, command: Sequence[str], first_line: str) -> None:
        """Start the command.

        Args:
            command: that lands on the far side.
            first_line: what its standard input begins with.

        Raises:
            FileNotFoundError: there is no such program.
        """
        # A session of its own: Ctrl-C in the terminal is for us, and we take leave of the far side.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._input = self._process.stdin
        self._messages: queue.Queue[Message | None] = queue.Queue(_MOST_WAITING)
        self._complaints: deque[str] = deque(maxlen=_LAST_WORDS)
        self._writing = threading.Lock()
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=target, args=arguments, daemon=True)
            for target, arguments in (
                (self._read, (self._process.stdout,)),
                (self._complain, (self._process.stderr,)),
                (self._ping, ()),
            )
        ]
        for thread in self._threads:
            thread.start()
        with contextlib.suppress(Cut):  # why is told where its end is read
            self._write(json.dumps(first_line).encode() + b"\n")

    def send(self, message: Message) -> None:
        """One message.

        Raises:
            Cut: it is gone.
        """
        self._write(json.dumps(message).encode() + b"\n")

    def receive(self, silence_s: float | None = None) -> Message:
        """The next message.

        Args:
            silence_s: how long nothing may be heard; `SILENCE_S` if None.

        Raises:
            Cut: it is gone.
        """
        silence_s = SILENCE_S if silence_s is None else silence_s
        end = time.monotonic() + silence_s
        while True:
            try:
                message = self._messages.get(timeout=max(end - time.monotonic(), 0.0))
            except queue.Empty:
                raise Cut(f"nothing was heard for {silence_s:g} s") from None
            if message is None:
                raise Cut(self._last_words())
            if "pong" in message:
                end = time.monotonic() + silence_s
                continue
            return message

    def close(self, farewell: Message | None = None) -> None:
        """Ends the process: after a last message, or at once, where the connection was cut."""
        self._closed.set()
        with contextlib.suppress(Cut, subprocess.TimeoutExpired):
            if farewell is not None:
                self.send(farewell)
                self._input.close()
                self._process.wait(_FAREWELL_S)
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._input.close()
        for thread in self._threads[:2]:
            thread.join(1.0)

    def _write(self, data: bytes) -> None:
        try:
            with self._writing:
                self._input.write(data)
                self._input.flush()
        except (OSError, ValueError):  # ValueError: it was closed
            raise Cut(self._last_words()) from None

    def _read(self, stream: IO[bytes]) -> None:
        noise, began = 0, False
        while line := stream.readline(MOST_LINE + 1):
            message = _message(line)
            if message is not None:
                began = True
                self._offer(message)
            elif began or len(line) > MOST_LINE or (noise := noise + 1) > _MOST_NOISE:
                self._complaints.append("it says what is no message of nnmeter")
                self._process.kill()
                break
        self._offer(None)

    def _offer(self, message: Message | None) -> None:
        """Gives a message to whoever receives; the far side waits meanwhile, so that it cannot fill the memory."""
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._messages.put(message, timeout=0.5)
                return

    def _complain(self, stream: IO[bytes]) -> None:
        while line := stream.readline(4096):
            text = text_of(line.decode("utf-8", "replace")).strip()
            if text:
                self._complaints.append(text)

    def _ping(self) -> None:
        with contextlib.suppress(Cut):
            while not self._closed.wait(PING_S):
                self.send({"ping": 1})

    def _last_words(self) -> str:
        """Why it ended, as far as it said so."""
        self._threads[1].join(1.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1.0)
            return "; ".join(self._complaints) or f"it ended with exit code {code}"
        return "; ".join(self._complaints) or "it ended"


def _message(line: bytes) -> Message | None:
    """What a line says; None where it is no message."""
    if not line.endswith(b"\n"):
        return None
    try:
        said = parse_json(line, finite=True)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None
