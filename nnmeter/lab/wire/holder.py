"""The process that holds a device on the far side: one lock, one near side, one measuring process.

1. It holds an exclusive lock on a file, from before anything is measured until it ends; the system drops it then,
   however it ends. Its measuring process holds it too, so that two never measure at once.
2. Connections come and go. One with the token of the campaign that holds the device takes the place of the one before;
   any other is told who holds it, and since when.
3. What the measuring process says is an answer to the one request in hand. It is numbered and kept until the next
   request, so that a connection that was cut is told again what it missed, and nothing is measured twice for it.
4. It ends with a farewell, or when nothing was heard of the near side for `patience_s`: a wire that is cut in silence
   looks alive, so the near side pings.
5. Durations are by the monotonic clock. The far machine's time of day is nowhere used: when the campaign began is told
   by the near side.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import time
from functools import partial
from typing import IO, Any

from nnmeter.lab.wire.landing import OWN_PATH, Store
from nnmeter.lab.wire.relay import CHUNK, socket_name

LOCK_FILE = "lock"
MOST_LINE = 64 << 20
_SEND_S = 10.0
_WORKER = f"{OWN_PATH}; from nnmeter.lab.wire.far_worker import main; main()"

Message = dict[str, Any]


class Lines:
    """Whole lines out of pieces of bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, data: bytes) -> list[bytes]:
        """The lines that are whole with these bytes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MOST_LINE:
            raise ValueError("a line is too long")
        return lines


class Holder:
    """Rules 2 to 5; the lock is held by whoever makes one."""

    def __init__(self, package: str, hello: Message, lock: IO[str], listener: socket.socket) -> None:
        self._package, self._hello, self._lock, self._listener = package, hello, lock, listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, self._welcome)
        self._near: socket.socket | None = None
        self._lines = Lines()
        self._worker: subprocess.Popen[bytes] | None = None
        self._worker_lines = Lines()
        self._request: str | None = None
        self._said: list[Message] = []
        self._done = True
        self._heard = time.monotonic()
        self._ends = False
        self._process = os.urandom(8).hex()

    def serve(self) -> None:
        """Until rule 4."""
        while not self._ends:
            for key, _ in self._selector.select(1.0):
                key.data()
            if time.monotonic() - self._heard > self._hello["patience_s"]:
                break
        self._end_worker()
        self._drop()

    def _welcome(self) -> None:
        """Takes a connection, or says who has the device (rule 2)."""
        wire, _ = self._listener.accept()
        wire.settimeout(_SEND_S)
        try:
            with wire.makefile("rb", buffering=0) as stream:
                hello = json.loads(stream.readline(MOST_LINE))["hello"]
            if hello["token"] != self._hello["token"]:
                gone_s = 0 if self._near else round(time.monotonic() - self._heard)
                free_s = max(round(self._hello["patience_s"]) - gone_s, 0)
                told = {"who": self._hello["who"], "since": self._hello["since"], "gone_s": gone_s, "free_s": free_s}
                _send(wire, {"busy": told})
                wire.close()
                return
            if hello["package"] != self._hello["package"]:
                self._ends = True  # another version of nnmeter goes on with the campaign, with a holder of its own
                wire.close()
                return
            _send(wire, {"held": {"machine": machine_name(), "request": self._request, "process": self._process}})
        except (OSError, ValueError, KeyError, TypeError):
            wire.close()
            return
        self._drop()
        self._near, self._lines, self._heard = wire, Lines(), time.monotonic()
        self._selector.register(wire, selectors.EVENT_READ, partial(self._listen, wire))

    def _drop(self) -> None:
        if self._near is not None:
            self._selector.unregister(self._near)
            self._near.close()
            self._near = None

    def _listen(self, wire: socket.socket) -> None:
        """Does what the near side says."""
        if wire is not self._near:
            return  # dropped since it was selected
        try:
            data = wire.recv(CHUNK)
            lines = self._lines.add(data)
        except (OSError, ValueError):
            data, lines = b"", []
        if not data:
            self._drop()
            return
        self._heard = time.monotonic()
        for line in lines:
            try:
                self._obey(json.loads(line))
            except (OSError, ValueError, KeyError, TypeError) as fault:
                self._tell({"fault": f"{type(fault).__name__}: {fault}"})

    def _obey(self, message: Message) -> None:
        if "ping" in message:
            self._tell({"pong": message["ping"]})
        elif "put" in message:
            put = message["put"]
            store = Store("files")
            have = store.add(put["digest"], put["size"], put["offset"], base64.b64decode(put["data"]))
            self._tell({"have": have, "digest": put["digest"], "offset": put["offset"]})
        elif "resume" in message:
            for said in self._said[message["from"] :]:
                self._tell(said)
        elif "bye" in message:
            shutil.rmtree("files", ignore_errors=True)
            self._ends = True
        elif "interrupt" in message:
            if self._worker and not self._done:
                self._worker.send_signal(2)
        elif "ask" in message:
            self._request, self._said, self._done = message["id"], [], False
            self._ask(message["ask"])

    def _ask(self, request: Message) -> None:
        if "open" in request:
            self._end_worker()
            self._start_worker(request["open"])
        elif not self._hand_on(request):
            self._end_worker()
            self._answer({"gone": 1})

    def _hand_on(self, request: Message) -> bool:
        """Gives a request to the process that measures; False where there is none, or it ended before it had it."""
        if self._worker is None or self._worker.poll() is not None:
            return False
        assert self._worker.stdin
        try:
            self._worker.stdin.write(json.dumps(request).encode() + b"\n")
            self._worker.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def _answer(self, said: Message) -> None:
        """Keeps and tells a part of the answer to the request in hand (rule 3)."""
        if self._done:
            return  # of a request that was given up
        message = {**said, "id": self._request, "number": len(self._said)}
        self._done = bool(said.keys() & {"end", "refused", "died", "gone"})
        self._said.append(message)
        self._tell(message)

    def _tell(self, message: Message) -> None:
        if self._near is not None:
            try:
                _send(self._near, message)
            except OSError:
                self._drop()  # rule 3: it is told again

    def _start_worker(self, job: Message) -> None:
        self._worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER, self._package, json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **dict.fromkeys(job["single"], "1")},
            pass_fds=[self._lock.fileno()],
        )
        assert self._worker.stdout
        self._worker_lines = Lines()
        hear = partial(self._hear, self._worker, self._worker.stdout)
        self._selector.register(self._worker.stdout, selectors.EVENT_READ, hear)

    def _hear(self, worker: subprocess.Popen[bytes], stream: IO[bytes]) -> None:
        if worker is not self._worker:
            return  # ended since it was selected
        data = os.read(stream.fileno(), CHUNK)
        for line in self._worker_lines.add(data):
            self._answer(json.loads(line))
        if not data:
            code = self._end_worker()
            self._answer({"died": f"signal {-code}" if code < 0 else f"exit code {code}"})

    def _end_worker(self) -> int:
        """Ends the measuring process, if it has not; its exit code."""
        worker, self._worker = self._worker, None
        if worker is None:
            return 0
        assert worker.stdin and worker.stdout
        self._selector.unregister(worker.stdout)
        worker.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            worker.stdin.close()  # it ends by that
        try:
            return worker.wait(5.0)
        except subprocess.TimeoutExpired:
            worker.kill()
            return worker.wait()


def _send(wire: socket.socket, message: Message) -> None:
    wire.sendall(json.dumps(message).encode() + b"\n")


def machine_name() -> str:
    """A name that this machine made up for itself, in the working directory: another one never has it."""
    if not os.path.exists("machine"):
        own = f"machine.{os.getpid()}"
        with open(own, "w", encoding="ascii") as stream:
            stream.write(os.urandom(8).hex())
        with contextlib.suppress(FileExistsError):
            os.link(own, "machine")
        os.unlink(own)
    with open("machine", encoding="ascii") as stream:
        return stream.read(32)


def _open_lock(path: str) -> IO[str]:
    """The file that is locked, made if it is not there; other users of the machine can open it, too."""
    try:
        # Not to be made in one step: a system may refuse that for a file of another user in a folder such as /tmp.
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            os.fchmod(descriptor, 0o666)
        except FileExistsError:
            return _open_lock(path)
    return os.fdopen(descriptor, "r+", encoding="utf-8")


def main() -> None:
    """Takes the lock, says who has it where another does, and serves."""
    package, hello = sys.argv[1], json.loads(sys.argv[2])
    path = hello.get("lock") or LOCK_FILE
    try:
        lock = _open_lock(path)
    except OSError as fault:
        print(f"error {path}: {fault.strerror}", flush=True)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print(lock.read(400).strip(), flush=True)
        return
    lock.truncate(0)
    lock.write(f"{hello['who']}, since {hello['since']}\n")
    lock.flush()
    name = socket_name(hello)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(name)
    listener.listen(8)
    os.dup2(2, 1)  # the relay reads no further
    try:
        Holder(package, hello, lock, listener).serve()
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)
